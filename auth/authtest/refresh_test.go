// Refresh tokens: rotated, and the whole family ends when one comes twice.

package authtest_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gprxy/auth/authtest"
)

func TestRefreshRotates(t *testing.T) {
	w := newWorld(t, authtest.Options{AccessLife: time.Minute})
	a := w.tokens("alice", nil)
	began := w.now().Unix()
	for range 3 {
		w.advance(time.Minute)
		if who := w.userinfo(a.Access); who != "" {
			t.Error("the access token outlives its life")
		}
		next := w.must(w.refresh(a.Refresh, nil))
		if next.Refresh == "" || next.Refresh == a.Refresh || next.Access == a.Access || next.Lifetime != 60 || w.userinfo(next.Access) == "" {
			t.Errorf("refreshed to %+v", next)
		}
		id := w.claims(next.ID, authtest.DefaultClient)
		if id["nonce"] != nil || id["auth_time"] != float64(began) {
			t.Errorf("the refreshed ID token says %v", id)
		}
		a = next
	}
	if n := w.Grants("refresh_token"); n != 3 {
		t.Errorf("three refreshes are counted as %d", n)
	}
}

func TestReusedRefreshTokenEndsTheFamily(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	first, bystander := w.tokens("alice", nil), w.tokens("alice", nil)
	second := w.must(w.refresh(first.Refresh, nil))
	third := w.must(w.refresh(second.Refresh, nil))
	w.refused("the first one again", w.refresh(first.Refresh, nil), http.StatusBadRequest, "invalid_grant")
	w.refused("the one that was good", w.refresh(third.Refresh, nil), http.StatusBadRequest, "invalid_grant")
	if who := w.userinfo(third.Access); who != "" {
		t.Error("the access token of the family is still good")
	}
	w.must(w.refresh(bystander.Refresh, nil)) // another login of the same person is another family
}

func TestManyRefreshAtOnce(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	a := w.tokens("alice", nil)
	var good atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if w.refresh(a.Refresh, nil).Status == http.StatusOK {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 || w.Grants("refresh_token") != 20 {
		t.Errorf("%d of 20 got tokens, %d are counted", good.Load(), w.Grants("refresh_token"))
	}
}

func TestWhoMayRefresh(t *testing.T) {
	w := newWorld(t, authtest.Options{RefreshLife: time.Hour, AccessLife: 2 * time.Hour}) // of which neither stretches the other
	a := w.tokens("alice", map[string]string{"scope": "openid email offline_access"})
	for name, test := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"another client":       {map[string]string{"client_id": "other"}, "invalid_grant"},
		"no token":             {map[string]string{"refresh_token": ""}, "invalid_grant"},
		"made up":              {map[string]string{"refresh_token": "a.b"}, "invalid_grant"},
		"an access token":      {map[string]string{"refresh_token": a.Access}, "invalid_grant"},
		"a scope more":         {map[string]string{"scope": "openid profile"}, "invalid_scope"},
		"an audience more":     {map[string]string{"audience": authtest.DefaultAudience}, "invalid_target"},
		"a resource elsewhere": {map[string]string{"resource": "https://billing.example.com"}, "invalid_target"},
	} {
		w.refused(name, w.refresh(a.Refresh, test.changes), http.StatusBadRequest, test.want)
	}
	narrow := w.must(w.refresh(a.Refresh, map[string]string{"scope": "openid"})) // none of them has used it up
	if narrow.Scope != "openid" || w.claims(narrow.ID, authtest.DefaultClient)["email"] != nil {
		t.Errorf("scope %q", narrow.Scope)
	}
	wide := w.must(w.refresh(narrow.Refresh, nil))
	if wide.Scope != "openid email offline_access" {
		t.Errorf("scope %q after a narrow one", wide.Scope)
	}
	w.advance(time.Hour)
	w.refused("after its life", w.refresh(wide.Refresh, nil), http.StatusBadRequest, "invalid_grant")
}

func TestOneWhoHasNoRefreshToken(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	a := w.tokens("alice", map[string]string{"scope": "openid"})
	w.refused("a login without offline_access", w.refresh(strings.Split(a.Access, ".")[0], nil), http.StatusBadRequest, "invalid_grant")
}
