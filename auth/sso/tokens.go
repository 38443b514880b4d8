// What a login gives.

package sso

import (
	"slices"
	"strings"
	"time"

	"gprxy/auth"
)

// Tokens are one person's login at one issuer. Whoever holds the secrets is that
// person. Issuer, ClientID and Audience together are the key of a Store.
type Tokens struct {
	Issuer   string
	ClientID string
	Audience string

	Access  auth.Secret // may be opaque to us
	ID      auth.Secret
	Refresh auth.Secret // empty if the issuer gave none
	Expires time.Time   // of Password, by this machine's clock; zero: not known

	User    string   // the person, as the proxy will most likely name them; free of control characters
	Subject string   // the issuer's own name for the person
	Roles   []string // likewise
}

// Password is what to log in to the proxy with: the access token if it is a JWT
// that may be for the proxy, else the ID token. Google's access tokens are
// opaque; Entra's and Okta's are for their own services when no audience was asked for, and then
// AUDIENCE is the client itself.
func (t Tokens) Password() auth.Secret {
	if t.ID != "" && !t.accessIsForProxy() {
		return t.ID
	}
	return t.Access
}

func (t Tokens) accessIsForProxy() bool {
	if !auth.LooksLikeToken(t.Access.Reveal()) {
		return false
	}
	claims, err := peek(t.Access)
	if err != nil {
		return false
	}
	return t.Audience != t.ClientID || slices.Contains(claims.Audience(), t.Audience)
}

// RoleClaim reports whether the token that the proxy gets has a claim for roles at all, be it an empty one: one by the
// name of rolesClaim, the proxy's ROLES_CLAIM, or of those that are looked for without it.
func (t Tokens) RoleClaim(rolesClaim string) bool {
	claims, err := peek(t.Password())
	if err != nil {
		return true // nothing can be said of it
	}
	for name := range claims.PrivateClaims() {
		switch {
		case rolesClaim != "":
			if first, _, _ := strings.Cut(rolesClaim, "."); name == rolesClaim || name == first {
				return true
			}
		case name == "roles" || name == "role" || name == "groups" || strings.HasSuffix(name, "/roles"):
			return true
		}
	}
	return false
}

// sameLogin reports whether two Tokens are of the same place in a Store.
func (t Tokens) sameLogin(u Tokens) bool {
	return t.Issuer == u.Issuer && t.ClientID == u.ClientID && t.Audience == u.Audience
}
