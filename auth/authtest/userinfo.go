// The userinfo endpoint: what the login's scopes say of the person.

package authtest

import (
	"net/http"
	"slices"
	"strings"
)

// bearer is what an access token lets its holder ask for.
type bearer struct {
	grant  *grant
	scopes []string
}

// serveUserinfo knows access tokens that a login gave, not those of Token and Sign.
func (i *Issuer) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	b, ok := i.bearer(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		w.Header().Set("WWW-Authenticate", "Bearer") // no error to one who did not try (RFC 6750 section 3.1)
		w.WriteHeader(http.StatusUnauthorized)
	case !ok:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	case !slices.Contains(b.scopes, "openid"):
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
		w.WriteHeader(http.StatusForbidden)
	default:
		writeJSON(w, http.StatusOK, i.personClaims(b.grant.login, b.scopes))
	}
}

func (i *Issuer) bearer(access string) (bearer, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	b, ok := i.access.get(access, i.options.Now())
	return b, ok && !b.grant.revoked
}
