// A person logs in with a browser.

package sso_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestLoginInABrowser(t *testing.T) {
	for _, test := range []struct {
		name, callback, path string
		port                 int
		options              authtest.Options
	}{
		{name: "localhost, any port"},
		{name: "127.0.0.1", callback: "http://127.0.0.1:8085/callback"},
		{name: "::1", callback: "http://[::1]:8085/callback"},
		{name: "issuer with a slash, long codes", options: authtest.Options{Path: "/", LongCodes: true}},
		{name: "RSA", options: authtest.Options{Algorithms: []string{"RS256"}}},
		{name: "Ed25519", options: authtest.Options{Algorithms: []string{"EdDSA"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			iss := authtest.Start(t, test.options)
			c := configFor(iss)
			c.CallbackURL = test.callback
			b := newBrowser(iss, "alice")
			tokens, err := sso.LoginBrowser(short(t), c, b.show)
			if err != nil {
				t.Fatal(err)
			}
			id := requireGood(t, iss, "gprxy", tokens)
			if id.User != "alice@example.com" || tokens.User != id.User || !slices.Equal(tokens.Roles, []string{"reader"}) ||
				tokens.Subject != "test|alice" {
				t.Errorf("the proxy sees %+v, the tokens say %+v", id, tokens)
			}
			if left := time.Until(tokens.Expires); left < 59*time.Minute || left > time.Hour || tokens.Refresh == "" {
				t.Errorf("the tokens are good for %v (refresh token: %v)", left, tokens.Refresh != "")
			}
			if v := b.wait(t); v.err != nil || v.status != 200 || !strings.Contains(v.page, "You are logged in") ||
				!strings.Contains(v.page, "alice@example.com") {
				t.Errorf("the browser saw %+v", v)
			}
			requireNobodyListens(t, b.back)
		})
	}
}

func TestWhatTheIssuerIsAskedFor(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{Audiences: []string{"https://db.example.com"}})
	for _, test := range []struct {
		audience, resource string
	}{
		{"gprxy", ""}, {"https://db.example.com", "https://db.example.com"}, {"", ""},
	} {
		c := configFor(iss)
		c.Audience, c.Connection = test.audience, "corporate"
		b := newBrowser(iss, "alice")
		if _, err := sso.LoginBrowser(short(t), c, b.show); err != nil {
			t.Fatal(err)
		}
		b.wait(t)
		u, err := url.Parse(b.address)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		for name, want := range map[string]string{
			"audience": test.audience, "resource": test.resource, "connection": "corporate", "code_challenge_method": "S256",
			"response_type": "code", "client_id": authtest.DefaultClient, "scope": "openid profile email offline_access",
		} {
			if got := query.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(query.Get(name)) < 26 { // 128 bits
				t.Errorf("%s is %q", name, query.Get(name))
			}
		}
	}
}

func TestRefusedLogins(t *testing.T) {
	for _, test := range []struct {
		name    string
		login   string
		mode    authtest.Mode
		change  func(*url.URL)
		want    error
		words   []string
		title   string // of the page
		details bool   // whether the page repeats the error
	}{
		{"the person cancels", "", authtest.Up, nil, new(sso.DeniedError), []string{"refused", "the person cancelled", "gprxy login"},
			"The login was refused", true},
		{"wrong nonce", "alice", authtest.WrongNonce, nil, new(sso.IDTokenError), []string{"nonce", "nothing was saved"},
			"You are not logged in", true},
		{"ID token of another client", "alice", authtest.OtherClient, nil, new(sso.IDTokenError), []string{"another-client", "OIDC_CLIENT_ID"},
			"You are not logged in", true},
		{"ID token of two hours ago", "alice", authtest.ExpiredID, nil, new(sso.ClockError),
			[]string{"this machine's clock is 2h0m", "ahead of", "set the clock"}, "You are not logged in", true},
		{"another issuer answers", "alice", authtest.Up, set("iss", "https://evil.example.com"), new(sso.StateError),
			[]string{"evil.example.com", "gprxy login"}, "You are not logged in", true},
		{"no issuer answers", "alice", authtest.Up, set("iss", ""), new(sso.StateError), []string{"(iss)"}, "You are not logged in", true},
		{"no code", "alice", authtest.Up, set("code", ""), new(sso.StateError), []string{"neither a code nor an error"}, "You are not logged in",
			true},
		{"made-up code", "alice", authtest.Up, set("code", "made-up-code"), new(sso.DeniedError),
			[]string{"used already or is too old", "gprxy login"}, "You are not logged in", true},
		{"issuer fails", "alice", authtest.Failing, nil, new(sso.UnreachableError), []string{"500"}, "You are not logged in", true},
		{"issuer breaks off", "alice", authtest.Down, nil, new(sso.UnreachableError), []string{"OIDC_ISSUER"}, "You are not logged in", true},
		{"issuer sends the code elsewhere", "alice", authtest.Redirect, nil, new(sso.UnreachableError), []string{"302"}, "You are not logged in",
			true},
		{"garbage", "alice", authtest.Garbage, nil, new(sso.UnreachableError), []string{"something else than the standard"},
			"You are not logged in", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			iss := authtest.Start(t, authtest.Options{})
			iss.SetModeAt(authtest.TokenPath, test.mode)
			b := newBrowser(iss, test.login)
			b.change = test.change
			tokens, err := sso.LoginBrowser(short(t), configFor(iss), b.show)
			if !reflect.DeepEqual(tokens, sso.Tokens{}) {
				t.Errorf("there is something to save: %+v", tokens)
			}
			if reflect.TypeOf(kind(err)) != reflect.TypeOf(test.want) {
				t.Fatalf("got the error %T %v, want %T", err, err, test.want)
			}
			v := b.wait(t)
			if v.status < 400 || !strings.Contains(v.page, "<h1>"+test.title+"</h1>") || !strings.Contains(v.page, "close this window") {
				t.Errorf("the browser saw status %d and %s (error %v)", v.status, v.page, v.err)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not say %q: %v", word, err)
				}
			}
			u, _ := url.Parse(b.back)
			for _, text := range []string{err.Error(), v.page} {
				requireNoSecret(t, text, u.Query().Get("code"), u.Query().Get("state"))
			}
			requireNobodyListens(t, b.back)
		})
	}
}

