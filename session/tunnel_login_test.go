package session_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/session/tunnel"
)

// The client reads gprxy's ErrorResponse byte for byte.
func TestARefusedLoginComesThroughAsItIs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token, user, database, code string
	}{
		"no role":          {token("bob@example.com", "baker"), "bob", database, "28000"},
		"expired":          {"eyJhbGciOiJub25lIn0.e30.", "bob", database, "28P01"},
		"account not held": {token("bob@example.com", "reader"), "app_writer", database, "28000"},
		"no such database": {token("bob@example.com", "reader"), "bob", "nowhere", "3D000"},
		"closed database":  {token("bob@example.com", "reader"), "bob", "closed", "42501"},
		"a bad parameter":  {token("bob@example.com", "reader"), "bob", database, "42501"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := startTunnel(t, withToken(func(context.Context) (auth.Secret, error) { return auth.Secret(test.token), nil }))
			pairs := []string{"user", test.user, "database", test.database}
			if name == "a bad parameter" {
				pairs = append(pairs, "role", "postgres")
			}
			conn := dial(t, u.addr)
			send(t, conn, startupPacket(3<<16, pairs...))
			got := readAll(t, conn)

			direct := dial(t, u.proxy.addr)
			send(t, direct, sslRequest)
			receiveByte(t, direct)
			secured := tls.Client(direct, u.tls)
			send(t, secured, startupPacket(3<<16, pairs...))
			if name != "a bad parameter" { // refused before the question
				receive(t, secured)
				send(t, secured, message('p', test.token+"\x00"))
			}
			if want := readAll(t, secured); got != want || !strings.Contains(got, "C"+test.code+"\x00") {
				t.Errorf("through the tunnel %q\nwithout it         %q, want %s", got, want, test.code)
			}
		})
	}
}

