// Issuers that are wrong, confused or hostile.

package sso_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestIDTokensThatProveNothing(t *testing.T) {
	hour := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }
	hmac := func(s *stub, nonce string) string {
		token, err := authtest.Forge("HS256", []byte("secret"), map[string]any{"alg": "HS256"},
			map[string]any{"iss": s.url, "aud": "cli", "sub": "x", "exp": hour(1), "iat": hour(0), "nonce": nonce})
		if err != nil {
			s.t.Fatal(err)
		}
		return token
	}
	with := func(claims authtest.Claims) func(s *stub, nonce string) string {
		return func(s *stub, nonce string) string {
			all := authtest.Claims{"nonce": nonce}
			for name, value := range claims {
				all[name] = value
			}
			return s.idToken(all)
		}
	}
	for _, test := range []struct {
		name string
		id   func(s *stub, nonce string) string
		says string // empty: it is good
	}{
		{"good", with(nil), ""},
		{"good, for the client alone among several", with(authtest.Claims{"aud": []string{"cli", "x"}, "azp": "cli"}), ""},
		{"missing", func(*stub, string) string { return "" }, "sent none"},
		{"no JWT", func(*stub, string) string { return "opaque" }, "malformed"},
		{"with a line break", func(*stub, string) string { return "a\nb" }, "odd characters"},
		{"too long", func(*stub, string) string { return strings.Repeat("x", 65<<10) }, "too long"},
		{"signed with a shared secret", hmac, "bad_algorithm"},
		{"of another issuer", with(authtest.Claims{"iss": "https://evil.example.com"}), "wrong_issuer"},
		{"for another client", with(authtest.Claims{"aud": "another"}), "wrong_audience"},
		{"for another client among several", with(authtest.Claims{"aud": []string{"cli", "x"}, "azp": "another"}), "(azp)"},
		{"for several, and nobody says which", with(authtest.Claims{"aud": []string{"cli", "x"}}), "(azp)"},
		{"without a nonce", with(authtest.Claims{"nonce": nil}), "nonce"},
		{"with another nonce", with(authtest.Claims{"nonce": "x"}), "nonce"},
		{"nonce is no text", with(authtest.Claims{"nonce": 1}), "nonce"},
		{"without sub", with(authtest.Claims{"sub": nil}), "(sub)"},
		{"without exp", with(authtest.Claims{"exp": nil}), "bad_claims"},
		{"made already expired", with(authtest.Claims{"exp": hour(-1)}), "expired"},
		{"of another access token", with(authtest.Claims{"at_hash": "x"}), "at_hash"},
		{"an access token", func(s *stub, nonce string) string {
			return s.sign(nil, authtest.Claims{"aud": "cli", "nonce": nonce})
		}, "access token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStub(t)
			var id string
			access := s.sign(nil, authtest.Claims{"email": "ann@example.com"})
			tokens, err := s.logIn(s.config(), func(_ url.Values, nonce string) (int, any) {
				id = test.id(s, nonce)
				return 200, map[string]any{"access_token": access, "token_type": "Bearer", "id_token": id, "refresh_token": "refresh-secret",
					"expires_in": 60}
			})
			if test.says == "" {
				if err != nil || tokens.User != "ann@example.com" {
					t.Errorf("got %+v, error %v", tokens, err)
				}
				return
			}
			requireError[*sso.IDTokenError](t, err, []string{test.says, "nothing was saved"}, id, access, "refresh-secret")
			if tokens.Access != "" || tokens.Refresh != "" {
				t.Error("there is something to save")
			}
		})
	}
}

func TestClockThatIsOff(t *testing.T) {
	for _, test := range []struct {
		off   time.Duration
		words string // empty: it is tolerated
	}{
		{20 * time.Second, ""}, {-20 * time.Second, ""}, {10 * time.Minute, ""},
		{-10 * time.Minute, "10m0s behind"}, {90 * time.Minute, "1h30m0s ahead of"}, {-30 * 24 * time.Hour, "720h0m0s behind"},
	} {
		iss := authtest.Start(t, authtest.Options{})
		c := configFor(iss)
		start := time.Now()
		c.Now = func() time.Time { return start.Add(test.off) }
		b := newBrowser(iss, "alice")
		tokens, err := sso.LoginBrowser(short(t), c, b.show)
		b.wait(t)
		if test.words == "" {
			if err != nil {
				t.Errorf("%v: %v", test.off, err)
			}
			continue
		}
		e := requireError[*sso.ClockError](t, err, []string{"clock", test.words[strings.Index(test.words, " ")+1:]})
		if wrong := e.Off - test.off; wrong.Abs() > 5*time.Second || tokens.Access != "" {
			t.Errorf("the clock is off by %v, the error says %v", test.off, e)
		}
	}
}

