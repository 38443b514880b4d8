// The issuer as a bad one, one endpoint at a time, and as a different one.

package authtest_test

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"

	"github.com/lestrrat-go/jwx/v2/jwt"
)

func TestModeOfOneEndpoint(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	w.SetModeAt(authtest.TokenPath, authtest.Failing)
	if status, _, err := get(t, w.at(authtest.KeysPath)); status != http.StatusOK {
		t.Errorf("the keys answer %d (error %v)", status, err)
	}
	response, err := noRedirects.PostForm(w.at(authtest.TokenPath), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusInternalServerError {
		t.Errorf("the token endpoint answers %d", response.StatusCode)
	}
	w.SetMode(authtest.Up)
	w.tokens("alice", nil)
}

func TestWrongIDTokens(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for mode, wrong := range map[authtest.Mode]func(jwt.Token) bool{
		authtest.WrongNonce: func(id jwt.Token) bool {
			n, _ := id.Get("nonce")
			return n != "the nonce" && id.Audience()[0] == authtest.DefaultClient
		},
		authtest.OtherClient: func(id jwt.Token) bool {
			n, _ := id.Get("nonce")
			return n == "the nonce" && id.Audience()[0] != authtest.DefaultClient
		},
		authtest.ExpiredID: func(id jwt.Token) bool { return id.Expiration().Before(w.now().Add(-59 * time.Minute)) },
	} {
		w.SetModeAt(authtest.TokenPath, mode)
		a := w.tokens("alice", nil)
		id, err := jwt.ParseInsecure([]byte(a.ID))
		if err != nil || !wrong(id) {
			t.Errorf("mode %d: ID token %v (error %v)", mode, id, err)
		}
		w.claims(a.Access, database) // as it should be
	}
}

func TestSlowPostEndsWithItsClient(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	w.SetModeAt(authtest.TokenPath, authtest.Slow)
	quick := &http.Client{Timeout: 100 * time.Millisecond}
	if response, err := quick.PostForm(w.at(authtest.TokenPath), request(nil)); err == nil {
		_ = response.Body.Close()
		t.Error("a slow endpoint answers")
	}
	limit := time.After(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for stacks := make([]byte, 1<<20); strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "waitForever"); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the answer still waits 5 s after its client left")
		}
	}
}

func discovery(t *testing.T, w *world) map[string]any {
	t.Helper()
	_, body, err := get(t, w.at(authtest.DiscoveryPath))
	document := map[string]any{}
	if err != nil || json.Unmarshal(body, &document) != nil {
		t.Fatalf("discovery says %.100q (error %v)", body, err)
	}
	return document
}

func TestDiscoveryListsTheEndpoints(t *testing.T) {
	w := newWorld(t, authtest.Options{Path: "/realms/demo/", Without: []string{authtest.RevokePath}})
	document := discovery(t, w)
	for field, path := range map[string]string{
		"authorization_endpoint": authtest.AuthorizePath, "token_endpoint": authtest.TokenPath, "userinfo_endpoint": authtest.UserinfoPath,
		"device_authorization_endpoint": authtest.DeviceCodePath, "jwks_uri": authtest.KeysPath,
	} {
		if document[field] != w.at(path) {
			t.Errorf("%s is %v, want %s", field, document[field], w.at(path))
		}
	}
	if there, ok := document["revocation_endpoint"]; ok {
		t.Errorf("an issuer without revocation lists %v", there)
	}
	if status, _, _ := get(t, w.at(authtest.RevokePath)); status != http.StatusNotFound {
		t.Errorf("an endpoint that is not there answers %d", status)
	}
	w.SetModeAt(authtest.DiscoveryPath, authtest.Renamed)
	if document := discovery(t, w); document["issuer"] == w.URL() || document["token_endpoint"] != w.at(authtest.TokenPath) {
		t.Errorf("renamed, it says %v", document)
	}
}

func TestOpaqueAccessTokens(t *testing.T) {
	w := newWorld(t, authtest.Options{Opaque: true})
	a := w.tokens("alice", nil)
	if strings.Contains(a.Access, ".") || w.userinfo(a.Access) != "alice@example.com" {
		t.Errorf("access token %q", a.Access)
	}
	w.claims(a.ID, authtest.DefaultClient)
}

func TestLongUserCode(t *testing.T) {
	w := newWorld(t, authtest.Options{LongCodes: true})
	d := w.must(w.device(nil))
	if len(d.UserCode) != 19 || len(d.DeviceCode) < 2000 {
		t.Errorf("user code %q, device code of %d bytes", d.UserCode, len(d.DeviceCode))
	}
	if err := w.Approve(d.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	a := w.must(w.poll(d, nil))
	w.must(w.refresh(a.Refresh, nil))
}

func TestKeyRotationBetweenRefreshes(t *testing.T) {
	w := newWorld(t, authtest.Options{Algorithms: []string{"RS256"}})
	a := w.tokens("alice", nil)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	w.claims(w.must(w.refresh(a.Refresh, nil)).Access, database)
}
