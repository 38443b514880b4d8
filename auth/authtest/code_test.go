// Authorization codes: once, in time, by the client they are for.

package authtest_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gprxy/auth/authtest"
)

func TestWhoMayRedeemACode(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"another client":           {"client_id": "other"},
		"another redirect URI":     {"redirect_uri": "http://127.0.0.1:4712/callback"},
		"no redirect URI":          {"redirect_uri": ""},
		"another verifier":         {"code_verifier": verifier + "x"},
		"no verifier":              {"code_verifier": ""},
		"verifier that is too big": {"code_verifier": verifier + string(make([]byte, 100))},
		"another code":             {"code": "x"},
		"no code":                  {"code": ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, authtest.Options{})
			code := w.login("alice", nil).Get("code")
			w.refused(name, w.redeem(code, changes), http.StatusBadRequest, "invalid_grant")
			if changes["code"] == "x" {
				return
			}
			if _, withoutCode := changes["code"]; !withoutCode {
				w.refused("a second try with everything right", w.redeem(code, nil), http.StatusBadRequest, "invalid_grant")
			}
		})
	}
}

func TestCodeLivesAMinute(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	young, old := w.login("alice", nil).Get("code"), w.login("alice", nil).Get("code")
	w.advance(59 * time.Second)
	w.must(w.redeem(young, nil))
	w.advance(time.Second)
	w.refused("a code of 60 s", w.redeem(old, nil), http.StatusBadRequest, "invalid_grant")
}

func TestSecondUseOfACodeRevokesWhatItGave(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	code := w.login("alice", nil).Get("code")
	a := w.must(w.redeem(code, nil))
	if w.userinfo(a.Access) != "alice@example.com" {
		t.Error("the access token is not good at first")
	}
	next := w.must(w.refresh(a.Refresh, nil))
	w.advance(2 * time.Minute) // the code has expired meanwhile, and still tells of the theft
	w.refused("the code again", w.redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	w.refused("its refresh token", w.refresh(next.Refresh, nil), http.StatusBadRequest, "invalid_grant")
	for _, access := range []string{a.Access, next.Access} {
		if who := w.userinfo(access); who != "" {
			t.Errorf("the access token still is %s's", who)
		}
	}
}

func TestCodeIsGoodOnceForManyAtOnce(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	code := w.login("alice", nil).Get("code")
	var good atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if w.redeem(code, nil).Status == http.StatusOK {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 20 got tokens", good.Load())
	}
}

// A verifier without a challenge tells that somebody took the challenge away (RFC 9700 section 4.8.2).
func TestVerifierWithoutChallenge(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	const back = "https://app.example.com/back?here=1"
	asked := map[string]string{"client_id": "web app", "redirect_uri": back, "code_challenge": "", "code_challenge_method": ""}
	as := map[string]string{"client_id": "web app", "client_secret": "s&cret+%", "redirect_uri": back, "code_verifier": ""}
	answer := w.login("alice", asked)
	if answer.Get("here") != "1" {
		t.Errorf("the redirect URI has lost its own query: %v", answer)
	}
	w.must(w.redeem(answer.Get("code"), as))
	as["code_verifier"] = verifier
	w.refused("verifier, no challenge", w.redeem(w.login("alice", asked).Get("code"), as), http.StatusBadRequest, "invalid_grant")
}
