// What a browser gets: escaped, self-contained, labelled, and for this machine only.

package authtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gprxy/auth/authtest"
)

// browse gets a page with its headers.
func browse(t *testing.T, address string) (http.Header, string) {
	t.Helper()
	response, err := noRedirects.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Header, string(body)
}

func (w *world) pages() map[string]string {
	return map[string]string{
		"login":   w.loginPage(nil),
		"refusal": w.loginPage(map[string]string{"client_id": "x"}),
		"code":    w.at(authtest.DevicePath),
		"device":  w.must(w.device(nil)).CompletePage,
	}
}

func TestPagesNeedNothingFromElsewhere(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`)
	fetches := regexp.MustCompile(`(?i)\b(src|href|action)=|url\(|@import|<script|\son[a-z]+=`)
	for name, address := range w.pages() {
		header, body := browse(t, address)
		policy := header.Get("Content-Security-Policy")
		css := style.FindStringSubmatch(body)
		if css == nil {
			t.Fatalf("%s: no style: %.300s", name, body)
		}
		sum := sha256.Sum256([]byte(css[1]))
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
			"style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: %s is not in the policy %s", name, want, policy)
			}
		}
		if found := fetches.FindString(body); found != "" {
			t.Errorf("%s: the page has %q", name, found)
		}
	}
	header, _ := browse(t, w.loginPage(nil))
	if policy := header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self' http://127.0.0.1:4711") {
		t.Errorf("Chromium would not follow the form to the client: %s", policy)
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	addresses := w.pages()
	addresses["discovery"], addresses["nothing"] = w.at(authtest.DiscoveryPath), w.at("/nothing")
	for name, address := range addresses {
		header, _ := browse(t, address)
		for field, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if header.Get(field) != want {
				t.Errorf("%s: %s is %q", name, field, header.Get(field))
			}
		}
		if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", name)
		}
	}
}

func TestEveryFieldHasALabel(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for name, address := range w.pages() {
		_, body := browse(t, address)
		for _, field := range regexp.MustCompile(`<input id="(\w+)"`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(body, `<label for="`+field[1]+`">`) {
				t.Errorf("%s: %s has no label", name, field[1])
			}
		}
		if strings.Count(body, "<input ") != strings.Count(body, "<input id=") || strings.Count(body, "<h1>") != 1 ||
			!strings.Contains(body, `<html lang="en">`) {
			t.Errorf("%s: a field without an id, not one heading, or no language", name)
		}
	}
}

func TestEverythingIsEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	iss := authtest.Start(t, authtest.Options{
		Audience: "gprxy" + evil, Scopes: []string{evil},
		Users:   map[string]authtest.Person{"a" + evil: {Name: "n" + evil, Email: "e" + evil}, "p": {Password: "x"}},
		Clients: []authtest.Client{{ID: "c", Name: "title" + evil, RedirectURIs: []string{callback}}},
	})
	asked := request(map[string]string{"client_id": "c", "scope": "openid " + evil, "audience": "", "login_hint": "hint" + evil,
		"state": evil})
	address := iss.URL() + authtest.AuthorizePath + "?" + asked.Encode()
	_, body := browse(t, address)
	for _, shown := range []string{"hint", "title", "gprxy", "Continue as n", "e&#34;"} {
		if !strings.Contains(body, shown) {
			t.Errorf("%s is not on the page", shown)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, evil) {
		t.Errorf("the page has a script:\n%s", body)
	}
	for _, address := range []string{iss.URL() + authtest.DevicePath + "?user_code=" + url.QueryEscape(evil),
		iss.URL() + authtest.AuthorizePath + "?client_id=" + url.QueryEscape(evil)} {
		if _, body := browse(t, address); strings.Contains(body, "alert(1)") {
			t.Errorf("%s repeats what it was sent", address)
		}
	}
	redirect, err := iss.Visit(address, "a"+evil)
	if u, bad := url.Parse(redirect); err != nil || bad != nil || u.Query().Get("state") != evil {
		t.Errorf("sent to %q (error %v)", redirect, err)
	}
}

func TestLoginPageShowsClientAndScopes(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	_, body := browse(t, w.loginPage(map[string]string{"login_hint": "carol"}))
	for _, want := range []string{"<strong>gprxy</strong>", "offline_access", "Your email address", database, "Continue as Alice",
		`value="carol"`, `type="password"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
	if strings.Contains(body, "Continue as Carol") {
		t.Error("carol, who has a password, has a button")
	}
}

func TestRequestsFromElsewhere(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	device := w.must(w.device(nil))
	for name, test := range map[string]struct {
		address, field, value string
		status                int
	}{
		"our own form":           {w.loginPage(nil), "Sec-Fetch-Site", "same-origin", http.StatusSeeOther},
		"another site's form":    {w.loginPage(nil), "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"an older browser":       {w.loginPage(nil), "Origin", "https://evil.example.com", http.StatusForbidden},
		"another site, a device": {device.CompletePage, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"a name that lies":       {w.loginPage(nil), "Host", "evil.example.com", http.StatusMisdirectedRequest},
		"the name localhost":     {w.loginPage(nil), "Host", "localhost:4712", http.StatusSeeOther},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, test.address, strings.NewReader("as=alice"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(test.field, test.value)
		if test.field == "Host" {
			r.Host = test.value
		}
		response, err := noRedirects.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.status)
		}
	}
	w.refused("the device", w.poll(device, nil), http.StatusBadRequest, "authorization_pending")
}

func TestSizesAreBounded(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	big := url.Values{"client_id": {authtest.DefaultClient}, "grant_type": {"refresh_token"}, "refresh_token": {strings.Repeat("x", 64<<10)}}
	w.refused("a large form", w.post(authtest.TokenPath, big), http.StatusRequestEntityTooLarge, "invalid_request")
	for _, path := range []string{authtest.DeviceCodePath, authtest.RevokePath} {
		if a := w.post(path, big); a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", path, a.Status)
		}
	}
	response, err := noRedirects.Get(w.loginPage(map[string]string{"state": strings.Repeat("x", 80<<10)}))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large address: status %d", response.StatusCode)
	}
}

func TestFormsAreForms(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	a := w.tokens("alice", nil)
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {authtest.DefaultClient}, "refresh_token": {a.Refresh}}
	for name, test := range map[string]struct{ address, media, body string }{
		"JSON":                    {w.at(authtest.TokenPath), "application/json", `{"grant_type":"refresh_token"}`},
		"no type":                 {w.at(authtest.TokenPath), "", form.Encode()},
		"secrets in the address":  {w.at(authtest.TokenPath) + "?" + form.Encode(), "application/json", ""},
		"broken encoding":         {w.at(authtest.TokenPath), "application/x-www-form-urlencoded", form.Encode() + "&x=%zz"},
		"a parameter twice":       {w.at(authtest.TokenPath), "application/x-www-form-urlencoded", form.Encode() + "&grant_type=password"},
		"semicolons for and-sign": {w.at(authtest.TokenPath), "application/x-www-form-urlencoded", "grant_type=refresh_token;x=1"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, test.address, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", test.media)
		w.refused(name, w.send(r), http.StatusBadRequest, "invalid_request")
	}
	w.refused("a grant type of old", w.refresh(a.Refresh, map[string]string{"grant_type": "password"}), http.StatusBadRequest,
		"unsupported_grant_type")
	w.must(w.refresh(a.Refresh, nil)) // none of them has used it up
	if status, _, err := get(t, w.at(authtest.TokenPath)); status != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %d (error %v)", status, err)
	}
}