func TestSecretsThatTheIssuerRepeats(t *testing.T) {
	s := newStub(t)
	token := s.idToken(nil)
	var verifier string
	_, err := s.logIn(s.config(), func(form url.Values, _ string) (int, any) {
		verifier = form.Get("code_verifier")
		return 400, map[string]any{"error": "invalid_request",
			"error_description": "no \x1b[2J good:\n code " + form.Get("code") + " with " + verifier + " and " + token +
				strings.Repeat(" blah", 1000)}
	})
	e := requireError[*sso.DeniedError](t, err, []string{"invalid_request", "no", "good: code [secret] with [secret] and [secret] blah"},
		"the-code", token, "\x1b", "\n")
	requireNoSecret(t, err.Error(), verifier)
	if len(e.Error()) > 700 {
		t.Errorf("the error has %d bytes", len(e.Error()))
	}
	for name, answer := range map[string]any{
		"tokens in an error without a code": map[string]any{"access_token": token},
		"a token where a number belongs":    map[string]any{"access_token": token, "expires_in": token},
		"no token":                          map[string]any{"id_token": token},
		"a list":                            []string{token},
	} {
		for _, status := range []int{200, 400, 503} {
			_, err := s.logIn(s.config(), func(url.Values, string) (int, any) { return status, answer })
			if err == nil {
				t.Fatalf("%s: accepted", name)
			}
			if status != 200 || name != "tokens in an error without a code" {
				requireError[*sso.UnreachableError](t, err, []string{"OIDC_ISSUER"})
			}
			requireNoSecret(t, err.Error(), token, token[:20])
		}
	}
}

func TestWhatTheIssuerRefuses(t *testing.T) {
	for _, test := range []struct {
		code string
		want error
		says string
	}{
		{"invalid_client", new(sso.ConfigError), "OIDC_CLIENT_ID"},
		{"unauthorized_client", new(sso.ConfigError), "OIDC_CLIENT_ID"},
		{"invalid_target", new(sso.ConfigError), "AUDIENCE"},
		{"temporarily_unavailable", new(sso.UnreachableError), "try again"},
		{"access_denied", new(sso.DeniedError), "refused: because"},
		{"invalid_scope", new(sso.ConfigError), "OIDC_SCOPES"},
	} {
		s := newStub(t)
		_, err := s.logIn(s.config(), func(url.Values, string) (int, any) {
			return 400, map[string]any{"error": test.code, "error_description": "because"}
		})
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "because") || kind(err) == nil {
			t.Errorf("%s gives %T %v", test.code, err, err)
		}
	}
}

func TestIssuerThatCannotBeUsed(t *testing.T) {
	broken := &http.Client{Timeout: 200 * time.Millisecond}
	for name, test := range map[string]struct {
		mode  authtest.Mode
		words []string
	}{
		"down": {authtest.Down, []string{"OIDC_ISSUER"}}, "failing": {authtest.Failing, []string{"500"}},
		"garbage": {authtest.Garbage, []string{"no discovery document"}},
		"endless": {authtest.Endless, []string{"cannot reach"}}, "redirect": {authtest.Redirect, []string{"302"}},
		"slow": {authtest.Slow, []string{"cannot reach"}},
	} {
		iss := authtest.Start(t, authtest.Options{})
		iss.SetMode(test.mode)
		c := configFor(iss)
		c.HTTP = broken
		tokens := sso.Tokens{Issuer: iss.URL(), ClientID: "x", Access: "a", Refresh: "r"}
		for what, f := range map[string]func() error{
			"browser": func() error { _, err := sso.LoginBrowser(short(t), c, nil); return err },
			"device":  func() error { _, err := sso.LoginDevice(short(t), c, nil); return err },
			"refresh": func() error { _, err := sso.Refresh(short(t), c, tokens); return err },
			"revoke":  func() error { return sso.Revoke(short(t), c, tokens) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				requireError[*sso.UnreachableError](t, f(), test.words)
			})
		}
	}
	iss := authtest.Start(t, authtest.Options{})
	iss.SetMode(authtest.Renamed)
	_, err := sso.LoginBrowser(short(t), configFor(iss), nil)
	requireError[*sso.ConfigError](t, err, []string{"OIDC_ISSUER", iss.URL(), "https://elsewhere.example.com"})
}

