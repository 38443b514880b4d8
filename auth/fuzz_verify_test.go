// Hostile tokens against a real issuer's keys.

package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

// FuzzVerify: no string is accepted but what the issuer signed, as it signed it.
func FuzzVerify(f *testing.F) {
	c := newClock()
	iss, err := authtest.New(authtest.Options{Algorithms: []string{"ES256", "EdDSA", "RS256"}, Now: c.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := iss.Close(); err != nil {
			f.Error(err)
		}
	})
	v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(v.Close)
	signed := map[string]bool{} // what a signature covers, of tokens that are good
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		good, err := iss.Sign(alg, nil, authtest.Claims{"email": "ann@example.com", "roles": []string{"reader"}})
		if err != nil {
			f.Fatal(err)
		}
		signed[good[:strings.LastIndexByte(good, '.')]] = true
		f.Add(good)
		for _, spoilt := range []string{good + ".", good + "=", good[:len(good)-2], strings.Replace(good, ".", "..", 1), " " + good,
			good + "\n"} {
			f.Add(spoilt)
		}
	}
	for _, bad := range []authtest.Claims{{"exp": c.Now().Add(-time.Hour).Unix()}, {"aud": "else"}, {"iss": "https://else.example.com"},
		{"exp": "x"}, {"sub": []any{1}}} {
		f.Add(iss.Token(bad))
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(t.Context(), token)
		if err == nil {
			if at := strings.LastIndexByte(token, '.'); at < 0 || !signed[token[:at]] || id.User != "ann@example.com" {
				t.Errorf("%q is accepted as %+v", token, id)
			}
			return
		}
		refused, ok := errors.AsType[*auth.TokenError](err)
		if !ok || refused.Reason == "" || id.User != "" || id.Roles != nil {
			t.Errorf("%q: %v, and %+v", token, err, id)
		}
		if strings.ContainsFunc(err.Error(), unicode.IsControl) {
			t.Errorf("%q: the error has control characters: %q", token, err)
		}
	})
}
