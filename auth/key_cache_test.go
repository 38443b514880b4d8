// Keys over time: fetched, refreshed, rotated, and an issuer that is away.

package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func requireVerified(t *testing.T, v *auth.Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

func requireRequests(t *testing.T, iss *authtest.Issuer, want int) {
	t.Helper()
	if n := iss.Requests(authtest.KeysPath); n != want {
		t.Fatalf("the issuer was asked for its keys %d times, want %d", n, want)
	}
}

// waitForRequests waits for a fetch in the background to reach the issuer.
func waitForRequests(t *testing.T, iss *authtest.Issuer, path string, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second)
	for iss.Requests(path) < want {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the issuer was asked %d times within 5 s, want %d", iss.Requests(path), want)
		}
	}
}

func TestKeysAreFetchedOnce(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	requireRequests(t, iss, 0) // NewVerifier uses no network
	var all sync.WaitGroup
	for range 20 {
		token := iss.Token(nil)
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	requireRequests(t, iss, 1)
}

func TestStrangersCannotMakeUsAskOften(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	unknown, err := iss.Sign("", map[string]any{"kid": "made up"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	requireVerified(t, v, iss.Token(nil))
	for second := range 30 {
		for range 5 {
			_, err := v.Verify(t.Context(), unknown)
			refusal(t, err, unknown, auth.ReasonUnknownKey)
			bad := flipSignature(iss.Token(nil))
			_, err = v.Verify(t.Context(), bad)
			refusal(t, err, bad, auth.ReasonBadSignature)
		}
		requireRequests(t, iss, 1+second/10)
		c.Add(time.Second)
	}
}

func TestTokensOfOtherIssuersCostNoRequest(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	token := iss.Token(authtest.Claims{"iss": "https://elsewhere.example.com"})
	_, err := v.Verify(t.Context(), token)
	if e := refusal(t, err, token, auth.ReasonWrongIssuer); e.Issuer != "https://elsewhere.example.com" {
		t.Errorf("the record names the issuer %q", e.Issuer)
	}
	token = iss.Token(authtest.Claims{"iss": "https://elsewhere.example.com\nsession.started"})
	_, err = v.Verify(t.Context(), token)
	if e := refusal(t, err, token, auth.ReasonWrongIssuer); e.Issuer != "" {
		t.Errorf("the record names the issuer %q", e.Issuer)
	}
	requireRequests(t, iss, 0)
}

func TestRotation(t *testing.T) {
	for name, header := range map[string]map[string]any{"new kid": nil, "no kid": {"kid": nil}, "same kid": {"kid": "ES256-1"}} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			iss := authtest.Start(t, authtest.Options{Algorithms: []string{"ES256"}, Now: c.Now})
			v := verifierFor(t, iss, c)
			old := iss.Token(nil)
			requireVerified(t, v, old)

			c.Add(11 * time.Second)
			if err := iss.Rotate(); err != nil {
				t.Fatal(err)
			}
			if name == "same kid" {
				key := iss.PublicKeys()[0]
				key["kid"] = "ES256-1"
				iss.Publish(key)
			}
			fresh, err := iss.Sign("", header, nil)
			if err != nil {
				t.Fatal(err)
			}
			requireVerified(t, v, fresh)
			requireRequests(t, iss, 2)
			if _, err := v.Verify(t.Context(), old); err == nil {
				t.Error("a token of the withdrawn key is still accepted")
			}
		})
	}
}

func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	old := iss.Token(nil)
	requireVerified(t, v, old)
	c.Add(10 * time.Minute)
	requireVerified(t, v, old)
	requireRequests(t, iss, 1)

	if err := iss.Rotate(); err != nil {
		t.Fatal(err)
	}
	iss.SetMode(authtest.Slow) // the refresh hangs, logins do not
	c.Add(time.Second)
	requireVerified(t, v, old)
	waitForRequests(t, iss, authtest.DiscoveryPath, 2)
	requireVerified(t, v, old)
}

