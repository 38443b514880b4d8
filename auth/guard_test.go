// Bounds that no issuer of the tests comes near, each at its place.

package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answers is an issuer that answers each request as told.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// endless is a body that counts how much of it is read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	if e.read > 2*maxResponseBody {
		return 0, errors.New("still read after twice the limit")
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func (e *endless) Close() error { return nil }

func TestAnswersOfTheIssuerAreBounded(t *testing.T) {
	const issuer = "https://login.example.com"
	var limit time.Duration
	var body *endless
	status := http.StatusOK
	client := newIssuerClient(issuer, &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
		if until, limited := r.Context().Deadline(); limited {
			limit = time.Until(until)
		}
		return &http.Response{StatusCode: status, Body: body}, nil
	})})
	body = &endless{}
	if _, err := client.get(t.Context(), issuer); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an endless answer: %v", err)
	}
	if limit <= 0 || limit > requestTimeout {
		t.Errorf("a request may take %v", limit)
	}
	body, status = &endless{}, http.StatusTeapot
	if _, err := client.get(t.Context(), issuer); err == nil || !strings.Contains(err.Error(), "418") || body.read > 0 {
		t.Errorf("an answer of status %d: %v, %d bytes of it read", status, err, body.read)
	}
}

func TestHeadsOfTheIssuersAnswersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
	}))
	defer server.Close()
	if _, err := newIssuerClient(server.URL, nil).get(t.Context(), server.URL); err == nil {
		t.Error("a head of 100 kB is taken")
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	if _, err := parseKeySet([]byte("[]")); err == nil || !strings.Contains(err.Error(), "read the key set") {
		t.Errorf("a list as key set: %v", err)
	}
	client := newIssuerClient("https://login.example.com", nil)
	if _, err := client.readDiscovery([]byte("[]")); err == nil || !strings.Contains(err.Error(), "read the discovery") {
		t.Errorf("a list as discovery document: %v", err)
	}
}

// newCache keeps what fetch brings, on a clock that stands.
func newCache(fetch func(context.Context) (keySet, error)) (*keyCache, *time.Time) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &keyCache{fetch: fetch, now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}, &now
}

// While the issuer is away, logins ask for it no more often than strangers may.
func TestOldKeysAreRefreshedNowAndThen(t *testing.T) {
	fetches := 0
	var away error
	c, now := newCache(func(context.Context) (keySet, error) { fetches++; return keySet{}, away })
	get := func() {
		t.Helper()
		if _, _, err := c.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.wg.Wait()
	}
	get()
	away = errors.New("the issuer is away")
	*now = now.Add(refreshAfter + time.Second)
	for range 5 {
		get()
	}
	if fetches != 2 {
		t.Errorf("the issuer was asked %d times, want 2", fetches)
	}
	*now = now.Add(askEvery)
	for range 5 {
		get()
	}
	if fetches != 3 {
		t.Errorf("the issuer was asked %d times, want 3", fetches)
	}
}

func TestAFetchEnds(t *testing.T) {
	c, _ := newCache(func(ctx context.Context) (keySet, error) {
		if until, limited := ctx.Deadline(); !limited || time.Until(until) > 2*requestTimeout {
			return nil, errors.New("it may take any time")
		}
		return keySet{}, nil
	})
	if err := c.refresh(t.Context()); err != nil {
		t.Error(err)
	}
	c, _ = newCache(func(context.Context) (keySet, error) { panic("an odd key") })
	if err := c.refresh(t.Context()); err == nil || c.usable() {
		t.Errorf("after a panic: %v", err)
	}
}

// What was proved of one token tells nothing of another, however the two are put together.
func TestProvedTokensAreKeptApart(t *testing.T) {
	token := func(input, signature string) *parsedToken {
		return &parsedToken{input: []byte(input), signature: []byte(signature)}
	}
	var p proved
	p.add(token("head.payload", "signature"), 1)
	for _, other := range []*parsedToken{
		token("head.payloads", "ignature"), token("head.payloa", "dsignature"), token("head.payload", ""), token("", "signature"),
		token("head.payloadsignature", ""), token("", "head.payloadsignature"),
	} {
		if p.has(other, 1) {
			t.Errorf("%q with the signature %q counts as proved", other.input, other.signature)
		}
	}
	if !p.has(token("head.payload", "signature"), 1) {
		t.Error("the token itself is not known")
	}
}

// Keys that changed prove anew, and what is remembered does not grow.
func TestProvedTokensAreForgotten(t *testing.T) {
	token := func(n int) *parsedToken { return &parsedToken{input: []byte{byte(n >> 8), byte(n)}} }
	var p proved
	p.add(token(1), 1)
	p.add(token(2), 2)
	if p.has(token(1), 2) || p.has(token(1), 1) || !p.has(token(2), 2) {
		t.Error("tokens proved with the keys before count, or those proved with these do not")
	}
	for n := range 3 * mostProved {
		p.add(token(n), 2)
		if size := len(p.tokens); size > mostProved {
			t.Fatalf("%d sums of %d bytes are kept", size, sha256.Size)
		}
	}
}

func TestQuoteIsShortAndWhole(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `""`,
		strings.Repeat("x", 64):        `"` + strings.Repeat("x", 64) + `"`,
		strings.Repeat("x", 65):        `"` + strings.Repeat("x", 64) + `"…`,
		strings.Repeat("x", 63) + "éé": `"` + strings.Repeat("x", 63) + `"…`, // no half of a character
		"a\nb":                         `"a\nb"`,
	} {
		if got := quote(text); got != want {
			t.Errorf("%q is quoted %s", text, got)
		}
	}
}
