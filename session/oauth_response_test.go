package session

import (
	"errors"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/session/refusal"
)

// What PostgreSQL makes of an initial client response (src/backend/libpq/auth-oauth.c).
func TestClientResponses(t *testing.T) {
	const pair, separators, flag = "invalid key/value pair", "key-value separator expected", "unexpected channel-binding flag"
	for _, test := range []struct{ name, response, auth, wrong string }{
		{"a token", "n,,\x01auth=Bearer x\x01\x01", "Bearer x", ""},
		{"channel binding is known, and not used", "y,,\x01auth=Bearer x\x01\x01", "Bearer x", ""},
		{"other keys", "n,,\x01host=h\x01auth=Bearer x\x01port=1\t2\x01\x01", "Bearer x", ""},
		{"the question where to log in", "n,,\x01auth=\x01\x01", "", ""},
		{"nothing", "", "", flag},
		{"a zero byte", "n,,\x01auth=x\x00\x01\x01", "", "embedded null"},
		{"channel binding", "p=tls-exporter,,\x01auth=x\x01\x01", "", "does not support channel binding"},
		{"channel binding without a name", "p,,\x01auth=x\x01\x01", "", "does not support channel binding"},
		{"another flag", "x,,\x01auth=x\x01\x01", "", flag},
		{"a flag alone", "n", "", flag},
		{"another person's name", "n,a=eve,\x01auth=x\x01\x01", "", "authorization identity"},
		{"a header without an end", "n,", "", separators},
		{"a header alone", "n,,", "", separators},
		{"a header that goes on", "n,,x\x01auth=x\x01\x01", "", separators},
		{"no pair", "n,,\x01\x01", "", "does not contain an auth value"},
		{"another pair", "n,,\x01host=h\x01\x01", "", "does not contain an auth value"},
		{"auth twice", "n,,\x01auth=x\x01auth=x\x01\x01", "", "multiple auth values"},
		{"a pair without an end", "n,,\x01auth=x", "", pair},
		{"pairs without an end", "n,,\x01auth=x\x01", "", pair},
		{"a key alone", "n,,\x01auth\x01\x01", "", pair},
		{"a value alone", "n,,\x01=x\x01auth=x\x01\x01", "", pair},
		{"a key with a digit", "n,,\x01a1=x\x01auth=x\x01\x01", "", pair},
		{"a value with an unprintable character", "n,,\x01a=\x7f\x01auth=x\x01\x01", "", pair},
		{"a value beyond ASCII", "n,,\x01a=\xc3\xa9\x01auth=x\x01\x01", "", pair},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseClientResponse([]byte(test.response))
			if test.wrong == "" {
				if err != nil || got != test.auth {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			refused, ok := errors.AsType[*refusal.Error](err)
			if !ok || !strings.Contains(refused.Message+refused.Detail, test.wrong) {
				t.Errorf("got %q, %v; want a refusal for %q", got, err, test.wrong)
			}
		})
	}
}

func TestBearerTokens(t *testing.T) {
	for _, test := range []struct{ value, token, wrong string }{
		{"Bearer a.b-c_d~e+f/1==", "a.b-c_d~e+f/1==", ""},
		{"bEARER   x", "x", ""},
		{"Basic dXNlcjpwYXNz", "", "scheme"},
		{"Bearer", "", "scheme"},
		{"B", "", "scheme"},
		{"Bearer ", "", "characters"},
		{"Bearer ==", "", "characters"},
		{"Bearer a b", "", "characters"},
		{"Bearer a=b", "", "characters"},
		{"Bearer a,b", "", "characters"},
	} {
		got, err := cutBearer(test.value)
		failure, failed := errors.AsType[*refusal.AuthFailure](err)
		if got != test.token || failed != (test.wrong != "") || failed && (failure.Reason != auth.ReasonMalformed ||
			!strings.Contains(failure.Detail, test.wrong)) {
			t.Errorf("%q: got %q, %v", test.value, got, err)
		}
	}
}
