// The callback is there for one login, on this machine, and gone after it.

package sso_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

// requireNobodyListens requires that the callback's port is closed on both families.
func requireNobodyListens(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(host, u.Port()), time.Second); err == nil {
			_ = c.Close()
			t.Errorf("somebody still listens on %s", c.RemoteAddr())
		}
	}
}

func TestCtrlCLeavesNoListener(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var redirect string
	_, err := sso.LoginBrowser(ctx, configFor(iss), func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		redirect = u.Query().Get("redirect_uri")
		idle, err := net.Dial("tcp", "127.0.0.1:"+portOf(t, redirect)) // as browsers do, to spare
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = idle.Close() })
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
	requireNobodyListens(t, redirect)

	broken := errors.New("no browser here")
	_, err = sso.LoginBrowser(t.Context(), configFor(iss), func(address string) error {
		u, _ := url.Parse(address)
		redirect = u.Query().Get("redirect_uri")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got the error %v", err)
	}
	requireNobodyListens(t, redirect)
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func TestPortTaken(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no %s on this machine: %v", host, err)
			continue
		}
		c := configFor(iss)
		c.Port = l.Addr().(*net.TCPAddr).Port
		_, err = sso.LoginBrowser(short(t), c, func(string) error { t.Error("the address was shown"); return nil })
		requireError[*sso.PortError](t, err, []string{l.Addr().String(), "another program", "CALLBACK_URL", "--port"})
		_ = l.Close()
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(iss, "alice")
	_, err = sso.LoginBrowser(short(t), configFor(iss), func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		port := portOf(t, u.Query().Get("redirect_uri"))
		for _, a := range addresses {
			ip, _, err := net.ParseCIDR(a.String())
			if err != nil || ip.IsLinkLocalUnicast() {
				continue
			}
			c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), time.Second)
			if (err == nil) != (ip.String() == "127.0.0.1" || ip.String() == "::1") {
				t.Errorf("connecting to %v gives %v", ip, err)
			}
			if err == nil {
				_ = c.Close()
			}
		}
		return b.show(address)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.wait(t)
}
