// Tokens are renewed and revoked.

package sso_test

import (
	"context"
	"net/url"
	"reflect"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestRefreshRotates(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	c := configFor(iss)
	old := login(t, iss, c)
	fresh, err := sso.Refresh(short(t), c, old)
	if err != nil {
		t.Fatal(err)
	}
	requireGood(t, iss, "gprxy", fresh)
	if fresh.Refresh == old.Refresh || fresh.Access == old.Access || fresh.User != old.User || !reflect.DeepEqual(fresh.Roles, old.Roles) {
		t.Errorf("before %+v, after %+v", old, fresh)
	}

	// The old refresh token again: somebody stole it, and the issuer ends the login.
	_, err = sso.Refresh(short(t), c, old)
	requireError[*sso.RevokedError](t, err, []string{"alice@example.com", "run gprxy login"}, old.Refresh.Reveal(), fresh.Refresh.Reveal())
	_, err = sso.Refresh(short(t), c, fresh)
	requireError[*sso.RevokedError](t, err, []string{"revoked", "run gprxy login"}, fresh.Refresh.Reveal())
}

func TestRefreshAsksOnlyTheIssuerThatGave(t *testing.T) {
	iss, other := authtest.Start(t, authtest.Options{}), newStub(t)
	old := login(t, iss, configFor(iss))
	if _, err := sso.Refresh(short(t), other.config(), old); err != nil {
		t.Error(err)
	}
	if len(other.forms["/token"]) > 0 {
		t.Error("another issuer got the refresh token")
	}
}

// What can fail before the refresh token is spent fails before, and what cannot be kept is not kept.
func TestRefreshTokensAreNotLost(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	old := login(t, iss, configFor(iss))
	before := iss.Requests(authtest.TokenPath)
	iss.SetModeAt(authtest.KeysPath, authtest.Failing)
	got, err := sso.Refresh(short(t), configFor(iss), old)
	requireError[*sso.UnreachableError](t, err, nil)
	if n := iss.Requests(authtest.TokenPath) - before; n != 0 || !reflect.DeepEqual(got, old) {
		t.Errorf("without the keys the token endpoint was asked %d times", n)
	}

	s := newStub(t)
	s.answers["/token"] = func(url.Values) (int, any) {
		return 200, map[string]any{"access_token": "two words", "refresh_token": "refresh-2"}
	}
	old = sso.Tokens{Issuer: s.url, ClientID: "cli", Audience: "gprxy", Access: "access-1", Refresh: "refresh-1", User: "ann",
		Subject: "test|1"}
	got, err = sso.Refresh(short(t), s.config(), old)
	requireError[*sso.IDTokenError](t, err, []string{"odd characters"}, "two words")
	if !reflect.DeepEqual(got, old) {
		t.Errorf("got the access token %s, the refresh token %s", got.Access.Reveal(), got.Refresh.Reveal())
	}
}

// A login is ended at the issuer that gave it, if that is who it says.
func TestRevokeAsksOnlyTheIssuerThatGave(t *testing.T) {
	iss, other := authtest.Start(t, authtest.Options{}), newStub(t)
	tokens := login(t, iss, configFor(iss))
	other.answers["/revoke"] = func(url.Values) (int, any) { return 200, nil }
	if err := sso.Revoke(short(t), other.config(), tokens); err != nil {
		t.Error(err)
	}
	if len(other.forms["/revoke"]) > 0 || iss.Requests(authtest.RevokePath) != 1 {
		t.Error("another issuer got the refresh token")
	}
	other.metadata["issuer"] = "https://elsewhere.example.com"
	err := sso.Revoke(short(t), other.config(), sso.Tokens{Issuer: other.url, ClientID: "cli", Refresh: "the-refresh-token"})
	requireError[*sso.ConfigError](t, err, []string{"calls itself"})
	if len(other.forms["/revoke"]) > 0 {
		t.Error("an issuer under another name got the refresh token")
	}
}

func TestRefreshWithoutARefreshToken(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	_, err := sso.Refresh(short(t), configFor(iss), sso.Tokens{Issuer: iss.URL(), User: "ann"})
	requireError[*sso.ExpiredError](t, err, []string{"ann", "run gprxy login"})
}

// TestRotatedTokenSurvives: whatever fails after the issuer rotated, the new refresh token comes back.
func TestRotatedTokenSurvives(t *testing.T) {
	for name, test := range map[string]struct {
		claims authtest.Claims
		check  func(t *testing.T, err error)
	}{
		"ID token for another client": {authtest.Claims{"aud": "another"}, func(t *testing.T, err error) {
			requireError[*sso.IDTokenError](t, err, []string{"wrong_audience"}, "refresh-2")
		}},
		"ID token of somebody else": {authtest.Claims{"sub": "test|2"}, func(t *testing.T, err error) {
			requireError[*sso.IDTokenError](t, err, []string{"somebody else"}, "refresh-2")
		}},
		"clock behind": {authtest.Claims{"iat": time.Now().Add(time.Hour).Unix()}, func(t *testing.T, err error) {
			requireError[*sso.ClockError](t, err, []string{"behind"}, "refresh-2")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.answers["/token"] = func(url.Values) (int, any) {
				return 200, map[string]any{"access_token": s.sign(nil, nil), "refresh_token": "refresh-2", "id_token": s.idToken(test.claims)}
			}
			old := sso.Tokens{Issuer: s.url, ClientID: "cli", Audience: "gprxy", Access: "access-1", Refresh: "refresh-1", User: "ann",
				Subject: "test|1"}
			got, err := sso.Refresh(short(t), s.config(), old)
			test.check(t, err)
			want := old
			want.Refresh = "refresh-2"
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got the access token %s, the refresh token %s", got.Access.Reveal(), got.Refresh.Reveal())
			}
		})
	}
}

