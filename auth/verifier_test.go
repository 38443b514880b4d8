// Tokens that are accepted and tokens that are refused, against a real issuer.

package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newVerifier(t testing.TB, c auth.VerifierConfig) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// verifierFor trusts iss on the clock's time.
func verifierFor(t testing.TB, iss *authtest.Issuer, c *clock) *auth.Verifier {
	t.Helper()
	return newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now})
}

// refusal requires a *auth.TokenError that does not quote the token.
func refusal(t *testing.T, err error, token, reason string) *auth.TokenError {
	t.Helper()
	refused, ok := errors.AsType[*auth.TokenError](err)
	if !ok {
		t.Fatalf("got error %v, want a refusal with reason %s", err, reason)
	}
	if refused.Reason != reason {
		t.Fatalf("refused as %q (%v), want %q", refused.Reason, err, reason)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
	return refused
}

func TestGoodToken(t *testing.T) {
	for _, path := range []string{"", "/", "/realms/demo", "/tenant/"} {
		t.Run("issuer ends with "+path, func(t *testing.T) {
			c := newClock()
			iss := authtest.Start(t, authtest.Options{Path: path, Now: c.Now})
			token := iss.Token(authtest.Claims{"email": "ann@example.com", "roles": []string{"reader", "writer", "reader"}, "jti": "j1"})
			id, err := verifierFor(t, iss, c).Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			want := auth.Identity{User: "ann@example.com", Method: "token", Issuer: iss.URL(), Subject: "test|1",
				TokenID: "j1", Expires: c.Now().Add(time.Hour)}
			if !slices.Equal(id.Roles, []string{"reader", "writer"}) {
				t.Errorf("roles are %q", id.Roles)
			}
			if id.Roles = nil; !sameIdentity(id, want) {
				t.Errorf("got %+v\nwant %+v", id, want)
			}
		})
	}
}

func sameIdentity(a, b auth.Identity) bool {
	return a.User == b.User && a.Method == b.Method && a.Issuer == b.Issuer && a.Subject == b.Subject &&
		a.TokenID == b.TokenID && a.Expires.Equal(b.Expires) && slices.Equal(a.Roles, b.Roles)
}

func TestEveryAlgorithm(t *testing.T) {
	c := newClock()
	algorithms := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	iss := authtest.Start(t, authtest.Options{Algorithms: algorithms, Now: c.Now})
	v := verifierFor(t, iss, c)
	for _, alg := range algorithms {
		for name, header := range map[string]map[string]any{"": nil, " without kid": {"kid": nil}} {
			t.Run(alg+name, func(t *testing.T) {
				token, err := iss.Sign(alg, header, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				_, err = v.Verify(t.Context(), flipSignature(token))
				refusal(t, err, token, auth.ReasonBadSignature)
			})
		}
	}
}

// flipSignature changes the first byte of the signature.
func flipSignature(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	first := byte('A')
	if token[at] == 'A' {
		first = 'B'
	}
	return token[:at] + string(first) + token[at+1:]
}

func TestClaimsThatRefuse(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	at := func(d time.Duration) int64 { return c.Now().Add(d).Unix() }
	for _, test := range []struct {
		name   string
		claims authtest.Claims
		reason string // empty: accepted
	}{
		{"nothing special", nil, ""},
		{"another issuer", authtest.Claims{"iss": "https://elsewhere.example.com/"}, auth.ReasonWrongIssuer},
		{"issuer with a slash added", authtest.Claims{"iss": iss.URL() + "/"}, auth.ReasonWrongIssuer},
		{"no issuer", authtest.Claims{"iss": nil}, auth.ReasonWrongIssuer},
		{"issuer is a list", authtest.Claims{"iss": []string{iss.URL()}}, auth.ReasonWrongIssuer},
		{"another audience", authtest.Claims{"aud": "billing"}, auth.ReasonWrongAudience},
		{"no audience", authtest.Claims{"aud": nil}, auth.ReasonWrongAudience},
		{"empty audience list", authtest.Claims{"aud": []string{}}, auth.ReasonWrongAudience},
		{"audience in another case", authtest.Claims{"aud": "GPRXY"}, auth.ReasonWrongAudience},
		{"audience among others", authtest.Claims{"aud": []string{"billing", "gprxy"}}, ""},
		{"audience is a number", authtest.Claims{"aud": 7}, auth.ReasonBadClaims},
		{"audience list with a number", authtest.Claims{"aud": []any{"gprxy", 7}}, auth.ReasonBadClaims},
		{"expired, within the leeway", authtest.Claims{"exp": at(-29 * time.Second)}, ""},
		{"expired, at the leeway", authtest.Claims{"exp": at(-30 * time.Second)}, auth.ReasonExpired},
		{"expired long ago", authtest.Claims{"exp": 0}, auth.ReasonExpired},
		{"expiry with a fraction", authtest.Claims{"exp": float64(at(time.Hour)) + 0.5}, ""},
		{"no expiry", authtest.Claims{"exp": nil}, auth.ReasonBadClaims},
		{"expiry is a text", authtest.Claims{"exp": "2099-01-01"}, auth.ReasonBadClaims},
		{"expiry beyond year 9999", authtest.Claims{"exp": 1e300}, auth.ReasonBadClaims},
		{"expiry is negative", authtest.Claims{"exp": -1}, auth.ReasonBadClaims},
		{"valid soon, within the leeway", authtest.Claims{"nbf": at(30 * time.Second)}, ""},
		{"valid later", authtest.Claims{"nbf": at(31 * time.Second)}, auth.ReasonNotYetValid},
		{"nbf is a text", authtest.Claims{"nbf": "now"}, auth.ReasonBadClaims},
		{"made in the future", authtest.Claims{"iat": at(31 * time.Second)}, auth.ReasonNotYetValid},
		{"no iat", authtest.Claims{"iat": nil}, ""},
		{"nobody", authtest.Claims{"sub": nil}, auth.ReasonNoIdentity},
		{"empty sub", authtest.Claims{"sub": ""}, auth.ReasonNoIdentity},
		{"sub is a number", authtest.Claims{"sub": 42}, auth.ReasonNoIdentity},
		{"sub with a line break", authtest.Claims{"sub": "ann\nroot"}, auth.ReasonNoIdentity},
		{"sub with an invisible character", authtest.Claims{"sub": "ann\u202e"}, auth.ReasonNoIdentity},
		{"sub with a space at its end", authtest.Claims{"sub": "ann "}, auth.ReasonNoIdentity},
		{"sub with a line separator", authtest.Claims{"sub": "ann\u2028root"}, auth.ReasonNoIdentity},
		{"sub with a paragraph separator", authtest.Claims{"sub": "ann\u2029root"}, auth.ReasonNoIdentity},
		{"sub with half a character", authtest.Claims{"sub": json.RawMessage(`"ann\ud800"`)}, auth.ReasonNoIdentity},
		{"sub of 256 bytes", authtest.Claims{"sub": strings.Repeat("s", 256)}, ""},
		{"sub of 257 bytes", authtest.Claims{"sub": strings.Repeat("s", 257)}, auth.ReasonNoIdentity},
		{"email, but sub is broken", authtest.Claims{"email": "a@b.c", "sub": []int{1}}, auth.ReasonBadClaims},
		{"nested 20 deep", authtest.Claims{"x": nestedObject(20)}, auth.ReasonMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := iss.Token(test.claims)
			id, err := v.Verify(t.Context(), token)
			if test.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refusal(t, err, token, test.reason)
			if id.User != "" || id.Roles != nil {
				t.Errorf("a refused token gave the identity %+v", id)
			}
		})
	}
}

func nestedObject(depth int) any {
	nested := any("bottom")
	for range depth {
		nested = map[string]any{"a": nested}
	}
	return nested
}

func TestRefusalNamesPersonOnlyWhenProved(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	claims := authtest.Claims{"email": "ann@example.com", "jti": "j7", "exp": c.Now().Add(-time.Hour).Unix()}
	token := iss.Token(claims)

	_, err := v.Verify(t.Context(), token)
	e := refusal(t, err, token, auth.ReasonExpired)
	if e.User != "ann@example.com" || e.TokenID != "j7" || e.Issuer != iss.URL() {
		t.Errorf("a proved but expired token is recorded as %+v", e)
	}
	_, err = v.Verify(t.Context(), flipSignature(token))
	e = refusal(t, err, token, auth.ReasonBadSignature)
	if e.User != "" || e.TokenID != "" || e.Issuer != iss.URL() {
		t.Errorf("a token that proves nothing is recorded as %+v", e)
	}
}

func TestTokenIDWithoutJTI(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	for name, jti := range map[string]any{"none": nil, "a number": 7, "control characters": "a\tb", "too long": strings.Repeat("j", 257)} {
		t.Run(name, func(t *testing.T) {
			token := iss.Token(authtest.Claims{"jti": jti})
			id, err := v.Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(token))
			if want := hex.EncodeToString(sum[:])[:16]; id.TokenID != want {
				t.Errorf("token id is %q, want %q", id.TokenID, want)
			}
		})
	}
}

