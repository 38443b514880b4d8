// Revocation and userinfo: what is over is over.

package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gprxy/auth/authtest"
)

func (w *world) revoke(token, client string) answer {
	w.t.Helper()
	return w.post(authtest.RevokePath, url.Values{"token": {token}, "client_id": {client}})
}

func TestRevocation(t *testing.T) {
	for name, choose := range map[string]func(old, a answer) string{
		"by refresh token":           func(_, a answer) string { return a.Refresh },
		"by a refresh token of past": func(old, _ answer) string { return old.Refresh },
		"by access token":            func(_, a answer) string { return a.Access },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, authtest.Options{})
			old := w.tokens("alice", nil)
			a := w.must(w.refresh(old.Refresh, nil))
			token := choose(old, a)
			w.refused("another client's", w.revoke(token, "other"), http.StatusBadRequest, "invalid_grant")
			if w.userinfo(a.Access) == "" {
				t.Error("another client has revoked it")
			}
			w.must(w.revoke(token, authtest.DefaultClient))
			w.must(w.revoke(token, authtest.DefaultClient)) // already gone is no error
			w.refused("refresh", w.refresh(a.Refresh, nil), http.StatusBadRequest, "invalid_grant")
			if who := w.userinfo(a.Access); who != "" {
				t.Errorf("the access token still is %s's", who)
			}
		})
	}
	w := newWorld(t, authtest.Options{})
	w.must(w.revoke("unknown", authtest.DefaultClient))
	w.refused("no token", w.revoke("", authtest.DefaultClient), http.StatusBadRequest, "invalid_request")
}

func TestRevokeFromOutside(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	a, other, carols := w.tokens("alice", nil), w.tokens("alice", nil), w.tokens("carol", nil)
	if !w.Revoke(a.Refresh) || w.Revoke("unknown") {
		t.Error("Revoke does not tell what it knows")
	}
	w.refused("revoked", w.refresh(a.Refresh, nil), http.StatusBadRequest, "invalid_grant")
	other = w.must(w.refresh(other.Refresh, nil))
	if n := w.RevokeUser("alice"); n != 1 {
		t.Errorf("alice had %d logins", n)
	}
	w.refused("alice's other login", w.refresh(other.Refresh, nil), http.StatusBadRequest, "invalid_grant")
	w.must(w.refresh(carols.Refresh, nil))
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	if who := w.userinfo(w.tokens("carol", nil).Access); who != "c@example.org" {
		t.Errorf("userinfo says %q", who)
	}
	noOpenID := w.tokens("alice", map[string]string{"scope": "email"}).Access
	for header, want := range map[string]struct {
		status int
		said   string
	}{
		"":                       {401, "Bearer"},
		"Basic YTpi":             {401, "Bearer"},
		"Bearer x":               {401, `error="invalid_token"`},
		"Bearer " + w.Token(nil): {401, `error="invalid_token"`},
		"Bearer " + noOpenID:     {403, `error="insufficient_scope"`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.at(authtest.UserinfoPath), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		if a := w.send(r); a.Status != want.status || !strings.Contains(a.Header.Get("WWW-Authenticate"), want.said) {
			t.Errorf("%.20s: status %d, %s", header, a.Status, a.Header.Get("WWW-Authenticate"))
		}
	}
}