func TestCtrlCDoesNotTearARefresh(t *testing.T) {
	s := newStub(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.answers["/token"] = func(form url.Values) (int, any) {
		cancel() // rotated, and the answer is on its way
		return 200, map[string]any{"access_token": s.sign(nil, authtest.Claims{"email": "ann@example.com"}), "refresh_token": "refresh-2",
			"expires_in": 600}
	}
	old := sso.Tokens{Issuer: s.url, ClientID: "cli", Audience: "gprxy", Access: "access-1", Refresh: "refresh-1", User: "before",
		Subject: "test|1"}
	got, err := sso.Refresh(ctx, s.config(), old)
	if err != nil || got.Refresh != "refresh-2" || got.User != "ann@example.com" || got.Subject != "test|1" {
		t.Errorf("got %+v, error %v", got, err)
	}
	if left := time.Until(got.Expires); left > 600*time.Second || left < 590*time.Second {
		t.Errorf("it expires in %v", left)
	}
	requireGoodAt(t, s, got)
}

func requireGoodAt(t *testing.T, s *stub, tokens sso.Tokens) {
	t.Helper()
	v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: s.url, Audience: "gprxy"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Verify(t.Context(), tokens.Password().Reveal()); err != nil {
		t.Error(err)
	}
}

func TestIssuerThatKeepsRefreshTokens(t *testing.T) {
	s := newStub(t)
	s.answers["/token"] = func(url.Values) (int, any) { return 200, map[string]any{"access_token": s.sign(nil, nil)} }
	old := sso.Tokens{Issuer: s.url, ClientID: "cli", Audience: "gprxy", Access: "access-1", Refresh: "refresh-1"}
	got, err := sso.Refresh(short(t), s.config(), old)
	if err != nil || got.Refresh != "refresh-1" {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestRevoke(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	c := configFor(iss)
	tokens := login(t, iss, c)
	for range 2 { // the second time the issuer does not know it any more
		if err := sso.Revoke(short(t), c, tokens); err != nil {
			t.Fatal(err)
		}
	}
	_, err := sso.Refresh(short(t), c, tokens)
	requireError[*sso.RevokedError](t, err, nil)

	s := newStub(t)
	for _, test := range []struct {
		status int
		code   string
		good   bool
	}{{200, "", true}, {400, "invalid_token", true}, {400, "invalid_client", false}, {503, "", false}, {302, "", false}} {
		s.answers["/revoke"] = func(form url.Values) (int, any) {
			if form.Get("client_id") != "cli" || form.Get("token") != "the-refresh-token" || form.Get("token_type_hint") != "refresh_token" {
				t.Errorf("the form is %v", form)
			}
			return test.status, map[string]any{"error": test.code, "error_description": "it was " + form.Get("token")}
		}
		err := sso.Revoke(short(t), s.config(), sso.Tokens{Issuer: s.url, ClientID: "cli", Refresh: "the-refresh-token"})
		if (err == nil) != test.good {
			t.Errorf("status %d %s: %v", test.status, test.code, err)
		}
		if err != nil {
			requireNoSecret(t, err.Error(), "the-refresh-token")
		}
	}
}

func TestWhatIsThePassword(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	mine, elsewhere := auth.Secret(iss.Token(nil)), auth.Secret(iss.Token(authtest.Claims{"aud": "https://graph.example.com"}))
	id := auth.Secret(iss.Token(authtest.Claims{"aud": "cli"}))
	for _, test := range []struct {
		name   string
		tokens sso.Tokens
		want   auth.Secret
	}{
		{"access token for the proxy", sso.Tokens{ClientID: "cli", Audience: "gprxy", Access: mine, ID: id}, mine},
		{"no audience asked for", sso.Tokens{ClientID: "cli", Access: mine, ID: id}, mine},
		{"audience under another name", sso.Tokens{ClientID: "cli", Audience: "api://gprxy", Access: mine, ID: id}, mine},
		{"opaque access token", sso.Tokens{ClientID: "cli", Audience: "cli", Access: "opaque", ID: id}, id},
		{"access token for the issuer's own service", sso.Tokens{ClientID: "cli", Audience: "cli", Access: elsewhere, ID: id}, id},
		{"opaque and no ID token", sso.Tokens{ClientID: "cli", Access: "opaque"}, "opaque"},
	} {
		if test.tokens.Password() != test.want {
			t.Errorf("%s: it is another one", test.name)
		}
	}
}

func TestOpaqueAccessTokens(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{Opaque: true, IDLife: 10 * time.Minute, Audiences: []string{authtest.DefaultClient}})
	c := configFor(iss)
	c.Audience = authtest.DefaultClient
	tokens := login(t, iss, c)
	for range 2 {
		if left := time.Until(tokens.Expires); left > 10*time.Minute || left < 9*time.Minute {
			t.Errorf("the ID token is good for %v, not ten minutes", left)
		}
		if id := requireGood(t, iss, c.Audience, tokens); id.User != tokens.User || tokens.Password() != tokens.ID {
			t.Errorf("the proxy sees %+v", id)
		}
		var err error
		if tokens, err = sso.Refresh(short(t), c, tokens); err != nil {
			t.Fatal(err)
		}
	}

	s := newStub(t)
	s.answers["/token"] = func(url.Values) (int, any) {
		return 200, map[string]any{"access_token": "opaque-2", "refresh_token": "refresh-2"}
	}
	got, err := sso.Refresh(short(t), s.config(), sso.Tokens{Issuer: s.url, ClientID: "cli", Access: "opaque-1", ID: "a.b.c",
		Refresh: "refresh-1", User: "ann"})
	requireError[*sso.ExpiredError](t, err, []string{"ann", "run gprxy login"})
	if got.Refresh != "refresh-2" {
		t.Error("the rotated refresh token is lost")
	}
}
