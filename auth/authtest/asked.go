// What a client asks for at the start of a login: scopes, audiences, a nonce, a challenge.

package authtest

import (
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"
)

const maxNonce = 1 << 10

// asked is what a client asked for and may have.
type asked struct {
	client    Client
	scopes    []string // in the order asked for, each once
	audiences []string // never empty
	nonce     string
	challenge string // S256 of PKCE; empty: none
	consented bool   // the person was, or will be, shown what the client asks for
}

func (w asked) has(scope string) bool { return slices.Contains(w.scopes, scope) }

func (i *Issuer) readAsked(client Client, form url.Values) (w asked, refused *refusal) {
	w = asked{client: client, nonce: form.Get("nonce")}
	if len(w.nonce) > maxNonce {
		return w, refuse("invalid_request", "the nonce is too long")
	}
	if w.scopes, refused = readScopes(form, i.scopes()); refused != nil {
		return w, refused
	}
	if w.audiences, refused = readAudiences(form, i.audiences()); refused != nil {
		return w, refused
	}
	if len(w.audiences) == 0 {
		w.audiences = []string{i.options.Audience}
	}
	w.challenge, refused = readChallenge(form)
	return w, refused
}

func (i *Issuer) scopes() []string {
	scopes := append([]string{"openid", "profile", "email", "offline_access"}, i.options.Scopes...)
	if i.options.RolesScope != "" {
		scopes = append(scopes, i.options.RolesScope)
	}
	return scopes
}

func (i *Issuer) audiences() []string {
	return append([]string{i.options.Audience}, i.options.Audiences...)
}

func readScopes(form url.Values, allowed []string) ([]string, *refusal) {
	var scopes []string
	for scope := range strings.FieldsSeq(form.Get("scope")) {
		if !slices.Contains(allowed, scope) {
			return nil, refuse("invalid_scope", "a scope is not known, or not one of this login's")
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

// readAudiences takes Auth0's `audience` and `resource` of RFC 8707 for the same.
func readAudiences(form url.Values, allowed []string) ([]string, *refusal) {
	for _, resource := range form["resource"] {
		if u, err := url.Parse(resource); resource != "" && (err != nil || !u.IsAbs() || strings.Contains(resource, "#")) {
			return nil, refuse("invalid_target", "a resource is no absolute URI without a fragment")
		}
	}
	var audiences []string
	for _, audience := range slices.Concat(form["audience"], form["resource"]) {
		if audience == "" || slices.Contains(audiences, audience) {
			continue
		}
		if !slices.Contains(allowed, audience) {
			return nil, refuse("invalid_target", "an audience or resource is not known, or not one of this login's")
		}
		audiences = append(audiences, audience)
	}
	return audiences, nil
}

// readChallenge reads PKCE's challenge. The method plain protects nothing from
// one who can read the request, so S256 it is.
func readChallenge(form url.Values) (string, *refusal) {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	if challenge == "" && method == "" {
		return "", nil
	}
	if method != "S256" {
		return "", refuse("invalid_request", "code_challenge_method must be S256")
	}
	if len(challenge) != len(encode(make([]byte, sha256.Size))) || strings.ContainsFunc(challenge, notUnreserved) {
		return "", refuse("invalid_request", "code_challenge is no SHA-256 in base64url")
	}
	return challenge, nil
}

// answersChallenge checks a verifier as RFC 7636 section 4.6 says. A verifier without a
// challenge is refused too: somebody took the challenge out of the request.
func answersChallenge(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, notUnreserved) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return sameSecret(challenge, encode(sum[:]))
}

func notUnreserved(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~", r)
}