func TestSizeOfToken(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	base := len(iss.Token(authtest.Claims{"pad": "", "jti": "j"}))
	for _, size := range []int{900, 1100, 4096, 8192, 60000, auth.MaxTokenBytes} {
		pad := (size - base) * 3 / 4
		token := iss.Token(authtest.Claims{"pad": strings.Repeat("x", pad), "jti": "j"})
		if len(token) > size || len(token) < size-4 {
			t.Fatalf("the test made %d bytes instead of %d", len(token), size)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("a token of %d bytes: %v", len(token), err)
		}
		if !auth.LooksLikeToken(token) {
			t.Errorf("a token of %d bytes does not look like one", len(token))
		}
	}
	token := iss.Token(authtest.Claims{"pad": strings.Repeat("x", auth.MaxTokenBytes)})
	_, err := v.Verify(t.Context(), token)
	refusal(t, err, token, auth.ReasonTooLarge)
	if auth.LooksLikeToken(token) {
		t.Error("a token that is too large looks like one")
	}
}

func TestNewVerifierSettings(t *testing.T) {
	good := auth.VerifierConfig{Issuer: "https://login.example.com/", Audience: "gprxy"}
	for _, test := range []struct{ issuer, wrong string }{
		{"https://login.example.com/", ""},
		{"https://login.example.com/realms/demo", ""},
		{"http://localhost:8080", ""},
		{"http://127.0.0.2:8080/", ""},
		{"http://[::1]:8080", ""},
		{"http://login.example.com/", "https"},
		{"http://localhost.example.com/", "https"},
		{"ftp://localhost/", "https"},
		{"login.example.com", "not an address"},
		{"", "not an address"},
		{"https://", "not an address"},
		{"https://[::1", "not an address"},
		{"https://user:pw@login.example.com/", "user"},
		{"https://login.example.com/#x", "fragment"},
		{"https://login.example.com/?tenant=1", "query"},
		{"https://login.example.com/?", "query"},
	} {
		c := good
		c.Issuer = test.issuer
		_, err := auth.NewVerifier(c)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("issuer %q: got error %v, want one about %q", test.issuer, err, test.wrong)
		}
	}
	_, err := auth.NewVerifier(auth.VerifierConfig{Issuer: "nonsense"})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "audience") {
		t.Errorf("two mistakes give the error %v", err)
	}
}
