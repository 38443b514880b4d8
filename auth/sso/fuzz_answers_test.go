// What an issuer may answer when it means ill, or is something else altogether.

package sso

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

const hostile = "https://login.example.com"

// answers is an issuer whose documents are what a fuzzer made up.
type answers map[string]answered // by path; discovery is an honest one if it is missing

type answered struct {
	status int
	kind   string // content type
	body   []byte
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	given, ok := a[r.URL.Path]
	if !ok && r.URL.Path == wellKnown {
		given = answered{http.StatusOK, "application/json", []byte(`{"issuer":"` + hostile + `","jwks_uri":"` + hostile +
			`/keys","authorization_endpoint":"` +
			hostile + `/authorize","token_endpoint":"` + hostile + `/token","device_authorization_endpoint":"` + hostile + `/device"}`)}
	} else if !ok {
		given = answered{status: http.StatusNotFound}
	}
	return &http.Response{
		StatusCode: given.status, Header: http.Header{"Content-Type": {given.kind}}, Body: io.NopCloser(bytes.NewReader(given.body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(given.body)),
	}, nil
}

func (a answers) config() Config {
	return Config{Issuer: hostile, ClientID: "cli", Audience: "gprxy", HTTP: &http.Client{Transport: a}}
}

// wantShowable: the person reads it on a terminal, and it holds no secret.
func wantShowable(t *testing.T, err error, secrets ...string) {
	t.Helper()
	text := err.Error()
	if strings.ContainsFunc(text, unicode.IsControl) || len(text) > 4096 {
		t.Errorf("the error is not fit for a terminal: %q", text)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the error holds the secret %q: %q", secret, text)
		}
	}
}

// FuzzDiscoveryDocument: endpoints are taken only where a code or a token may
// travel to, whatever the document says.
func FuzzDiscoveryDocument(f *testing.F) {
	for _, seed := range []string{
		`{"issuer":"` + hostile + `","token_endpoint":"https://login.example.com/token"}`,
		`{"issuer":"` + hostile + `","token_endpoint":"http://127.0.0.1/token"}`,
		`{"issuer":"` + hostile + `","token_endpoint":"https://u:p@login.example.com/token#x","scopes_supported":[1]}`,
		`{"issuer":"` + hostile + `","revocation_endpoint":"javascript:alert(1)","scopes_supported":["openid",null]}`,
		`{"issuer":"https://else.example.com"}`, `{"issuer":"\u001b[2J"}`, `[]`, `null`, ``, `<html>`,
	} {
		f.Add(uint16(200), []byte(seed))
	}
	f.Add(uint16(302), []byte(""))
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		c, err := answers{wellKnown: {int(status), "application/json", body}}.config().complete()
		if err != nil {
			t.Fatal(err)
		}
		m, err := discover(t.Context(), c)
		if err != nil {
			wantShowable(t, err)
			return
		}
		for _, address := range []string{m.Authorization, m.Token, m.Device, m.Revocation} {
			if address != "" && !strings.HasPrefix(strings.ToLower(address), "https://") {
				t.Errorf("%q is taken for an endpoint", address)
			}
		}
	})
}

// FuzzDeviceAnswer: whatever the issuer answers to a device login, the person is
// shown an address and a code that are what they look like, for a time and at a pace within bounds.
func FuzzDeviceAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"device_code":"the-device-code","user_code":"ABCD-EFGH","verification_uri":"https://login.example.com/device","expires_in":600,"interval":5}`,
		`{"device_code":"d","user_code":"ABCD","verification_url":"https://login.example.com/device","expires_in":"600","interval":-5}`,
		`{"device_code":"d","user_code":"\u001b[2J","verification_uri":"https://login.example.com/device"}`,
		`{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)","verification_uri_complete":"file:///etc/passwd"}`,
		`{"device_code":"d","user_code":"A","verification_uri":"https://x/","expires_in":9223372036854775807,"interval":9223372036854775807}`,
		`{"device_code":"d","user_code":"A","verification_uri":"https://x/","expires_in":-1,"interval":0}`,
		`{"error":"invalid_client","error_description":"no\r\nsuch\u0000client"}`, `{}`, `[]`, ``, `null`,
	} {
		f.Add(uint16(200), "application/json", []byte(seed))
		f.Add(uint16(400), "text/html", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status uint16, kind string, body []byte) {
		flow, err := openFlow(t.Context(), answers{"/device": {int(status), kind, body}}.config())
		if err != nil {
			t.Fatal(err)
		}
		defer flow.close()
		began := time.Now()
		device, err := flow.startDevice(t.Context())
		if err != nil {
			wantShowable(t, err)
			return
		}
		if device.Interval < 1 || device.Interval > 60 || device.Expiry.IsZero() || device.Expiry.After(began.Add(maxDeviceLife+time.Minute)) {
			t.Errorf("%q is waited for every %d s until %v", body, device.Interval, device.Expiry)
		}
		for _, shown := range []string{device.UserCode, device.VerificationURI, device.VerificationURIComplete} {
			if !isPrintable(shown) {
				t.Errorf("the person is shown %q", shown)
			}
		}
		if !strings.HasPrefix(strings.ToLower(device.VerificationURI), "http") || device.DeviceCode == "" || device.UserCode == "" {
			t.Errorf("%q becomes %+v", body, device)
		}
	})
}

// FuzzTokenAnswer: whatever the token endpoint answers to a refresh, what is kept
// can be stored and sent, and the refresh token stands in no error.
func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"next"}`,
		`{"access_token":"a","expires_in":"3600"}`, `{"access_token":"a b"}`, `{"access_token":"a","id_token":"e30.e30.e30"}`,
		`{"access_token":"a","refresh_token":"\u0000","id_token":7}`, `{"access_token":"a","expires_in":-9223372036854775808}`,
		`{"error":"invalid_grant","error_description":"the-refresh-token was used"}`, `access_token=a&expires_in=9999999999999`, `{}`, `[]`, ``,
	} {
		f.Add(uint16(200), "application/json", []byte(seed))
		f.Add(uint16(400), "application/x-www-form-urlencoded", []byte(seed))
	}
	const refresh = "the-refresh-token-of-this-login"
	f.Fuzz(func(t *testing.T, status uint16, kind string, body []byte) {
		flow, err := openFlow(t.Context(), answers{"/token": {int(status), kind, body}}.config())
		if err != nil {
			t.Fatal(err)
		}
		defer flow.close()
		old := Tokens{Issuer: hostile, ClientID: "cli", Audience: "gprxy", Access: "old", Refresh: refresh, User: "ann", Subject: "1"}
		token, err := flow.oauth.TokenSource(flow.context(t.Context()), &oauth2.Token{RefreshToken: refresh}).Token()
		if err != nil {
			wantShowable(t, flow.refreshRefusal(t.Context(), err, old), refresh)
			return
		}
		fresh, err := flow.renew(t.Context(), old, token)
		if err != nil {
			wantShowable(t, err, refresh)
		}
		for _, secret := range []auth.Secret{fresh.Access, fresh.ID, fresh.Refresh} {
			if !isToken(secret) {
				t.Errorf("%q is kept as a token", secret.Reveal())
			}
		}
		if fresh.Refresh == "" || fresh.User != "ann" {
			t.Errorf("%q becomes %+v", body, fresh)
		}
		if _, err := encodeLogins([]Tokens{fresh}); err != nil {
			t.Errorf("what is kept cannot be written: %v", err)
		}
	})
}