func TestATokenIsAskedForEachConnection(t *testing.T) {
	t.Parallel()
	tokens := []struct {
		token auth.Secret
		err   error
	}{
		{err: &sso.NoLoginError{}},
		{token: auth.Secret(token("bob@example.com", "reader"))},
		{err: &sso.RevokedError{Issuer: "https://issuer.example.com", User: "bob@example.com"}},
		{err: &sso.UnreachableError{Issuer: "https://issuer.example.com", Err: errors.New("no route\r\n\x00to host")}},
		{token: auth.Secret(token("bob@example.com", "reader"))},
	}
	next := 0
	u := startTunnel(t, withToken(func(context.Context) (auth.Secret, error) {
		given := tokens[next]
		next++
		return given.token, given.err
	}))
	for _, want := range []struct{ code, hint string }{
		{"28000", "gprxy login"}, {}, {"28000", "gprxy login"}, {"57P03", "moment"}, {},
	} {
		if want.code == "" {
			connect(t, u.dsn()).Close(t.Context())
			continue
		}
		if got := refused(t, u.dsn()); got.Code != want.code || !strings.Contains(got.Hint, want.hint) ||
			strings.ContainsAny(got.Message, "\r\n") {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := len(u.proxy.sessions()); got != 2 {
		t.Errorf("%d sessions came to gprxy, want 2: there was no token for the others", got)
	}
}

// The token goes to nobody but the gprxy that was meant.
func TestTheTokenStaysHereUnlessTheOtherEndIsTrusted(t *testing.T) {
	t.Parallel()
	plain := startProxy(t)
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deaf.Close()
	tests := []struct {
		name   string
		change func(*tunnel.Config)
		says   string // "": the login succeeds
	}{
		{"the CA is not known", func(u *tunnel.Config) { u.TLS = &tls.Config{ServerName: "localhost"} },
			"not trusted, so the token was not sent"},
		{"the name is another", func(u *tunnel.Config) { u.TLS.ServerName = "proxy.example.com" }, "not proxy.example.com"},
		{"no TLS is offered", func(u *tunnel.Config) { u.Address = plain.addr }, "offers no TLS"},
		{"no TLS is offered, and none is needed", func(u *tunnel.Config) { u.Address, u.OrPlain = plain.addr, func() bool { return true } }, ""},
		{"no TLS is wanted", func(u *tunnel.Config) { u.Address, u.TLS = plain.addr, nil }, ""},
		{"nobody listens", func(u *tunnel.Config) { u.Address = deaf.Addr().String() }, "connection refused"},
		{"no such host", func(u *tunnel.Config) { u.Address = "proxy.invalid:7777" }, "proxy.invalid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := startTunnel(t, func(c *tunnel.Config, _ *options) { test.change(c) })
			if test.says == "" {
				connect(t, u.dsn()).Close(t.Context())
				return
			}
			got := refused(t, u.dsn())
			if got.Code != "08001" || !strings.Contains(got.Message, test.says) || got.Hint == "" {
				t.Errorf("got %+v", got)
			}
			if err := u.Check(t.Context()); err == nil || err.Error() != got.Message {
				t.Errorf("Check says %v, the client reads %s", err, got.Message)
			}
			if all := u.proxy.records(); len(all) != 0 {
				t.Errorf("recorded %v", all)
			}
		})
	}
}

func TestCheckLeavesNoTrace(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	if err := u.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if all := u.proxy.records(); len(all) != 0 {
		t.Errorf("recorded %v", all)
	}
}

func TestALoginThroughATunnelHasADeadline(t *testing.T) {
	t.Parallel()
	never := func(ctx context.Context) (auth.Secret, error) {
		<-ctx.Done()
		return "", fmt.Errorf("ask the issuer: %w", ctx.Err())
	}
	u := startTunnel(t, withToken(never), func(c *tunnel.Config, _ *options) { c.LoginTimeout = 300 * time.Millisecond })
	for name, sent := range map[string]string{
		"says nothing":  "",
		"half a packet": "\x00\x00",
		"no token":      startupPacket(3<<16, "user", "bob"),
	} {
		conn := dial(t, u.addr)
		send(t, conn, sent)
		if m := wantFatal(t, conn, "57014"); !strings.Contains(m.field('M'), "tunnel") {
			t.Errorf("%s: %v", name, m)
		}
	}
}

func TestATunnelIsForOneDatabaseAndAccountUnlessTheClientSays(t *testing.T) {
	t.Parallel()
	both := func(context.Context) (auth.Secret, error) {
		return auth.Secret(token("bob@example.com", "reader", "writer")), nil
	}
	tests := []struct {
		name, account string
		pairs         []string
		wantAccount   string
		wantDatabase  string
	}{
		{"the client says neither", "", []string{"user", "me"}, "app_reader", database},
		{"the client says both", "", []string{"user", "app_writer", "database", "postgres"}, "app_writer", "postgres"},
		{"an empty database", "", []string{"database", "", "user", "me"}, "app_reader", database},
		{"the tunnel's account wins", "app_writer", []string{"user", "app_reader", "database", database}, "app_writer", database},
		{"the tunnel's account, no user", "writer", []string{"database", database}, "app_writer", database},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := startTunnel(t, withToken(both), func(c *tunnel.Config, _ *options) { c.User = test.account })
			conn := dial(t, u.addr)
			send(t, conn, startupPacket(3<<16, append(test.pairs, "work_mem", "3MB")...))
			receiveUntil(t, conn, 'Z')
			send(t, conn, query("select current_user || ' ' || current_database() || ' ' || current_setting('work_mem')"))
			got := rows(receiveUntil(t, conn, 'Z'))
			if want := test.wantAccount + " " + test.wantDatabase + " 3MB"; len(got) != 1 || got[0] != want {
				t.Errorf("got %q, want %s", got, want)
			}
		})
	}
}

func TestATunnelServesOnlySoMany(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	u := startTunnel(t, withToken(func(ctx context.Context) (auth.Secret, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return "", ctx.Err()
	}))
	// One more than there is room for: one of them is turned away, whichever it is.
	told := make(chan string, 257)
	for range 257 {
		conn := dial(t, u.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob"))
		go func() { // ends with conn, at the end of the test
			answer := make([]byte, 200)
			if n, _ := conn.Read(answer); n > 0 {
				told <- string(answer[:n])
			}
		}()
	}
	select {
	case answer := <-told:
		if !strings.Contains(answer, "C53300\x00") {
			t.Errorf("got %q, want 53300", answer)
		}
	case <-time.After(15 * time.Second):
		t.Error("nobody is turned away")
	}
}
