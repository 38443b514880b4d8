package session_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gprxy/session/tunnel"
)

// Clients that wait for a backend.

// soon tells clients after a moment that they wait.
func soon(o *options) {
	o.session.WaitNotice = 100 * time.Millisecond
	o.pool.MaxConns, o.pool.AcquireTimeout = 1, 15*time.Second
}

// queued is a client that has logged in and waits.
func queued(t *testing.T, p *proxy, parameters ...string) net.Conn {
	t.Helper()
	before := waiting(p)
	conn := queueing(t, p, parameters...)
	eventually(t, "the client waits", 20*time.Second, func() bool { return waiting(p) == before+1 })
	return conn
}

// queueing is a client that has sent its token and is about to wait.
func queueing(t *testing.T, p *proxy, parameters ...string) net.Conn {
	t.Helper()
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, append([]string{"user", "eve", "database", database}, parameters...)...))
	receive(t, conn)
	send(t, conn, message('p', token("eve@example.com", "reader")+"\x00"))
	return conn
}

func waiting(p *proxy) (n int) {
	for _, s := range p.pools.Stats() {
		n += s.Waiting
	}
	return n
}

// wantWelcome requires AuthenticationOk and then the notice that the client waits.
func wantWelcome(t *testing.T, conn net.Conn, says string) {
	t.Helper()
	if m := receive(t, conn); m.kind != 'R' || m.body != "\x00\x00\x00\x00" {
		t.Fatalf("got %v, want AuthenticationOk", m)
	}
	m := receive(t, conn)
	if m.kind != 'N' || m.field('S') != "NOTICE" || m.field('V') != "NOTICE" || m.field('C') != "00000" || m.field('H') == "" ||
		!regexp.MustCompile(says).MatchString(m.field('M')) {
		t.Fatalf("got %v, want a notice that says %q", m, says)
	}
}

// Who waits is told what for, and goes on when it is there.
func TestAClientThatWaitsIsTold(t *testing.T) {
	t.Parallel()
	p := startProxy(t, soon)
	holder := rawSession(t, p, "reader")
	conn := queued(t, p)
	wantWelcome(t, conn, `all 1 of app_reader to database "demo" are in use \(POOL_MAX_CONNS\), 1 login waits`)
	for _, event := range p.records() {
		if event.Type == "session.started" && event.User == "eve@example.com" {
			t.Error("the session is recorded as started while it waits")
		}
	}
	if got := len(p.records("auth.succeeded")); got != 2 {
		t.Errorf("%d logins are recorded, want the waiting one's too", got)
	}
	send(t, holder, message('X', ""))
	if greeting := receiveUntil(t, conn, 'Z'); greeting[0].kind != 'S' {
		t.Errorf("the greeting begins with %v", greeting[0])
	}
	send(t, conn, query("select 1"))
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestWhatAClientIsToldItWaitsFor(t *testing.T) {
	t.Parallel()
	t.Run("the limit of all", func(t *testing.T) {
		p := startProxy(t, soon, func(o *options) { o.pool.MaxTotal = 1 })
		rawSession(t, p, "writer")
		wantWelcome(t, queued(t, p), `all 1 are in use \(POOL_MAX_TOTAL\)`)
	})
	t.Run("nothing, if it wants no notices", func(t *testing.T) {
		p := startProxy(t, soon, func(o *options) { o.pool.AcquireTimeout = 400 * time.Millisecond })
		rawSession(t, p, "reader")
		for _, quiet := range [][]string{{"client_min_messages", "warning"}, {"options", "-c client_min_messages=error"}} {
			wantFatal(t, queueing(t, p, quiet...), "53300")
		}
	})
	t.Run("and that it was in vain", func(t *testing.T) {
		p := startProxy(t, soon, func(o *options) { o.pool.AcquireTimeout = 2 * time.Second })
		rawSession(t, p, "reader")
		conn := queueing(t, p)
		wantWelcome(t, conn, "POOL_MAX_CONNS")
		if m := wantFatal(t, conn, "53300"); !strings.Contains(m.field('M'), "POOL_MAX_CONNS") || m.field('H') == "" {
			t.Errorf("got %v", m)
		}
		if s := p.sessions()[0]; s.EndReason != "pool_timeout" || s.State != "refused" || s.User != "eve@example.com" {
			t.Errorf("session %+v", s)
		}
	})
	t.Run("and that gprxy ends", func(t *testing.T) {
		p := startProxy(t, soon)
		rawSession(t, p, "reader")
		conn := queued(t, p)
		p.handler.Drain()
		began := time.Now()
		all, _ := frames(readAll(t, conn))
		if last := all[len(all)-1]; last.field('C') != "57P03" || time.Since(began) > 12*time.Second {
			t.Errorf("told %v after %v", last, time.Since(began))
		}
	})
}

// Also inside TLS, and through the tunnel of gprxy's own.
func TestAClientOfATunnelThatWaitsIsTold(t *testing.T) {
	t.Parallel()
	u := startTunnel(t, func(_ *tunnel.Config, o *options) { soon(o) })
	enter := func() net.Conn {
		conn := dial(t, u.addr)
		send(t, conn, startupPacket(3<<16, "user", "eve", "database", database))
		return conn
	}
	holder := enter()
	receiveUntil(t, holder, 'Z')
	conn := enter()
	wantWelcome(t, conn, "POOL_MAX_CONNS")
	send(t, holder, message('X', ""))
	receiveUntil(t, conn, 'Z')
}

// A client that is waiting has no cancel key yet, so Ctrl-C closes its connection. The wait ends at once, its place
// goes to the next, and the log says what happened.
func TestAWaitingClientMayLeave(t *testing.T) {
	t.Parallel()
	_, secure := withTLS(t)
	p := startProxy(t, secure, soon, func(o *options) { o.pool.AcquireTimeout = time.Minute })
	leaves := map[string]func(*testing.T) func(){
		"a socket that closes": func(t *testing.T) func() { c := queued(t, p); return func() { c.Close() } },
		"a socket that is reset": func(t *testing.T) func() {
			c := queued(t, p)
			return func() { c.(*net.TCPConn).SetLinger(0); c.Close() }
		},
		"after the notice": func(t *testing.T) func() {
			c := queued(t, p)
			wantWelcome(t, c, "POOL_MAX_CONNS")
			return func() { c.Close() }
		},
		"psql with Ctrl-C":            func(t *testing.T) func() { return interruptedPsql(t, p, "disable") },
		"psql with Ctrl-C inside TLS": func(t *testing.T) func() { return interruptedPsql(t, p, "require") },
	}
	left := 0
	for name, begin := range leaves {
		t.Run(name, func(t *testing.T) {
			holder := rawSession(t, p, "reader")
			leave := begin(t)
			next := queued(t, p)
			began := time.Now()
			leave()
			eventually(t, "only the next one waits", 20*time.Second, func() bool { return waiting(p) == 1 })
			t.Logf("the wait was over after %v", time.Since(began))
			left++
			eventually(t, "the end is recorded", 20*time.Second, func() bool { return ended(p, "left_while_waiting") == left })
			send(t, holder, message('X', ""))
			receiveUntil(t, next, 'Z')
			waitHeld(t, p, 1)
			send(t, next, message('X', ""))
			waitHeld(t, p, 0)
		})
	}
}

func ended(p *proxy, reason string) (n int) {
	for _, s := range p.sessions() {
		if s.EndReason == reason {
			n++
		}
	}
	return n
}

// waitHeld waits until so many leases are out: no place is lost.
func waitHeld(t *testing.T, p *proxy, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " leases are out"), 5*time.Second, func() bool {
		held := 0
		for _, s := range p.pools.Stats() {
			held += s.Leased
		}
		return held == n
	})
}

