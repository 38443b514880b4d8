package session_test

import (
	"strings"
	"testing"
	"time"

	"gprxy/pool/pooltest"
	"gprxy/session"
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

// E4, E5: a cancel request ends the query, of its own session, and is recorded.
func TestCancel(t *testing.T) {
	p := startProxy(t)
	conn := dial(t, p.addr)
	key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
	send(t, conn, query("select pg_sleep(30)"))
	eventually(t, "the query runs", 5*time.Second, func() bool {
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

// G4: a key of another session, of an ended one, or a guessed one hits nothing
// and is recorded.
func TestKeysThatOpenNothing(t *testing.T) {
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
	if got := len(p.records("cancel.rejected")); got != len(keys) {
		t.Errorf("%d rejected requests recorded, want %d", got, len(keys))
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

// E5: over TLS on both sides.
func TestCancelOverTLS(t *testing.T) {
	secured := pooltest.New(t, pooltest.Options{TLS: true})
	if err := secured.CreateUser(t.Context(), "app_reader", "reader-secret"); err != nil {
		t.Fatal(err)
	}
	_, secure := withTLS(t)
	p := startProxy(t, secure, func(o *options) {
		o.session.RequireTLS = session.TLSAlways
		o.pool.Port, o.pool.SSLMode, o.pool.SSLRootCert = secured.Port, "verify-full", secured.RootCert
		o.pool.Host = "localhost"
	})
	config := mustParse(t, strings.Replace(p.dsn("bob", token("bob@example.com", "reader")), "/demo?sslmode=disable", "/postgres?sslmode=require", 1))
	conn := connectConfig(t, config)
	if got := ask[bool](t, conn, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"); !got {
		t.Error("the backend's connection is not encrypted")
	}
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(30)")
		done <- err
	}()
	eventually(t, "the query runs", 5*time.Second, func() bool {
		rows, err := secured.Query(t.Context(), "postgres", "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'")
		return err == nil && rows[0][0] == "1"
	})
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "57014") {
		t.Errorf("the query ended with %v", err)
	}
	conn.Close(t.Context())
	waitIdle(t, p)
}
