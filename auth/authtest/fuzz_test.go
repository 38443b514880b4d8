// What a stranger can send, made up by a machine.

package authtest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzRedirectURI(f *testing.F) {
	for _, uri := range []string{"http://localhost/callback", "http://127.0.0.1:8085/callback", "http://[::1]:1/callback",
		"http://localhost:80@evil/callback", "http://localhost:/callback", "https://evil"} {
		f.Add(uri)
	}
	client := DefaultClients()[0]
	f.Fuzz(func(t *testing.T, uri string) {
		if !client.mayReturnTo(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || !isLoopback(u.Hostname()) || u.EscapedPath() != "/callback" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is let through", uri)
		}
	})
}

func FuzzUserCode(f *testing.F) {
	for _, typed := range []string{"BCDF-GHJK", "bcdf ghjk", "", "A", "ſ", strings.Repeat("B", 200)} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code := readUserCode(typed)
		if again := readUserCode(code); len(code) <= 100 && again != code || strings.Trim(code, userAlphabet+"-") != "" {
			t.Errorf("%q is read as %q, and that as %q", typed, code, again)
		}
	})
}

// No request of a stranger may give tokens, or any answer that is no answer.
func FuzzRequests(f *testing.F) {
	iss, err := New(Options{Users: map[string]Person{"carol": {Password: "secret"}},
		Clients: append(DefaultClients(), Client{ID: "web", Secret: "secret"})})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = iss.Close() })
	handler := guard(iss.routes())
	f.Add(TokenPath, "", "grant_type=authorization_code&client_id=gprxy-cli&code=x&code_verifier=y", "")
	f.Add(TokenPath, "", "grant_type=refresh_token&client_id=gprxy-cli&refresh_token=x.y", "Basic d2ViOng=")
	f.Add(TokenPath, "", "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=gprxy-cli&device_code=x", "")
	f.Add(AuthorizePath, "client_id=gprxy-cli&redirect_uri=http://localhost/callback&response_type=code", "as=carol", "")
	f.Add(DevicePath, "user_code=BCDF-GHJK", "login=carol&password=x", "")
	f.Add(RevokePath, "", "token=x&client_id=gprxy-cli", "")
	f.Add(UserinfoPath, "", "", "Bearer x")
	f.Fuzz(func(t *testing.T, path, query, body, authorization string) {
		if path != DeviceCodePath && !strings.Contains(TokenPath+AuthorizePath+DevicePath+RevokePath+UserinfoPath, path) ||
			!strings.HasPrefix(path, "/") {
			return
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := httptest.NewRequest(method, "http://127.0.0.1/", strings.NewReader(body))
			r.URL.Path, r.URL.RawQuery = path, query
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			location := w.Header().Get("Location")
			if w.Code >= 500 && w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "access_token") ||
				strings.Contains(location, "code=") && !strings.Contains(location, "error=") {
				t.Errorf("%s %s?%s with %q: status %d, %s %s", method, path, query, body, w.Code, location, w.Body)
			}
		}
	})
}
