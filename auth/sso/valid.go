// A token that can be used now.

package sso

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// renewBefore is how long a token must still hold not to be renewed: long enough to log in with it.
const renewBefore = time.Minute

// Valid returns the login that c means, chosen as Load does, with a token that
// holds for a minute at least, if the issuer gives such. If it must be refreshed, one
// process does that while the others wait, and it is saved before it is returned.
// While the issuer cannot be reached, what holds for less than a minute is good enough.
func (s Store) Valid(ctx context.Context, c Config) (Tokens, error) {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	path, err := s.path()
	if err != nil {
		return Tokens{}, err
	}
	t, err := s.Load(ctx, c.Issuer, c.ClientID, c.Audience)
	if err != nil || t.isFresh(now(), renewBefore) {
		return t, err
	}
	if t.Refresh == "" {
		if t.isFresh(now(), 0) {
			return t, nil
		}
		return Tokens{}, &ExpiredError{Issuer: t.Issuer, User: t.User, Expires: t.Expires}
	}
	l, err := takeLock(ctx, path)
	if err != nil {
		return Tokens{}, err
	}
	defer l.release()
	return renewUnderLock(ctx, c, path, t, now)
}

// renewUnderLock looks again first: whoever had the lock before has most likely done it.
func renewUnderLock(ctx context.Context, c Config, path string, t Tokens, now func() time.Time) (Tokens, error) {
	list, err := readLogins(path)
	if err != nil {
		return Tokens{}, err
	}
	n := slices.IndexFunc(list, t.sameLogin)
	if n < 0 { // logged out in the meantime
		return Tokens{}, &NoLoginError{Path: path, Issuer: t.Issuer}
	}
	if t = list[n]; t.isFresh(now(), renewBefore) {
		return t, nil
	}
	// The new file first: what fails here has not cost the refresh token yet.
	w, err := replace(path)
	if err != nil {
		return Tokens{}, err
	}
	defer w.discard()
	fresh, refused := Refresh(ctx, c, t)
	if fresh.Refresh != t.Refresh || refused == nil {
		list[n] = fresh
		if err := w.commit(list); err != nil {
			return Tokens{}, fmt.Errorf("keep the refreshed login of %s: %w", shown(t.User), err)
		}
	}
	if _, away := errors.AsType[*UnreachableError](refused); away && t.isFresh(now(), 0) {
		return t, nil
	}
	if refused != nil {
		return Tokens{}, refused
	}
	return fresh, nil
}
