package session_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/pool/pooltest"
)

const cancelCode = 1234<<16 | 5678

// cancelWith sends a CancelRequest and waits until gprxy closes the connection.
func cancelWith(t *testing.T, p *proxy, key string) {
	t.Helper()
	conn := dial(t, p.addr)
	send(t, conn, packet(cancelCode, key))
	if got := readAll(t, conn); got != "" {
		t.Errorf("%q came on the cancel connection", got)
	}
}

func keyOf(greeting []received) string { return greeting[len(greeting)-2].body }

// A cancel request ends the query, of its own session, and is recorded.
func TestCancel(t *testing.T) {
	p := startProxy(t)
	conn := dial(t, p.addr)
	key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
	send(t, conn, query("select pg_sleep(30)"))
	eventually(t, "the query runs", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'") == "1"
	})
	began := time.Now()
	cancelWith(t, p, key)
	answers := receiveUntil(t, conn, 'Z')
	if failed := answers[len(answers)-2]; failed.field('C') != "57014" {
		t.Errorf("got %v", answers)
	}
	t.Logf("cancelled after %v", time.Since(began).Round(100*time.Microsecond))
	records := p.records("cancel.forwarded")
	if len(records) != 1 || records[0].Session != p.sessions()[0].Session || records[0].User != "bob@example.com" {
		t.Errorf("recorded %+v", records)
	}
	send(t, conn, query("select 1"))
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
		t.Errorf("the next statement gave %q", got)
	}
}

// A key of another session, of an ended one, or a guessed one hits nothing
// and is recorded.
func TestKeysThatOpenNothing(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1 })
	first := dial(t, p.addr)
	oldKey := keyOf(login(t, first, "bob", token("bob@example.com", "reader")))
	send(t, first, message('X', ""))
	waitIdle(t, p)
	second := dial(t, p.addr)
	key := keyOf(login(t, second, "eve", token("eve@example.com", "reader")))
	if oldKey[:4] != key[:4] {
		t.Fatal("the second session has another backend: the test shows nothing")
	}
	other := dial(t, p.addr)
	otherKey := keyOf(login(t, other, "bob", token("bob@example.com", "writer")))

	send(t, second, query("select 'whole' from pg_sleep(1)"))
	keys := map[string]string{
		"of an ended session":     oldKey,
		"guessed":                 key[:4] + "\x00\x00\x00\x00",
		"secret of another":       key[:4] + otherKey[4:],
		"pid of nobody":           "\x7f\xff\xff\xff" + key[4:],
		"too short":               key[:5],
		"longer than it is":       key + "\x00",
		"as long as is allowed":   key[:4] + strings.Repeat("x", 256),
		"pid zero, secret zero":   "\x00\x00\x00\x00\x00\x00\x00\x00",
		"secret cut after a byte": key[:7],
	}
	for name, wrong := range keys {
		t.Run(name, func(t *testing.T) { cancelWith(t, p, wrong) })
	}
	if got := rows(receiveUntil(t, second, 'Z')); len(got) != 1 || got[0] != "whole" {
		t.Errorf("the query gave %q", got)
	}
	rejected := p.records("cancel.rejected")
	if len(rejected) != len(keys) {
		t.Errorf("%d rejected requests recorded, want %d", len(rejected), len(keys))
	}
	for _, r := range rejected {
		if !strings.Contains(string(r.Detail), `"unknown_key"`) {
			t.Errorf("a request was rejected with %s: its key was still known", r.Detail)
		}
	}
	if got := p.records("cancel.forwarded"); len(got) != 0 {
		t.Errorf("forwarded: %+v", got)
	}
}

// The backend's own key is never shown: with it, nothing can be cancelled past
// gprxy either.
func TestTheBackendsOwnSecretStaysInside(t *testing.T) {
	p := startProxy(t)
	conn := dial(t, p.addr)
	key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
	send(t, conn, query("select 'whole' from pg_sleep(0.5)"))
	direct := dial(t, postgres.Addr())
	send(t, direct, packet(cancelCode, key))
	readAll(t, direct)
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != "whole" {
		t.Errorf("the query gave %q", got)
	}
}

// With and without TLS on either side, asked for or begun with, and with the
// keys of both protocols.
func TestCancelOnEveryKindOfConnection(t *testing.T) {
	secured := pooltest.New(t, pooltest.Options{TLS: true})
	if err := secured.CreateUser(t.Context(), "app_reader", "reader-secret"); err != nil {
		t.Fatal(err)
	}
	config, secure := withTLS(t)
	direct := config.Clone()
	direct.NextProtos = []string{"postgresql"}
	fronts := map[string]func(*testing.T, net.Conn) net.Conn{
		"plain":      func(_ *testing.T, c net.Conn) net.Conn { return c },
		"TLS":        func(t *testing.T, c net.Conn) net.Conn { return overTLS(t, c, config) },
		"direct TLS": func(_ *testing.T, c net.Conn) net.Conn { return tls.Client(c, direct) },
	}
	for _, mode := range []string{"disable", "verify-full"} {
		p := startProxy(t, secure, func(o *options) {
			o.pool.Host, o.pool.Port, o.pool.SSLMode, o.pool.SSLRootCert = "localhost", secured.Port, mode, secured.RootCert
			o.pool.MaxConns = 1
		})
		for front, dress := range fronts {
			for _, version := range []uint32{3 << 16, 3<<16 | 2} {
				t.Run(fmt.Sprintf("%s, 3.%d, backend %s", front, version&0xffff, mode), func(t *testing.T) {
					conn := dress(t, dial(t, p.addr))
					greeting := loginWith(t, conn, version, "bob", token("bob@example.com", "reader"), "database", "postgres")
					send(t, conn, query("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
					if got := rows(receiveUntil(t, conn, 'Z')); (got[0] == "t") != (mode != "disable") {
						t.Errorf("the backend's connection is encrypted: %s", got[0])
					}
					send(t, conn, query("select 'begun' from generate_series(1, 2000); select pg_sleep(30)"))
					receiveAny(t, conn, "D")

					cancelling := dress(t, dial(t, p.addr))
					send(t, cancelling, packet(cancelCode, keyOf(greeting)))
					if got := readAll(t, cancelling); got != "" {
						t.Errorf("%q came on the cancel connection", got)
					}
					if answers := receiveUntil(t, conn, 'Z'); answers[len(answers)-2].field('C') != "57014" {
						t.Errorf("the query ended with %v", answers[len(answers)-2])
					}
					send(t, conn, message('X', ""))
					waitIdle(t, p)
				})
			}
		}
		if got, want := len(p.records("cancel.forwarded")), 2*len(fronts); got != want {
			t.Errorf("backend %s: %d cancels recorded, want %d", mode, got, want)
		}
	}
}
