// The tokens of a login: access token, ID token, refresh token.

package authtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"strings"
	"time"
)

// order is which tokens of a grant to make.
type order struct {
	grant     *grant
	refresh   string // to go with them; may be empty
	scopes    []string
	audiences []string
	nonce     string // empty after a refresh (OpenID Connect Core section 12.2)
}

// answer makes the tokens and writes them as RFC 6749 section 5.1 has it.
func (i *Issuer) answer(o order) (map[string]any, *refusal) {
	now := i.options.Now()
	access, err := i.accessToken(o, now)
	if err != nil {
		return nil, &refusal{"server_error", "the access token cannot be signed", 500}
	}
	i.mu.Lock()
	kept := i.access.put(access, bearer{o.grant, o.scopes}, now, now.Add(i.options.AccessLife))
	i.mu.Unlock()
	if !kept {
		return nil, full()
	}
	answer := map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   int(i.options.AccessLife.Seconds()),
		"scope":        strings.Join(o.scopes, " "),
	}
	if o.refresh != "" {
		answer["refresh_token"] = o.refresh
	}
	if slices.Contains(o.scopes, "openid") {
		if answer["id_token"], err = i.idToken(o, access, now); err != nil {
			return nil, &refusal{"server_error", "the ID token cannot be signed", 500}
		}
	}
	return answer, nil
}

func (i *Issuer) accessToken(o order, now time.Time) (string, error) {
	if i.options.Opaque {
		return i.newSecret(), nil
	}
	person := i.options.Users[o.grant.login]
	claims := Claims{
		"aud":       oneOrList(o.audiences),
		"sub":       person.Subject,
		"email":     person.Email,
		"jti":       rand.Text(),
		"client_id": o.grant.client.ID,
		"scope":     strings.Join(o.scopes, " "),
		"iat":       now.Unix(),
		"exp":       now.Add(i.options.AccessLife).Unix(),
	}
	i.addRoles(claims, person, o.scopes)
	return i.Sign("", nil, claims)
}

// addRoles puts a person's roles into a token, if the scopes ask for them.
func (i *Issuer) addRoles(claims Claims, p Person, scopes []string) {
	switch name := i.options.RolesScope; {
	case name == "":
		claims["roles"] = append([]string{}, p.Roles...)
	case slices.Contains(scopes, name):
		claims["groups"] = append([]string{}, p.Roles...)
	}
}

func (i *Issuer) idToken(o order, access string, now time.Time) (string, error) {
	claims := i.personClaims(o.grant.login, o.scopes)
	claims["aud"] = o.grant.client.ID
	claims["auth_time"] = o.grant.authTime.Unix()
	claims["iat"] = now.Unix()
	claims["exp"] = now.Add(i.options.IDLife).Unix()
	claims["at_hash"] = accessHash(i.options.Algorithms[0], access)
	claims["jti"] = nil
	if o.nonce != "" {
		claims["nonce"] = o.nonce
	}
	switch i.currentMode(TokenPath) {
	case WrongNonce:
		claims["nonce"] = "the-nonce-of-another-login"
	case OtherClient:
		claims["aud"] = "another-client"
	case ExpiredID:
		claims["iat"] = now.Add(-2 * time.Hour).Unix()
		claims["auth_time"] = claims["iat"]
		claims["exp"] = now.Add(-time.Hour).Unix()
	}
	return i.Sign("", map[string]any{"typ": "JWT"}, claims)
}

// personClaims are what scopes let a client know of a person (OpenID Connect Core section 5.4).
func (i *Issuer) personClaims(login string, scopes []string) Claims {
	p := i.options.Users[login]
	claims := Claims{"sub": p.Subject}
	i.addRoles(claims, p, scopes)
	if slices.Contains(scopes, "email") {
		claims["email"], claims["email_verified"] = p.Email, true
	}
	if slices.Contains(scopes, "profile") {
		claims["name"], claims["preferred_username"] = p.Name, login
	}
	return claims
}

// accessHash is at_hash: half of the access token's hash by the signature's
// own hash function, which for Ed25519 is SHA-512.
func accessHash(alg, access string) string {
	switch {
	case strings.HasSuffix(alg, "256"):
		sum := sha256.Sum256([]byte(access))
		return encode(sum[:16])
	case strings.HasSuffix(alg, "384"):
		sum := sha512.Sum384([]byte(access))
		return encode(sum[:24])
	default:
		sum := sha512.Sum512([]byte(access))
		return encode(sum[:32])
	}
}

func oneOrList(all []string) any {
	if len(all) == 1 {
		return all[0]
	}
	return all
}
