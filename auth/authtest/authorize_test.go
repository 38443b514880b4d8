// The login page: who gets to see it, who is sent back, and with what.

package authtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestLoginGivesTokens(t *testing.T) {
	for _, path := range []string{"", "/", "/realms/demo"} {
		w := newWorld(t, authtest.Options{Path: path})
		back := w.login("alice", nil)
		if back.Get("state") != "a state & more" || back.Get("iss") != w.URL() {
			t.Errorf("the browser comes back with %v", back)
		}
		a := w.must(w.redeem(back.Get("code"), nil))
		if a.Type != "Bearer" || a.Lifetime != 3600 || a.Scope != allScope || a.Refresh == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("answer %+v", a)
		}
		access := w.claims(a.Access, database)
		for name, want := range map[string]any{"sub": "test|alice", "email": "alice@example.com", "client_id": authtest.DefaultClient,
			"scope": allScope} {
			if access[name] != want {
				t.Errorf("%s of the access token is %v, want %v", name, access[name], want)
			}
		}
		if id, _ := access["jti"].(string); id == "" {
			t.Error("the access token has no jti")
		}
		id := w.claims(a.ID, authtest.DefaultClient)
		for name, want := range map[string]any{"sub": "test|alice", "email": "alice@example.com", "email_verified": true, "name": "Alice",
			"preferred_username": "alice", "nonce": "the nonce", "auth_time": float64(w.now().Unix())} {
			if id[name] != want {
				t.Errorf("%s of the ID token is %v, want %v", name, id[name], want)
			}
		}
		half := sha256.Sum256([]byte(a.Access))
		if want := base64.RawURLEncoding.EncodeToString(half[:16]); id["at_hash"] != want {
			t.Errorf("at_hash is %v, want %s", id["at_hash"], want)
		}
		if n := w.Grants("authorization_code"); n != 1 {
			t.Errorf("one login is counted as %d", n)
		}
	}
}

func TestAccessTokenLogsInToTheProxy(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: w.URL(), Audience: database, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	defer verifier.Close()
	who, err := verifier.Verify(t.Context(), w.tokens("alice", nil).Access)
	if err != nil || who.User != "alice@example.com" || strings.Join(who.Roles, " ") != "reader auditor" {
		t.Errorf("identity %+v, error %v", who, err)
	}
}

func TestScopesDecideWhatTheClientLearns(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	plain := w.tokens("alice", map[string]string{"scope": "openid"})
	if claims := w.claims(plain.ID, authtest.DefaultClient); claims["email"] != nil || claims["name"] != nil || plain.Refresh != "" {
		t.Errorf("scope openid gives %v, refresh token %q", claims, plain.Refresh)
	}
	if none := w.tokens("alice", map[string]string{"scope": ""}); none.ID != "" || none.Refresh != "" || none.Access == "" {
		t.Errorf("no scope gives %+v", none)
	}
}

// A person must read these: an issuer that sent them on would serve anybody's address.
func TestUnprovedClientIsNotSentBack(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for name, changes := range map[string]map[string]string{
		"no client":                   {"client_id": ""},
		"unknown client":              {"client_id": "evil"},
		"no redirect URI":             {"redirect_uri": ""},
		"another host":                {"redirect_uri": "https://evil.example.com/callback"},
		"another path":                {"redirect_uri": "http://127.0.0.1:4711/callback/x"},
		"another loopback name":       {"redirect_uri": "http://127.0.0.2:4711/callback"},
		"a host that begins the same": {"redirect_uri": "http://127.0.0.1:4711.evil.example.com/callback"},
		"port 0":                      {"redirect_uri": "http://127.0.0.1:0/callback"},
		"port 65536":                  {"redirect_uri": "http://127.0.0.1:65536/callback"},
		"empty port":                  {"redirect_uri": "http://127.0.0.1:/callback"},
		"name for a password":         {"redirect_uri": "http://127.0.0.1:80@evil.example.com/callback"},
		"https on loopback":           {"redirect_uri": "https://127.0.0.1:4711/callback"},
		"with a query":                {"redirect_uri": "http://127.0.0.1:4711/callback?x=1"},
		"with a fragment":             {"redirect_uri": "http://127.0.0.1:4711/callback#x"},
		"in another spelling":         {"redirect_uri": "http://127.0.0.1:4711/%63allback"},
		"port where one is set":       {"client_id": "other", "redirect_uri": "http://127.0.0.1:4712/callback"},
		"port after the one set":      {"client_id": "other", "redirect_uri": "http://127.0.0.1:4711:80/callback"},
		"of another client":           {"client_id": "web app", "redirect_uri": callback},
	} {
		redirect, err := w.Visit(w.loginPage(changes), "alice")
		if err == nil || redirect != "" || !strings.Contains(err.Error(), "400") {
			t.Errorf("%s: sent to %q (error %v)", name, redirect, err)
		}
	}
	twice := w.loginPage(nil) + "&redirect_uri=https://evil.example.com"
	if redirect, err := w.Visit(twice, "alice"); err == nil {
		t.Errorf("two redirect URIs: sent to %s", redirect)
	}
}

func TestLoopbackClientChoosesItsPort(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for _, origin := range []string{"http://127.0.0.1:1", "http://127.0.0.1:65535", "http://localhost:8085", "http://localhost",
		"http://[::1]:80"} {
		redirect, err := w.Visit(w.loginPage(map[string]string{"redirect_uri": origin + "/callback"}), "alice")
		if err != nil || !strings.HasPrefix(redirect, origin+"/callback?") {
			t.Errorf("%s: sent to %q (error %v)", origin, redirect, err)
		}
	}
}

