// What is meant as a token, and what is a password.

package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestTokenIn(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	token := iss.Token(nil)
	for name, password := range map[string]string{
		"as it is": token, "a line break": token + "\n", "a Windows line break": token + "\r\n", "blanks": "  " + token + "\t",
		"double quotes": `"` + token + `"`, "single quotes": "'" + token + "'", "typographic quotes": "“" + token + "”",
		"Bearer": "Bearer " + token, "bearer and blanks": " bearer   " + token + " ", "a whole header": "Authorization: Bearer " + token,
		"quotes around Bearer": `"Bearer ` + token + "\"\n", "no-break spaces": "\u00a0" + token + "\u00a0",
		"a byte order mark": "\ufeff" + token,
	} {
		got, meant := auth.TokenIn(password)
		if !meant || got != token {
			t.Errorf("%s: it is not taken for the token", name)
		}
	}
	raw := base64.RawURLEncoding.EncodeToString
	head, body, _ := strings.Cut(token, ".")
	body, _, _ = strings.Cut(body, ".")
	encrypted := raw([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..aXY.Y2lwaGVy.dGFn"
	for name, test := range map[string]struct{ password, reason string }{
		"encrypted":               {encrypted, auth.ReasonEncrypted},
		"encrypted, after Bearer": {"Bearer " + encrypted + "\n", auth.ReasonEncrypted},
		"the header alone":        {head, auth.ReasonTruncated},
		"half a header":           {head[:20], auth.ReasonTruncated},
		"no signature":            {head + "." + body, auth.ReasonTruncated},
		"half a payload":          {head + "." + body[:10], auth.ReasonTruncated},
		"a line break within":     {token[:30] + "\n" + token[30:], auth.ReasonMalformed},
		"padding":                 {head + "=." + body + "=.c2ln", auth.ReasonMalformed},
		"no alg":                  {raw([]byte(`{"typ":"JWT"}`)) + ".e30.c2ln", auth.ReasonMalformed},
		"four parts":              {token + ".x", auth.ReasonMalformed},
		"a header with blanks":    {raw([]byte("{ \n \"alg\": \"RS256\" }")) + ".e30", auth.ReasonTruncated},
		"too large":               {head + "." + strings.Repeat("A", auth.MaxTokenBytes) + ".c2ln", auth.ReasonTooLarge},
		"Google's access token":   {"ya29." + strings.Repeat("a0Ad52-_", 20), auth.ReasonOpaque},
	} {
		meant, ok := auth.TokenIn(test.password)
		if !ok {
			t.Errorf("%s: it is taken for a password", name)
			continue
		}
		if _, err := v.Verify(t.Context(), meant); true {
			refusal(t, err, meant, test.reason)
		}
	}
	for _, password := range []string{"", "hunter2", "a.b.c", "my.own.password", "eyJ", "eyJohnny", "eyJohnny.was.here", "eyJim.b.c", "...",
		"....", "a.b.c.d.e",
		"Bearer of bad news", "bearer", "\"quoted\"", " blank ", "ya29.short", "e30.e30.e30", "ey\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9",
		strings.Repeat("é", 40)} {
		if token, meant := auth.TokenIn(password); meant {
			t.Errorf("the password %q is taken for the token %q", password, token)
		}
	}
}