// interruptedPsql starts psql, waits until it has shown the notice, and returns what sends it SIGINT.
func interruptedPsql(t *testing.T, p *proxy, sslmode string) func() {
	t.Helper()
	cmd := tool(t, p, "reader", "psql", "-c", "select 1")
	cmd.Env = append(cmd.Env, "PGSSLMODE="+sslmode)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	shown := make([]byte, 0, 4096)
	for !bytes.Contains(shown, []byte("HINT:")) {
		n, err := stderr.Read(shown[len(shown):cap(shown)])
		shown = shown[:len(shown)+n]
		if err != nil {
			t.Fatalf("psql said %q: %v", shown, err)
		}
	}
	if !strings.Contains(string(shown), "NOTICE:  waiting for a connection to PostgreSQL") {
		t.Errorf("psql said %q", shown)
	}
	return func() {
		cmd.Process.Signal(os.Interrupt)
		io.Copy(io.Discard, stderr)
		if err := cmd.Wait(); err == nil {
			t.Error("psql went on after Ctrl-C")
		}
	}
}

// While the log takes long nobody is told of a wait, for that tells that the login
// is good.
func TestASlowLogIsNoWaitToTellOf(t *testing.T) {
	t.Parallel()
	p := startProxy(t, soon)
	other, err := sql.Open("sqlite", p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	writer, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.ExecContext(t.Context(), "begin immediate"); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, "user", "eve", "database", database))
	receive(t, conn)
	send(t, conn, message('p', token("eve@example.com", "reader")+"\x00"))
	conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) // five times as long as a notice would take
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client heard something (%v) before its events are durable", err)
	}
	if _, err := writer.ExecContext(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if m := receiveUntil(t, conn, 'Z')[0]; m.kind != 'R' {
		t.Errorf("got %v", m)
	}
	if got := len(p.records("auth.succeeded")); got != 1 {
		t.Errorf("%d logins are recorded", got)
	}
}
