// What strangers can send: to the callback, in an error, in the file.

package sso

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"gprxy/auth"
)

// FuzzCallback: only a request with the state, on the path, under the name, is the answer.
func FuzzCallback(f *testing.F) {
	for _, query := range []string{"state=right&code=x", "state=wrong&code=x", "code=x", "state=right&state=right",
		"state=right&error=access_denied&iss=y", "state=right;code=x", "%73tate=right", "state=right%00", ""} {
		f.Add("GET", "localhost:8085", "/callback", query)
	}
	f.Add("POST", "localhost:8085", "/callback", "state=right")
	f.Add("GET", "evil.example.com", "/callback", "state=right")
	f.Add("GET", "localhost:8085", "/callback/", "state=right")
	f.Fuzz(func(t *testing.T, method, host, path, query string) {
		b := waiting()
		b.end(b.round, page{Status: http.StatusOK})
		r := &http.Request{Method: method, Host: host, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		values, err := url.ParseQuery(query)
		right := method == "GET" && strings.EqualFold(host, "localhost:8085") && path == "/callback" && err == nil &&
			len(values["state"]) == 1 && values["state"][0] == "right"
		for _, list := range values {
			right = right && len(list) == 1
		}
		if got := len(b.round.answers) == 1; got != right || (w.Code == http.StatusOK) != right {
			t.Errorf("%s %s %s?%s: taken %v, want %v, status %d", method, host, path, query, got, right, w.Code)
		}
	})
}

// waiting is a callback that waits for an answer with the state "right".
func waiting() *callback {
	r := newRound()
	r.state = "right"
	return &callback{url: "http://localhost:8085/callback", host: "localhost:8085", path: "/callback", round: r}
}

// FuzzPasted: only the address that the browser ended at is the answer, and no text of it comes back.
func FuzzPasted(f *testing.F) {
	for _, text := range []string{
		"http://localhost:8085/callback?code=secret-code&state=right", " \"localhost:8085/callback?state=right&code=secret-code#_=_\"\r\n",
		"http://localhost:8085/callback?error=access_denied&state=right", "http://localhost:8085/callback?code=secret-code&state=wrong",
		"https://login.example.com/authorize?state=right&redirect_uri=x", "http://evil.example.com/callback?code=secret-code&state=right",
		"code=secret-code&state=right", "secret-code", "", "\x00", "http://localhost:8085/callback?code=secret-code&code=b&state=right",
		"http://[::1/%zz",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := waiting()
		problem := b.takePasted(text)
		if taken := len(b.round.answers) == 1; taken != (problem == "") {
			t.Fatalf("%q: taken %v, problem %q", text, taken, problem)
		}
		if strings.Contains(problem, "secret-code") {
			t.Errorf("%q is repeated: %s", text, problem)
		}
		if problem == "" && (!strings.Contains(text, "state=") && !strings.Contains(text, "%") ||
			!strings.Contains(strings.ToLower(text), "localhost:8085/callback?")) {
			t.Errorf("%q was taken", text)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("the code the-code was \x1b[2J used\nalready. ", "the-code")
	f.Add(strings.Repeat("é", 300), "é")
	f.Add("token eyJhbGciOiJub25lIn0.e30.", "x")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := clean(text, auth.Secret(secret))
		if len(got) > maxShown+len("…") || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) }) ||
			strings.Contains(got, "eyJ") {
			t.Errorf("%q becomes %q", text, got)
		}
		if len(secret) > 8 && !strings.Contains("[secret]", secret) && strings.Contains(got, secret) {
			t.Errorf("%q stands in %q", secret, got)
		}
	})
}

// FuzzCredentials: any file is read or refused, and what is read is written the same.
func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"version":1,"logins":[{"issuer":"i","client_id":"c","access_token":"a","expires":"2030-01-02T03:04:05Z"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"logins":[{}]}`))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeLogins("x", data)
		if err != nil {
			return
		}
		again, err := encodeLogins(list)
		if err != nil {
			return // a year beyond 9999 can be read but not written
		}
		if same, err := decodeLogins("x", again); err != nil || len(same) != len(list) {
			t.Errorf("%q is written as %q (error %v)", data, again, err)
		}
	})
}

// FuzzRedirect: what passes for a callback leads to this machine.
func FuzzRedirect(f *testing.F) {
	f.Add(DefaultCallbackURL, -1)
	f.Add("http://[::1]/x", 0)
	f.Add(DefaultCallbackURL+", http://127.0.0.1:8086/x,http://evil.example.com:80/", -1)
	f.Add("http://localhost@evil.example.com:80/", -1)
	f.Add("http://127.0.0.1.evil.example.com:80/", -1)
	f.Fuzz(func(t *testing.T, address string, port int) {
		list, err := Config{CallbackURL: address, Port: port}.redirects()
		if err != nil {
			return
		}
		for _, u := range list {
			again, err := url.Parse(u.String())
			if err != nil || !isLoopback(again.Hostname()) || again.Scheme != "http" || again.Port() == "" || again.User != nil {
				t.Errorf("%q becomes %q", address, u)
			}
		}
	})
}
