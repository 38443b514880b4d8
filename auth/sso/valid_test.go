// A token that can be used now, whoever else wants one.

package sso_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

// expired logs in and saves the tokens as if they had expired a minute ago.
func expired(t *testing.T, iss *authtest.Issuer, s sso.Store, c sso.Config) sso.Tokens {
	t.Helper()
	tokens := login(t, iss, c)
	tokens.Expires = time.Now().Add(-time.Minute)
	save(t, s, tokens)
	return tokens
}

func TestValid(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	c := configFor(iss)
	_, err := s.Valid(t.Context(), c)
	requireError[*sso.NoLoginError](t, err, []string{iss.URL(), "gprxy login"})

	tokens := login(t, iss, c)
	for _, test := range []struct {
		left     time.Duration
		refreshs int
	}{
		{time.Hour, 0}, {65 * time.Second, 0}, {55 * time.Second, 1}, {-time.Hour, 1},
	} {
		tokens.Expires = time.Now().Add(test.left)
		save(t, s, tokens)
		before := iss.Grants("refresh_token")
		got, err := s.Valid(t.Context(), sso.Config{}) // the only login in the file
		if err != nil {
			t.Fatal(err)
		}
		if n := iss.Grants("refresh_token") - before; n != test.refreshs {
			t.Errorf("with %v left it was refreshed %d times, want %d", test.left, n, test.refreshs)
		}
		requireGood(t, iss, "gprxy", got)
		if kept, err := s.Load(t.Context(), "", "", ""); err != nil || kept.Refresh != got.Refresh || kept.Access != got.Access ||
			!kept.Expires.Equal(got.Expires) {
			t.Errorf("kept %+v, returned %+v, error %v", kept, got, err)
		}
		tokens = got
	}
	requireFiles(t, s, "credentials", "credentials.lock")
}

func TestValidAtOnceRefreshesOnce(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	c := configFor(iss)
	expired(t, iss, s, c)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := s.Valid(t.Context(), c)
			if err != nil || !got.Expires.After(time.Now()) {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
	all.Wait()
	if n := iss.Grants("refresh_token"); n != 1 {
		t.Errorf("refreshed %d times", n)
	}
}

func TestRevokedLogin(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	c := configFor(iss)
	tokens := expired(t, iss, s, c)
	iss.RevokeUser("alice")
	before, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Valid(t.Context(), c)
	requireError[*sso.RevokedError](t, err, []string{"alice@example.com", "run gprxy login"}, tokens.Refresh.Reveal(), tokens.Access.Reveal())
	if after, err := os.ReadFile(s.Path); err != nil || string(after) != string(before) {
		t.Errorf("the file changed (error %v)", err)
	}
	requireFiles(t, s, "credentials", "credentials.lock")
}

func TestIssuerAway(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	c := configFor(iss)
	tokens := login(t, iss, c)
	iss.SetMode(authtest.Down)
	tokens.Expires = time.Now().Add(30 * time.Second).UTC().Truncate(time.Second)
	save(t, s, tokens)
	if got, err := s.Valid(t.Context(), c); err != nil || !reflect.DeepEqual(got, tokens) {
		t.Errorf("half a minute is left, and Valid gives %+v, error %v", got, err)
	}
	tokens.Expires = time.Now().Add(-time.Second)
	save(t, s, tokens)
	_, err := s.Valid(t.Context(), c)
	requireError[*sso.UnreachableError](t, err, []string{iss.URL(), "network"})

	iss.SetMode(authtest.Up)
	if _, err := s.Valid(t.Context(), c); err != nil { // nothing is lost
		t.Error(err)
	}
}

func TestValidWithoutARefreshToken(t *testing.T) {
	s := newStore(t)
	tokens := tokensOf("https://a.example.com", "ann")
	tokens.Refresh = ""
	tokens.Expires = time.Now().Add(30 * time.Second)
	save(t, s, tokens)
	if _, err := s.Valid(t.Context(), sso.Config{}); err != nil {
		t.Error(err)
	}
	tokens.Expires = time.Now().Add(-time.Second)
	save(t, s, tokens)
	_, err := s.Valid(t.Context(), sso.Config{})
	requireError[*sso.ExpiredError](t, err, []string{"ann", "expired at", "gprxy login"})
}

func TestRotatedTokenIsSavedWhateverFails(t *testing.T) {
	s, store := newStub(t), newStore(t)
	s.answers["/token"] = func(url.Values) (int, any) {
		return 200, map[string]any{"access_token": s.sign(nil, nil), "refresh_token": "refresh-2",
			"id_token": s.idToken(authtest.Claims{"aud": "another"})}
	}
	save(t, store, sso.Tokens{Issuer: s.url, ClientID: "cli", Access: "access-1", Refresh: "refresh-1"})
	_, err := store.Valid(short(t), sso.Config{})
	requireError[*sso.IDTokenError](t, err, nil)
	if kept, err := store.Load(t.Context(), "", "", ""); err != nil || kept.Refresh != "refresh-2" || kept.Access != "access-1" {
		t.Errorf("kept the refresh token %s, error %v", kept.Refresh.Reveal(), err)
	}
}

func TestFolderThatCannotBeWrittenCostsNoRefresh(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	c := configFor(iss)
	expired(t, iss, s, c)
	if err := os.MkdirAll(s.Path+".tmp/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := s.Valid(t.Context(), c)
	requireError[*sso.FileError](t, err, []string{s.Path, "cannot be written"})
	if n := iss.Grants("refresh_token"); n != 0 {
		t.Errorf("refreshed %d times", n)
	}
}

func TestLogoutWhileWaiting(t *testing.T) {
	s, store := newStub(t), newStore(t)
	old := sso.Tokens{Issuer: s.url, ClientID: "cli", Access: "access-1", Refresh: "refresh-1"}
	save(t, store, old)
	deleted := make(chan error, 1)
	s.answers["/token"] = func(url.Values) (int, any) {
		go func() { deleted <- store.Delete(context.WithoutCancel(t.Context()), old) }() // waits for the lock
		return 200, map[string]any{"access_token": s.sign(nil, nil), "refresh_token": "refresh-2", "expires_in": 600}
	}
	if _, err := store.Valid(short(t), sso.Config{}); err != nil {
		t.Error(err)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	_, err := store.Valid(short(t), sso.Config{})
	requireError[*sso.NoLoginError](t, err, nil)
}

func TestCtrlCEndsTheWaitForTheLock(t *testing.T) {
	s, store := newStub(t), newStore(t)
	save(t, store, sso.Tokens{Issuer: s.url, ClientID: "cli", Access: "access-1", Refresh: "refresh-1"})
	var second error
	s.answers["/token"] = func(url.Values) (int, any) { // the lock is held while this is answered
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, second = store.Valid(ctx, sso.Config{})
		return 200, map[string]any{"access_token": s.sign(nil, nil), "expires_in": 600}
	}
	if _, err := store.Valid(short(t), sso.Config{}); err != nil {
		t.Error(err)
	}
	if !errors.Is(second, context.DeadlineExceeded) {
		t.Errorf("got the error %v", second)
	}
}
