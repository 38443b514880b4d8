// The issuer speaks to a client that knows nothing of this program.

package authtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

func get(t *testing.T, address string) (int, []byte, error) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 2<<20))
	return response.StatusCode, body, err
}

func TestTokensAreGoodForAnyClient(t *testing.T) {
	for _, path := range []string{"", "/", "/realms/demo/"} {
		iss := authtest.Start(t, authtest.Options{Path: path, Audience: "db", Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}})
		status, body, err := get(t, strings.TrimSuffix(iss.URL(), "/")+authtest.DiscoveryPath)
		if err != nil || status != http.StatusOK {
			t.Fatalf("discovery: status %d, error %v", status, err)
		}
		var document struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(body, &document); err != nil || document.Issuer != iss.URL() {
			t.Fatalf("discovery says %s (error %v)", body, err)
		}
		set, err := jwk.Fetch(t.Context(), document.Keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range iss.Algorithms() {
			token, err := iss.Sign(alg, nil, authtest.Claims{"email": "ann@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.ParseString(token, jwt.WithKeySet(set), jwt.WithIssuer(iss.URL()), jwt.WithAudience("db")); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
		if err := iss.Rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.ParseString(iss.Token(nil), jwt.WithKeySet(set)); err == nil {
			t.Error("a key from before the rotation verifies a token from after it")
		}
		if n := iss.Requests(authtest.KeysPath); n != 1 {
			t.Errorf("one request for the keys is counted as %d", n)
		}
	}
}

func TestModes(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	address := iss.URL() + authtest.KeysPath
	for _, test := range []struct {
		mode   authtest.Mode
		status int // 0: no answer
	}{
		{authtest.Up, 200}, {authtest.Down, 0}, {authtest.Failing, 500}, {authtest.Garbage, 200},
		{authtest.Endless, 200}, {authtest.Redirect, 302}, {authtest.Up, 200},
	} {
		iss.SetMode(test.mode)
		status, body, err := get(t, address)
		if status != test.status || (err == nil) != (test.status != 0) {
			t.Errorf("mode %d answers %d (error %v), want %d", test.mode, status, err, test.status)
		}
		isKeySet := json.Valid(body) && len(body) < 1<<20 && strings.Contains(string(body), `"keys"`)
		if isKeySet != (test.mode == authtest.Up) {
			t.Errorf("mode %d answers %.100q", test.mode, body)
		}
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "nonsense"} {
		if iss, err := authtest.New(authtest.Options{Addr: addr}); err == nil {
			_ = iss.Close()
			t.Errorf("listens on %s", addr)
		}
	}
}

func TestCloseEndsSlowAnswers(t *testing.T) {
	iss, err := authtest.New(authtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	iss.SetMode(authtest.Slow)
	answered := make(chan error, 1)
	go func() {
		_, _, err := get(t, iss.URL()+authtest.KeysPath)
		answered <- err
	}()
	limit := time.After(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for iss.Requests(authtest.KeysPath) == 0 {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("no request within 5 s")
		}
	}
	if err := iss.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-answered:
		if err == nil {
			t.Error("a slow issuer answered")
		}
	case <-limit:
		t.Error("the slow answer outlives the issuer")
	}
}
