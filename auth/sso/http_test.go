// Bounds on what an issuer may answer, and when its tokens end.

package sso

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// roundTrip is an issuer that answers each request as told.
type roundTrip func(*http.Request) (*http.Response, error)

func (a roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// endless is a body that fails when much more of it is read than may be.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 2*maxResponseBody {
		return 0, errors.New("still read after twice the limit")
	}
	return len(p), nil
}

func (e *endless) Close() error { return nil }

func TestRequestsAreLimited(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: requestTimeout, time.Hour: requestTimeout, time.Second: time.Second} {
		if got := limited(&http.Client{Timeout: given}).Timeout; got != want {
			t.Errorf("a client that waits %v waits %v, want %v", given, got, want)
		}
	}
	get := func(client *http.Client, address string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = fetch(limited(client), r)
		return err
	}
	large := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: &endless{}}, nil
	})}
	if err := get(large, "https://login.example.com"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an endless answer: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
	}))
	defer server.Close()
	if get(nil, server.URL) == nil {
		t.Error("a head of 100 kB is taken")
	}
}

// A token ends when the answer or the token itself says, whichever comes first.
func TestWhenATokenEnds(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	f := &flow{config: Config{Now: func() time.Time { return now }}}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, test := range []struct {
		answer, token, want time.Duration // from now; 0: it does not say
	}{
		{time.Hour, 0, time.Hour}, {0, time.Hour, time.Hour}, {time.Hour, time.Minute, time.Minute}, {time.Minute, time.Hour, time.Minute},
	} {
		claims := "{}"
		if test.token > 0 {
			claims = fmt.Sprintf(`{"exp":%d}`, now.Add(test.token).Unix())
		}
		access := encode(`{"alg":"ES256"}`) + "." + encode(claims) + "." + encode("signature")
		got := f.expires(&oauth2.Token{ExpiresIn: int64(test.answer / time.Second)}, Tokens{Access: auth.Secret(access)}, time.Time{})
		if got != now.Add(test.want) {
			t.Errorf("%v by the answer and %v by the token: it ends %v from now", test.answer, test.token, got.Sub(now))
		}
	}
}