func TestIssuerAway(t *testing.T) {
	for name, mode := range map[string]authtest.Mode{"down": authtest.Down, "failing": authtest.Failing, "garbage": authtest.Garbage,
		"endless": authtest.Endless, "redirect": authtest.Redirect, "renamed": authtest.Renamed} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			iss := authtest.Start(t, authtest.Options{Now: c.Now})
			v := verifierFor(t, iss, c)
			token := iss.Token(authtest.Claims{"exp": c.Now().Add(90 * 24 * time.Hour).Unix()})

			iss.SetMode(mode)
			_, err := v.Verify(t.Context(), token)
			refusal(t, err, token, auth.ReasonIssuerUnavailable)
			if v.Refresh(t.Context()) == nil {
				t.Error("Refresh found nothing wrong")
			}

			iss.SetMode(authtest.Up)
			_, err = v.Verify(t.Context(), token)
			refusal(t, err, token, auth.ReasonIssuerUnavailable) // asked a moment ago
			c.Add(2 * time.Second)
			requireVerified(t, v, token)

			iss.SetMode(mode)
			c.Add(24 * time.Hour)
			requireVerified(t, v, token) // with the keys at hand
			unknown, err := iss.Sign("", map[string]any{"kid": "new"}, authtest.Claims{"exp": c.Now().Add(time.Hour).Unix()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), unknown)
			refusal(t, err, unknown, auth.ReasonIssuerUnavailable)

			c.Add(11 * time.Second)
			_, err = v.Verify(t.Context(), token) // they are too old now
			refusal(t, err, token, auth.ReasonIssuerUnavailable)
			iss.SetMode(authtest.Up)
			c.Add(2 * time.Second)
			requireVerified(t, v, token)
		})
	}
}

func TestRefreshTellsTheIssuersName(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{Path: "/"})
	v := newVerifier(t, auth.VerifierConfig{Issuer: strings.TrimSuffix(iss.URL(), "/"), Audience: "gprxy"})
	err := v.Refresh(t.Context())
	if err == nil || !strings.Contains(err.Error(), "OIDC_ISSUER") || !strings.Contains(err.Error(), iss.URL()) {
		t.Errorf("a missing slash gives the error %v", err)
	}
}

func TestWaitsForTheIssuerAreLimited(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	iss.SetMode(authtest.Slow)
	token := iss.Token(nil)

	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: "gprxy"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := v.Verify(ctx, token)
	if refusal(t, err, token, auth.ReasonIssuerUnavailable); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the login's own deadline gives the error %v", err)
	}

	v = newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: "gprxy", HTTP: &http.Client{Timeout: 50 * time.Millisecond}})
	_, err = v.Verify(t.Context(), token)
	refusal(t, err, token, auth.ReasonIssuerUnavailable)
}

func TestLoginThatLeavesDoesNotSpoilTheFetch(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = v.Verify(gone, iss.Token(nil)) // begins the fetch and leaves
	requireVerified(t, v, iss.Token(nil))
	requireRequests(t, iss, 1)
}

func TestCloseEndsARefresh(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	token := iss.Token(nil)
	requireVerified(t, v, token)
	iss.SetMode(authtest.Slow)
	c.Add(11 * time.Minute)
	requireVerified(t, v, token)
	waitForRequests(t, iss, authtest.DiscoveryPath, 2)

	began := time.Now()
	v.Close()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	requireVerified(t, v, token)
	iss.SetMode(authtest.Up)
	if v.Refresh(t.Context()) == nil {
		t.Error("a closed verifier asks the issuer")
	}
	v.Close()
}

// lines is a log that tests read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func TestLogTellsOnlyTheTurn(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	var log lines
	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now,
		Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	iss.SetMode(authtest.Down)
	for range 3 {
		if v.Refresh(t.Context()) == nil {
			t.Fatal("the issuer is down, Refresh says nothing")
		}
	}
	iss.SetMode(authtest.Up)
	for range 2 {
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if away, back := log.count("cannot be refreshed"), log.count("fetched again"); away != 1 || back != 1 {
		t.Errorf("the log tells %d times that the issuer went and %d times that it came back", away, back)
	}
}
