// A refresh token becomes new tokens and the next refresh token.

package authtest

import (
	"crypto/rand"
	"net/url"
)

// redeemRefresh rotates: a refresh token is good once. One that comes again was
// copied, and nobody can tell which holder is the thief, so the whole family
// ends (RFC 9700 section 4.14.2).
func (i *Issuer) redeemRefresh(client Client, form url.Values) (order, *refusal) {
	now := i.options.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	g, current := i.grantOfRefresh(form.Get("refresh_token"))
	switch {
	case g == nil || client.ID != g.client.ID:
		return order{}, refuse("invalid_grant", "the refresh token is not known, or another client's")
	case g.revoked:
		return order{}, refuse("invalid_grant", "the login was revoked")
	case !current:
		g.revoked = true
		return order{}, refuse("invalid_grant", "the refresh token was used already; the login is revoked")
	case !now.Before(g.expires):
		return order{}, refuse("invalid_grant", "the refresh token has expired")
	}
	scopes, refused := readScopes(form, g.scopes)
	if refused != nil {
		return order{}, refused
	}
	if len(scopes) == 0 {
		scopes = g.scopes
	}
	audiences, refused := chooseAudiences(form, g.audiences)
	if refused != nil {
		return order{}, refused
	}
	g.secret = rand.Text()
	return order{grant: g, refresh: g.refreshToken(), scopes: scopes, audiences: audiences}, nil
}
