// Devices: a code, a person who approves or denies, polls in between.

package authtest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
)

func (w *world) device(changes map[string]string) answer {
	w.t.Helper()
	return w.post(authtest.DeviceCodePath, change(url.Values{"client_id": {authtest.DefaultClient}, "scope": {allScope}}, changes))
}

func (w *world) poll(d answer, changes map[string]string) answer {
	w.t.Helper()
	return w.post(authtest.TokenPath, change(url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {authtest.DefaultClient}, "device_code": {d.DeviceCode},
	}, changes))
}

func TestApprovedDevice(t *testing.T) {
	w := newWorld(t, authtest.Options{Path: "/"})
	d := w.must(w.device(map[string]string{"audience": database}))
	if !regexp.MustCompile(`^[B-Z]{4}-[B-Z]{4}$`).MatchString(d.UserCode) || d.Interval != 5 || d.Lifetime != 600 ||
		d.Page != w.at(authtest.DevicePath) || d.CompletePage != d.Page+"?user_code="+d.UserCode {
		t.Errorf("answer %+v", d)
	}
	w.refused("before the person decides", w.poll(d, nil), http.StatusBadRequest, "authorization_pending")
	if err := w.Approve(strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")), "alice"); err != nil {
		t.Fatal(err)
	}
	a := w.must(w.poll(d, nil))
	if claims := w.claims(a.Access, database); claims["email"] != "alice@example.com" || a.Refresh == "" {
		t.Errorf("the device gets %v", claims)
	}
	w.must(w.refresh(a.Refresh, nil))
	w.refused("the device code again", w.poll(d, nil), http.StatusBadRequest, "invalid_grant")
	if n := w.Grants("device_code"); n != 3 {
		t.Errorf("three polls are counted as %d", n)
	}
}

func TestDeniedDevice(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	d := w.must(w.device(nil))
	if err := w.Deny(d.UserCode); err != nil {
		t.Fatal(err)
	}
	w.refused("denied", w.poll(d, nil), http.StatusBadRequest, "access_denied")
	if err := w.Approve(d.UserCode, "alice"); err == nil {
		t.Error("a denied device is approved")
	}
	w.refused("still denied", w.poll(d, nil), http.StatusBadRequest, "access_denied")
}

func TestExpiredDevice(t *testing.T) {
	w := newWorld(t, authtest.Options{DeviceLife: time.Minute})
	d, approved := w.must(w.device(nil)), w.must(w.device(nil))
	if err := w.Approve(approved.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	w.refused("expired", w.poll(d, nil), http.StatusBadRequest, "expired_token")
	w.refused("approved in time, fetched late", w.poll(approved, nil), http.StatusBadRequest, "expired_token")
	if err := w.Approve(d.UserCode, "alice"); err == nil {
		t.Error("an expired device is approved")
	}
}

func TestPollsTooFast(t *testing.T) {
	w := newWorld(t, authtest.Options{DeviceInterval: 5 * time.Second})
	d := w.must(w.device(nil))
	for _, step := range []struct {
		wait time.Duration
		want string
	}{
		{0, "authorization_pending"}, // the first may come at once
		{5 * time.Second, "authorization_pending"},
		{4 * time.Second, "authorization_pending"}, // the network's share
		{3 * time.Second, "slow_down"},             // 10 s from now on
		{5 * time.Second, "slow_down"},             // 15 s
		{15 * time.Second, "authorization_pending"},
	} {
		w.advance(step.wait)
		w.refused("after "+step.wait.String(), w.poll(d, nil), http.StatusBadRequest, step.want)
	}
	if err := w.Approve(d.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	w.must(w.poll(d, nil)) // one who may have them need not wait
}

func TestWhoMayPoll(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	asked := request(nil)
	d := w.must(w.device(map[string]string{"code_challenge": asked.Get("code_challenge"), "code_challenge_method": "S256"}))
	if err := w.Approve(d.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	for name, changes := range map[string]map[string]string{
		"another client": {"client_id": "other", "code_verifier": verifier},
		"another code":   {"device_code": d.UserCode, "code_verifier": verifier},
		"no code":        {"device_code": "", "code_verifier": verifier},
		"no verifier":    nil,
	} {
		w.refused(name, w.poll(d, changes), http.StatusBadRequest, "invalid_grant")
	}
	w.must(w.poll(d, map[string]string{"code_verifier": verifier}))
}

func TestWhoMayAskForADeviceCode(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	w.refused("unknown client", w.device(map[string]string{"client_id": "evil"}), http.StatusUnauthorized, "invalid_client")
	w.refused("unknown scope", w.device(map[string]string{"scope": "admin"}), http.StatusBadRequest, "invalid_scope")
	w.refused("unknown audience", w.device(map[string]string{"audience": "x"}), http.StatusBadRequest, "invalid_target")
	w.refused("plain challenge", w.device(map[string]string{"code_challenge": "x", "code_challenge_method": "plain"}), http.StatusBadRequest,
		"invalid_request")
}

func TestDecisionsThatCannotBe(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	d := w.must(w.device(nil))
	if err := w.Approve(d.UserCode, "eve"); err == nil {
		t.Error("eve approves")
	}
	if w.Approve("XXXX-XXXX", "alice") == nil || w.Deny("") == nil {
		t.Error("a code that nobody has is decided")
	}
	w.refused("none of this decided", w.poll(d, nil), http.StatusBadRequest, "authorization_pending")
}

func TestDevicePage(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	for name, test := range map[string]struct {
		form   url.Values
		status int
		want   string // what the device is told then; empty: it gets tokens
	}{
		"approved by button":     {url.Values{"as": {"alice"}}, http.StatusOK, ""},
		"approved with password": {url.Values{"login": {"carol"}, "password": {"correct horse"}}, http.StatusOK, ""},
		"wrong password":         {url.Values{"login": {"carol"}, "password": {"x"}}, http.StatusForbidden, "authorization_pending"},
		"denied":                 {url.Values{"action": {"deny"}}, http.StatusOK, "access_denied"},
		"nothing chosen":         {url.Values{}, http.StatusForbidden, "authorization_pending"},
	} {
		d := w.must(w.device(nil))
		status, body, err := get(t, d.CompletePage)
		if err != nil || status != http.StatusOK || !strings.Contains(string(body), d.UserCode) {
			t.Errorf("%s: the page has status %d (error %v)", name, status, err)
		}
		response, err := noRedirects.PostForm(d.CompletePage, test.form)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		a := w.poll(d, nil)
		if response.StatusCode != test.status || a.Error != test.want || (a.Access == "") != (test.want != "") {
			t.Errorf("%s: status %d, and the device is told %q, want %d %q", name, response.StatusCode, a.Error, test.status, test.want)
		}
	}
	for address, want := range map[string]int{w.at(authtest.DevicePath): 200, w.at(authtest.DevicePath) + "?user_code=XXXX-XXXX": 404} {
		if status, body, err := get(t, address); err != nil || status != want || !strings.Contains(string(body), `name="user_code"`) {
			t.Errorf("%s: status %d (error %v), want %d and a form for the code", address, status, err, want)
		}
	}
}
