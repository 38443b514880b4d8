// A token that was let in before is checked like any other.

package auth_test

import (
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestATokenSeenBeforeIsCheckedAllTheSame(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	token := iss.Token(nil)
	for range 3 {
		requireVerified(t, v, token)
	}
	signed, signature, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(signature, ".")
	other := iss.Token(authtest.Claims{"email": "somebody.else@example.com"})
	otherHead, rest, _ := strings.Cut(other, ".")
	otherPayload, otherSignature, _ := strings.Cut(rest, ".")
	for name, forged := range map[string]string{
		"another's signature": signed + "." + payload + "." + otherSignature,
		"another's payload":   otherHead + "." + otherPayload + "." + signature,
	} {
		_, err := v.Verify(t.Context(), forged)
		if refused := refusal(t, err, forged, auth.ReasonBadSignature); refused == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	c.Add(24 * time.Hour)
	_, err := v.Verify(t.Context(), token)
	refusal(t, err, token, auth.ReasonExpired)
}

func BenchmarkVerifyAgain(b *testing.B) {
	iss := authtest.Start(b, authtest.Options{})
	v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience()})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	token := iss.Token(nil)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