func TestDiscoveryWithoutAnEndpoint(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{Without: []string{authtest.DeviceCodePath, authtest.RevokePath}})
	_, err := sso.LoginDevice(short(t), configFor(iss), nil)
	requireError[*sso.UnsupportedError](t, err, []string{"another device", "without --device"})
	if err := sso.Revoke(short(t), configFor(iss), login(t, iss, configFor(iss))); err != nil {
		t.Error(err)
	}
	s := newStub(t)
	delete(s.metadata, "authorization_endpoint")
	_, err = sso.LoginBrowser(short(t), s.config(), nil)
	requireError[*sso.UnsupportedError](t, err, []string{"--device"})
	delete(s.metadata, "token_endpoint")
	_, err = sso.LoginBrowser(short(t), s.config(), nil)
	requireError[*sso.UnsupportedError](t, err, []string{"token endpoint"})

	for _, address := range []string{"http://evil.example.com/token", "ftp://localhost/token", "//x", "https://u@evil.example.com/",
		"https://x/\x1b[2J", "https://x/#y", "javascript:alert(1)"} {
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint"} {
			s := newStub(t)
			s.metadata[name] = address
			_, err := sso.LoginBrowser(short(t), s.config(), func(string) error { t.Error("the address was shown"); return nil })
			requireError[*sso.UnreachableError](t, err, []string{name}, "\x1b")
		}
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	good := sso.Config{Issuer: "https://login.example.com", ClientID: "cli", Port: -1}
	for _, test := range []struct {
		name, setting string
		change        func(c *sso.Config)
	}{
		{"no issuer", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer = "" }},
		{"issuer over a plain network", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer = "http://login.example.com" }},
		{"issuer is a name", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer = "login.example.com" }},
		{"issuer without a host", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer = "https://:443" }},
		{"issuer with an invisible character", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer += "/\u202e" }},
		{"issuer with a user", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer = "https://eve@login.example.com" }},
		{"issuer with a fragment", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer += "/#" }},
		{"issuer with a query", "OIDC_ISSUER", func(c *sso.Config) { c.Issuer += "/?x" }},
		{"no client", "OIDC_CLIENT_ID", func(c *sso.Config) { c.ClientID = "" }},
		{"scope that is none", "OIDC_SCOPES", func(c *sso.Config) { c.Scopes = []string{"openid", "two words"} }},
		{"prompt that means nothing", "OIDC_PROMPT", func(c *sso.Config) { c.Prompt = "consent none" }},
		{"second callback elsewhere", "CALLBACK_URL", func(c *sso.Config) {
			c.CallbackURL = sso.DefaultCallbackURL +
				",http://example.com:8085/callback"
		}},
		{"callback of nothing", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = sso.DefaultCallbackURL + "," }},
		{"callback elsewhere", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://example.com:8085/callback" }},
		{"callback on every address", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://0.0.0.0:8085/callback" }},
		{"callback over TLS", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "https://localhost:8085/callback" }},
		{"callback without a port", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://localhost/callback" }},
		{"callback with a query", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://localhost:8085/callback?x=y" }},
		{"callback with a fragment", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://localhost:8085/callback#" }},
		{"callback with a user", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "http://eve@localhost:8085/callback" }},
		{"callback is no address", "CALLBACK_URL", func(c *sso.Config) { c.CallbackURL = "callback" }},
		{"port that is none", "--port", func(c *sso.Config) { c.Port = 65536 }},
		{"port below all", "--port", func(c *sso.Config) { c.Port = -2 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			_, err := sso.LoginBrowser(short(t), c, nil)
			if e := requireError[*sso.ConfigError](t, err, []string{test.setting}); e.Setting != test.setting || e.Instead == "" ||
				strings.HasPrefix(test.name, "no ") != (e.Wrong == "is not set") {
				t.Errorf("the error is %+v", e)
			}
		})
	}
}