func TestWrongRequestIsSentBack(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for name, test := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"no response type":           {map[string]string{"response_type": ""}, "invalid_request"},
		"implicit flow":              {map[string]string{"response_type": "token"}, "unsupported_response_type"},
		"fragment mode":              {map[string]string{"response_mode": "fragment"}, "invalid_request"},
		"no challenge":               {map[string]string{"code_challenge": "", "code_challenge_method": ""}, "invalid_request"},
		"challenge without a method": {map[string]string{"code_challenge_method": ""}, "invalid_request"},
		"plain challenge":            {map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		"challenge too short":        {map[string]string{"code_challenge": "abc"}, "invalid_request"},
		"challenge in base64":        {map[string]string{"code_challenge": strings.Repeat("+", 43)}, "invalid_request"},
		"unknown scope":              {map[string]string{"scope": "openid admin"}, "invalid_scope"},
		"unknown audience":           {map[string]string{"audience": "https://billing.example.com"}, "invalid_target"},
		"unknown resource":           {map[string]string{"resource": "https://billing.example.com"}, "invalid_target"},
		"resource without a scheme":  {map[string]string{"resource": "gprxy"}, "invalid_target"},
		"resource with a fragment":   {map[string]string{"resource": database + "#x"}, "invalid_target"},
		"nobody may be asked":        {map[string]string{"prompt": "none"}, "login_required"},
		"request object":             {map[string]string{"request": "x.y."}, "request_not_supported"},
		"request object elsewhere":   {map[string]string{"request_uri": "http://127.0.0.1:1/"}, "request_uri_not_supported"},
		"huge nonce":                 {map[string]string{"nonce": strings.Repeat("n", 2000)}, "invalid_request"},
	} {
		back := w.login("alice", test.changes)
		if back.Get("error") != test.want || back.Get("code") != "" || back.Get("state") != "a state & more" || back.Get("iss") != w.URL() {
			t.Errorf("%s: sent back with %v, want %s", name, back, test.want)
		}
	}
	redirect, err := w.Visit(w.loginPage(nil)+"&scope=openid", "alice")
	if err != nil || !strings.Contains(redirect, "error=invalid_request") {
		t.Errorf("two scopes: sent to %s (error %v)", redirect, err)
	}
}

func TestCancelledLogin(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	if back := w.login("", nil); back.Get("error") != "access_denied" || back.Get("state") != "a state & more" || back.Get("code") != "" {
		t.Errorf("sent back with %v", back)
	}
}

func TestWhoMayLogIn(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for name, test := range map[string]struct {
		form   url.Values
		status int
	}{
		"password":                         {url.Values{"login": {"carol"}, "password": {"correct horse"}}, http.StatusSeeOther},
		"button":                           {url.Values{"as": {"alice"}}, http.StatusSeeOther},
		"wrong password":                   {url.Values{"login": {"carol"}, "password": {"Correct horse"}}, http.StatusForbidden},
		"no password":                      {url.Values{"login": {"carol"}}, http.StatusForbidden},
		"button of one with a password":    {url.Values{"as": {"carol"}}, http.StatusForbidden},
		"form of one without a password":   {url.Values{"login": {"alice"}, "password": {""}}, http.StatusForbidden},
		"unknown name":                     {url.Values{"login": {"eve"}, "password": {"correct horse"}}, http.StatusForbidden},
		"button of nobody":                 {url.Values{"as": {"eve"}}, http.StatusForbidden},
		"nothing":                          {url.Values{}, http.StatusForbidden},
		"two names, one of them forgotten": {url.Values{"as": {"alice", "carol"}}, http.StatusBadRequest},
	} {
		response, err := noRedirects.PostForm(w.loginPage(nil), test.form)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if sent := response.Header.Get("Location") != ""; response.StatusCode != test.status || sent != (test.status == http.StatusSeeOther) {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.status)
		}
	}
	a := w.tokens("carol", nil)
	if claims := w.claims(a.Access, database); claims["sub"] != "people|3" || claims["email"] != "c@example.org" {
		t.Errorf("carol's token says %v", claims)
	}
}

func TestAudiences(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	both := url.Values{"audience": {authtest.DefaultAudience}, "resource": {database}}.Encode()
	redirect, err := w.Visit(w.loginPage(map[string]string{"audience": ""})+"&"+both, "alice")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(redirect)
	if err != nil {
		t.Fatal(err)
	}
	a := w.must(w.redeem(u.Query().Get("code"), nil))
	w.claims(a.Access, database)
	w.claims(a.Access, authtest.DefaultAudience)
	a = w.must(w.refresh(a.Refresh, map[string]string{"resource": database}))
	if aud := w.claims(a.Access, database)["aud"]; len(aud.([]string)) != 1 {
		t.Errorf("a refresh for one audience gives %v", aud)
	}
	if none := w.tokens("alice", map[string]string{"audience": ""}); w.claims(none.Access, authtest.DefaultAudience) == nil {
		t.Error("no audience is not the default one")
	}
}

func TestVisitTellsWhatIsWrong(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for address, want := range map[string]string{
		"http://127.0.0.1:1/authorize?x":                 "not below",
		w.loginPage(map[string]string{"client_id": "x"}): "This program is not known here",
	} {
		if _, err := w.Visit(address, "alice"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if _, err := w.Visit(w.loginPage(nil), "eve"); err == nil {
		t.Error("eve logs in")
	}
	w.SetModeAt(authtest.AuthorizePath, authtest.Down)
	start := time.Now()
	if _, err := w.Visit(w.loginPage(nil), "alice"); err == nil || strings.Contains(err.Error(), "challenge") ||
		time.Since(start) > 5*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}
