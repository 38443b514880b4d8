// An authorization code becomes tokens, once.

package authtest

import "net/url"

// redeemCode spends the code whether the rest is right or wrong, so that nobody can
// try twice. Who comes second ends what the first was given: one of them stole
// it (RFC 6749 section 4.1.2).
func (i *Issuer) redeemCode(client Client, form url.Values) (order, *refusal) {
	now := i.options.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	c, ok := i.codes.get(form.Get("code"), now)
	if !ok {
		return order{}, refuse("invalid_grant", "the code is not known")
	}
	if c.used {
		if c.grant != nil {
			c.grant.revoked = true
		}
		return order{}, refuse("invalid_grant", "the code was used already; what it gave is revoked")
	}
	c.used = true
	switch {
	case !now.Before(c.expires):
		return order{}, refuse("invalid_grant", "the code has expired")
	case client.ID != c.client.ID:
		return order{}, refuse("invalid_grant", "the code is another client's")
	case form.Get("redirect_uri") != c.redirectURI:
		return order{}, refuse("invalid_grant", "redirect_uri is not that of the login")
	case !answersChallenge(c.challenge, form.Get("code_verifier")):
		return order{}, refuse("invalid_grant", "code_verifier does not answer the challenge (PKCE)")
	}
	audiences, refused := chooseAudiences(form, c.audiences)
	if refused != nil {
		return order{}, refused
	}
	if c.grant = i.newGrant(c.asked, c.login, c.authTime); c.grant == nil {
		return order{}, full()
	}
	return order{c.grant, c.grant.refreshToken(), c.scopes, audiences, c.nonce}, nil
}

// chooseAudiences lets a token request name some of the login's audiences (RFC
// 8707 section 2.2); without a word it gets all.
func chooseAudiences(form url.Values, granted []string) ([]string, *refusal) {
	audiences, refused := readAudiences(form, granted)
	if refused == nil && len(audiences) == 0 {
		audiences = granted
	}
	return audiences, refused
}
