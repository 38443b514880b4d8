// New tokens for old: the refresh grant (RFC 6749 section 6), with rotation.

package sso

import (
	"context"
	"errors"
	"time"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// refreshLimit bounds what Ctrl-C does not end.
const refreshLimit = 2 * requestTimeout

// Refresh gets a new access token at the issuer that gave t, whatever issuer c
// names: a refresh token is shown to nobody else. A dead one gives a *RevokedError.
//
// Issuers that rotate refresh tokens take the old one as spent with their
// answer, so whatever else goes wrong the result is to be kept: with an error it is t,
// with the new refresh token if there is one. Once the request is on its way, ctx does not end it.
func Refresh(ctx context.Context, c Config, t Tokens) (Tokens, error) {
	if t.Refresh == "" {
		return t, &ExpiredError{Issuer: t.Issuer, User: t.User, Expires: t.Expires}
	}
	f, err := openFlow(ctx, c.of(t))
	if err != nil {
		return t, err
	}
	defer f.close()
	// The keys first: what fails here has not cost the refresh token yet.
	if err := f.ids.Refresh(ctx); err != nil {
		return t, unreachable(ctx, t.Issuer, err)
	}
	ctx, cancel := withoutCancel(ctx, refreshLimit)
	defer cancel()
	token, err := f.oauth.TokenSource(f.context(ctx), &oauth2.Token{RefreshToken: t.Refresh.Reveal()}).Token()
	if err != nil {
		return t, f.refreshRefusal(ctx, err, t)
	}
	return f.renew(ctx, t, token)
}

// of is c for the issuer, client and audience of t.
func (c Config) of(t Tokens) Config {
	c.Issuer, c.ClientID, c.Audience = t.Issuer, t.ClientID, t.Audience
	return c
}

func (f *flow) refreshRefusal(ctx context.Context, err error, t Tokens) error {
	err = f.refusal(ctx, err, t.Refresh, f.config.ClientSecret)
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		switch denied.Code {
		case "invalid_grant", "access_denied", "interaction_required", "login_required", "consent_required":
			return &RevokedError{Issuer: t.Issuer, User: t.User, Reason: denied.Reason}
		}
	}
	return err
}

// renew puts the answer in t's place. An answer without an ID token is usual
// (OpenID Connect Core section 12.2); the person is then who they were.
func (f *flow) renew(ctx context.Context, t Tokens, token *oauth2.Token) (Tokens, error) {
	fresh, err := f.read(token)
	if err != nil {
		return t, err
	}
	kept := t
	kept.Refresh = fresh.Refresh
	who := auth.Identity{User: t.User, Subject: t.Subject, Roles: t.Roles}
	if fresh.ID == "" {
		if fresh.ID = t.ID; fresh.Password() != fresh.Access {
			return kept, &ExpiredError{Issuer: t.Issuer, User: t.User, Expires: t.Expires}
		}
	} else if who, err = f.readIDToken(ctx, fresh.ID, fresh.Access, ""); err != nil {
		return kept, err
	} else if t.Subject != "" && who.Subject != t.Subject {
		return kept, f.distrust("it names somebody else than the login (sub)")
	}
	f.name(ctx, &fresh, who)
	fresh.Expires = f.expires(token, fresh, who.Expires)
	return fresh, nil
}

// isFresh reports whether the tokens hold for at least that long.
func (t Tokens) isFresh(now time.Time, left time.Duration) bool {
	return t.Expires.After(now.Add(left))
}
