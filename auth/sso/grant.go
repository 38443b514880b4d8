// From the token endpoint's answer to Tokens.

package sso

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// accept verifies what a login brought and returns it as Tokens.
func (f *flow) accept(ctx context.Context, token *oauth2.Token, nonce string) (Tokens, error) {
	t, err := f.read(token)
	if err != nil {
		return Tokens{}, err
	}
	if t.ID == "" {
		return Tokens{}, &IDTokenError{Issuer: t.Issuer, Reason: "the issuer sent none, though openid was asked for"}
	}
	who, err := f.readIDToken(ctx, t.ID, t.Access, nonce)
	if err != nil {
		return Tokens{}, err
	}
	f.name(ctx, &t, who)
	t.Expires = f.expires(token, t, who.Expires)
	return t, nil
}

// read takes the answer apart and refuses what could not be stored, shown or sent.
func (f *flow) read(token *oauth2.Token) (Tokens, error) {
	c := f.config
	id, _ := token.Extra("id_token").(string)
	t := Tokens{
		Issuer: c.Issuer, ClientID: c.ClientID, Audience: c.Audience,
		Access: auth.Secret(token.AccessToken), ID: auth.Secret(id), Refresh: auth.Secret(token.RefreshToken),
	}
	for _, secret := range []auth.Secret{t.Access, t.ID, t.Refresh} {
		if !isToken(secret) {
			return Tokens{}, &IDTokenError{Issuer: c.Issuer, Reason: "it came with a token that is too long or has odd characters"}
		}
	}
	return t, nil
}

// isToken checks RFC 6749 appendix A's characters: a token ends up in lines,
// environments and passwords.
func isToken(secret auth.Secret) bool {
	s := secret.Reveal()
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= auth.MaxTokenBytes
}

// name says who has logged in as the proxy will see it: by the access token, if
// that is a JWT for the proxy. Which roles it holds is shown, never relied on: a failure here is none.
func (f *flow) name(ctx context.Context, t *Tokens, who auth.Identity) {
	t.User, t.Subject, t.Roles = who.User, who.Subject, who.Roles
	if f.access == nil || t.Password() != t.Access {
		return
	}
	if seen, err := f.access.Verify(ctx, t.Access.Reveal()); err == nil {
		t.User, t.Roles = seen.User, seen.Roles
	}
}

// expires is when Password does: the earlier of what the answer and the token
// itself say, as the one may be cut short and the other be told by another clock.
func (f *flow) expires(token *oauth2.Token, t Tokens, id time.Time) time.Time {
	if t.Password() != t.Access {
		return id
	}
	var expires time.Time
	if token.ExpiresIn > 0 {
		expires = f.config.Now().Add(time.Duration(token.ExpiresIn) * time.Second)
	}
	if claims, err := peek(t.Access); err == nil {
		if exp := claims.Expiration(); !exp.IsZero() && (expires.IsZero() || exp.Before(expires)) {
			expires = exp
		}
	}
	return expires.UTC().Truncate(time.Second)
}