// kind is the first error of ours in the chain.
func kind(err error) error {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(reflect.TypeOf(err).String(), "*sso.") {
			return err
		}
	}
	return nil
}

func TestOtherRequestsDoNotEndTheWait(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	b := newBrowser(iss, "alice")
	tokens, err := sso.LoginBrowser(short(t), configFor(iss), func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		back, err := url.Parse(u.Query().Get("redirect_uri"))
		if err != nil {
			return err
		}
		state := u.Query().Get("state")
		for _, request := range []struct {
			name, method, pathAndQuery, host string
			status                           int
		}{
			{"icon", "GET", "/favicon.ico", "", 404},
			{"root", "GET", "/?code=x&state=" + state, "", 404},
			{"longer path", "GET", "/callback/?code=x&state=" + state, "", 404},
			{"path in other letters", "GET", "/Callback?code=x&state=" + state, "", 404},
			{"path with a detour", "GET", "/x/../callback?code=x&state=" + state, "", 404},
			{"escaped path", "GET", "/%63allback?code=x&state=" + state, "", 404},
			{"posted", "POST", "/callback?code=x&state=" + state, "", 404},
			{"head only", "HEAD", "/callback?code=x&state=" + state, "", 404},
			{"preflight", "OPTIONS", "/callback?code=x&state=" + state, "", 404},
			{"stranger's name", "GET", "/callback?code=x&state=" + state, "evil.example.com:" + back.Port(), 403},
			{"right name, other port", "GET", "/callback?code=x&state=" + state, "localhost:1", 403},
			{"other loopback name", "GET", "/callback?code=x&state=" + state, "127.0.0.1:" + back.Port(), 403},
			{"no state", "GET", "/callback?code=x", "", 400},
			{"wrong state", "GET", "/callback?code=x&state=wrong", "", 400},
			{"state twice", "GET", "/callback?code=x&state=" + state + "&state=wrong", "", 400},
			{"code twice", "GET", "/callback?code=x&code=y&state=" + state, "", 400},
			{"refusal with a wrong state", "GET", "/callback?error=access_denied&state=wrong", "", 400},
			{"broken query", "GET", "/callback?code=%zz&state=" + state, "", 400},
			{"endless head", "GET", "/callback?state=" + state + "&code=" + strings.Repeat("x", 64<<10), "", 431},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, request.method, "http://"+back.Host+request.pathAndQuery, nil)
			if err != nil {
				return err
			}
			r.Host = request.host
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				return err
			}
			_ = response.Body.Close()
			if response.StatusCode != request.status {
				t.Errorf("%s: status %d, want %d", request.name, response.StatusCode, request.status)
			}
		}
		return b.show(address)
	})
	if err != nil || tokens.User != "alice@example.com" {
		t.Fatalf("got %+v, error %v", tokens, err)
	}
	b.wait(t)
}

func TestOnlyWrongStates(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b := newBrowser(iss, "alice")
	b.change = set("state", "of-another-login")
	_, err := sso.LoginBrowser(ctx, configFor(iss), b.show)
	requireError[*sso.StateError](t, err, []string{"its state is not the one", "nothing was saved", "gprxy login"})
	if v := b.wait(t); v.status != 400 || !strings.Contains(v.page, "not the login that is waiting") {
		t.Errorf("the browser saw %+v", v)
	}
	if n := iss.Grants("authorization_code"); n != 0 {
		t.Errorf("the code of another login was used %d times", n)
	}
}

func TestAnswerCountsOnce(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	iss.SetModeAt(authtest.TokenPath, authtest.Slow) // the first answer is still being looked at
	ctx, cancel := context.WithCancel(short(t))
	defer cancel()
	b := newBrowser(iss, "alice")
	second := make(chan visit, 1)
	_, err := sso.LoginBrowser(ctx, configFor(iss), func(address string) error {
		if err := b.show(address); err != nil {
			return err
		}
		go func() {
			waitFor(t, "the code to reach the issuer", func() bool { return iss.Requests(authtest.TokenPath) == 1 })
			second <- open(b.back)
			cancel()
		}()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
	if v := <-second; v.status != http.StatusConflict || !strings.Contains(v.page, "answered already") {
		t.Errorf("the second answer got %+v", v)
	}
	if v := b.wait(t); !strings.Contains(v.page, "The login was stopped") {
		t.Errorf("the first answer got %+v", v)
	}
	if n := iss.Requests(authtest.TokenPath); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	requireNobodyListens(t, b.back)
}

func TestCodeThatSomebodyElseUsed(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	b := newBrowser(iss, "alice")
	b.change = func(back *url.URL) {
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {authtest.DefaultClient}, "code": {back.Query().Get("code")}}
		if response, err := http.PostForm(iss.URL()+authtest.TokenPath, form); err != nil {
			t.Error(err)
		} else {
			_ = response.Body.Close()
		}
	}
	_, err := sso.LoginBrowser(short(t), configFor(iss), b.show)
	requireError[*sso.DeniedError](t, err, []string{"used already", "gprxy login"})
	b.wait(t)
}
