// What a login by token costs, and what a stranger's bytes can cost.

package auth_test

import (
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func BenchmarkVerify(b *testing.B) {
	iss := authtest.Start(b, authtest.Options{Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}})
	v := newVerifier(b, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience()})
	claims := authtest.Claims{"email": "ann@example.com", "roles": strings.Fields(strings.Repeat("some-role-name ", 20))}
	for _, alg := range iss.Algorithms() {
		token, err := iss.Sign(alg, nil, claims)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStranger(b *testing.B) {
	iss := authtest.Start(b, authtest.Options{})
	v := newVerifier(b, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience()})
	many := map[string]any{}
	for i := range 4000 {
		many["n"+strings.Repeat("x", i%3)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))] = 1
	}
	token := iss.Token(authtest.Claims{"iss": "https://elsewhere.example.com", "x": many})
	b.Run("64kB token of 4,000 names", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	for name, password := range map[string]string{"password": "correct horse battery staple", "64kB token": token,
		"64kB dots": strings.Repeat(".", 64<<10)} {
		b.Run("looks like a token: "+name, func(b *testing.B) {
			for b.Loop() {
				auth.LooksLikeToken(password)
			}
		})
	}
}
