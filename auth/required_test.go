// What a token must say besides: REQUIRED_CLAIMS, AUDIENCE_CLAIM, CLOCK_SKEW, USER_CASE.

package auth_test

import (
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestRequiredClaims(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	for _, test := range []struct {
		name, required string
		claims         authtest.Claims
		missing        string // the claim that is missing, or wrong; "": accepted
	}{
		{"there", "hd=example.com", authtest.Claims{"hd": "example.com"}, ""},
		{"missing", "hd=example.com", nil, "hd"},
		{"null", "hd=example.com", authtest.Claims{"hd": nil}, "hd"},
		{"another", "hd=example.com", authtest.Claims{"hd": "gmail.com"}, "hd"},
		{"another case", "hd=example.com", authtest.Claims{"hd": "Example.com"}, "hd"},
		{"part of it", "hd=example.com", authtest.Claims{"hd": "example.com.evil.org"}, "hd"},
		{"one of two values", "hd=example.com|example.org", authtest.Claims{"hd": "example.org"}, ""},
		{"both claims", "hd=example.com, email_verified=true", authtest.Claims{"hd": "example.com", "email_verified": true}, ""},
		{"one of both", "hd=example.com,email_verified=true", authtest.Claims{"hd": "example.com", "email_verified": false}, "email_verified"},
		{"true as a text", "email_verified=true", authtest.Claims{"email_verified": "true"}, ""},
		{"a number", "level=2", authtest.Claims{"level": 2}, ""},
		{"in a list", "amr=mfa|hwk", authtest.Claims{"amr": []string{"pwd", "mfa"}}, ""},
		{"not in the list", "amr=mfa", authtest.Claims{"amr": []string{"pwd"}}, "amr"},
		{"an empty list", "amr=mfa", authtest.Claims{"amr": []string{}}, "amr"},
		{"an object", "amr=mfa", authtest.Claims{"amr": map[string]any{"mfa": true}}, "amr"},
		{"a path", "ext.team=db", authtest.Claims{"ext": map[string]any{"team": "db"}}, ""},
		{"an address as its name", "https://example.com/staff=true", authtest.Claims{"https://example.com/staff": true}, ""},
		{"a value with = in it", "id=a=b", authtest.Claims{"id": "a=b"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			required, err := auth.ParseRequiredClaims(test.required)
			if err != nil {
				t.Fatal(err)
			}
			v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, Required: required})
			token := iss.Token(test.claims)
			_, err = v.Verify(t.Context(), token)
			if test.missing == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := refusal(t, err, token, auth.ReasonRequiredClaim); !strings.Contains(e.Detail, `"`+test.missing+`"`) || e.User == "" ||
				!e.Genuine {
				t.Errorf("refused as %+v", e)
			}
		})
	}
	for _, wrong := range []string{"hd", "hd=", "=x", "hd=a,", "hd=a||b", "hd=a,hd=b", ","} {
		if required, err := auth.ParseRequiredClaims(wrong); err == nil {
			t.Errorf("%q is read as %+v", wrong, required)
		}
	}
}

func TestAudienceInAnotherClaim(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: "app-1", AudienceClaim: "client_id", Now: c.Now})
	if _, err := v.Verify(t.Context(), iss.Token(authtest.Claims{"aud": nil, "client_id": "app-1", "token_use": "access"})); err != nil {
		t.Error(err)
	}
	for _, claims := range []authtest.Claims{{"aud": nil, "client_id": "app-2"}, {"aud": "app-1"}, {"aud": "app-1", "client_id": "app-2"}} {
		token := iss.Token(claims)
		_, err := v.Verify(t.Context(), token)
		refusal(t, err, token, auth.ReasonWrongAudience)
	}
	usual := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: "app-1", Now: c.Now})
	token := iss.Token(authtest.Claims{"aud": nil, "client_id": "app-1"})
	_, err := usual.Verify(t.Context(), token)
	refusal(t, err, token, auth.ReasonWrongAudience)
}

func TestClockSkew(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, ClockSkew: 2 * time.Minute})
	for _, test := range []struct {
		claim  string
		at     time.Duration
		reason string
	}{
		{"exp", -119 * time.Second, ""}, {"exp", -120 * time.Second, auth.ReasonExpired},
		{"nbf", 120 * time.Second, ""}, {"nbf", 121 * time.Second, auth.ReasonNotYetValid},
	} {
		token := iss.Token(authtest.Claims{test.claim: c.Now().Add(test.at).Unix()})
		_, err := v.Verify(t.Context(), token)
		if test.reason != "" {
			refusal(t, err, token, test.reason)
		} else if err != nil {
			t.Errorf("%s %v away: %v", test.claim, test.at, err)
		}
	}
}

// One person is one name, and two people never become one.
func TestFoldUser(t *testing.T) {
	for name, want := range map[string]string{
		"Ann@Example.COM":       "ann@example.com",
		"ÉMILE@example.com":     "émile@example.com",
		"Ann":                   "Ann",
		"ACME\\Ann":             "ACME\\Ann",
		"aBcD@clients":          "aBcD@clients",
		"Ann@Example@Corp.com":  "Ann@Example@Corp.com",
		"Ann Smith@Example.com": "Ann Smith@Example.com",
		"@Example.com":          "@Example.com",
		"Ann@.com":              "Ann@.com",
		"\u212Aim@example.com":  "\u212Aim@example.com", // the Kelvin sign is no k
		"\u0130lk@example.com":  "\u0130lk@example.com", // nor this an i
		"\u0131lk@example.com":  "\u0131lk@example.com",
		"\u2126@example.com":    "\u2126@example.com", // nor the sign for ohm an omega
	} {
		if got := auth.FoldUser(name); got != want {
			t.Errorf("%q is folded to %q, want %q", name, got, want)
		}
	}
}

func TestUserCase(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	for exact, want := range map[bool]string{false: "ann@example.com", true: "Ann@Example.com"} {
		v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, ExactUsers: exact})
		id, err := v.Verify(t.Context(), iss.Token(authtest.Claims{"email": "Ann@Example.com"}))
		if err != nil || id.User != want || id.Spelled != "Ann@Example.com" {
			t.Errorf("got %+v, %v", id, err)
		}
		token := iss.Token(authtest.Claims{"email": "Ann@Example.com", "exp": 1})
		_, err = v.Verify(t.Context(), token)
		if e := refusal(t, err, token, auth.ReasonExpired); e.User != want {
			t.Errorf("the refusal names %q", e.User)
		}
	}
}
