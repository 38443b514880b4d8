package session_test

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gprxy/session/tunnel"
)

func TestHalfCloseThroughATunnel(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	for _, seconds := range []string{"0", "0.7"} {
		conn := u.raw()
		send(t, conn, query("select 'done' from pg_sleep("+seconds+")"))
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != "done" {
			t.Errorf("sleeping %s s: rows %q", seconds, got)
		}
		if rest := readAll(t, conn); rest != "" {
			t.Errorf("%q after the answers", rest)
		}
	}
}

// What a client that is gone left running ends, through the tunnel too.
func TestAnOrphanQueryBehindATunnelIsCancelled(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	conn := u.raw()
	send(t, conn, query("select pg_sleep(60) /* tunnelled */"))
	eventually(t, "the query runs", 5*time.Second, func() bool { return tunnelledQueries(t) == "1" })
	conn.Close()
	left := time.Now()
	eventually(t, "the query is gone", 5*time.Second, func() bool { return tunnelledQueries(t) == "0" })
	t.Logf("gone after %v", time.Since(left).Round(time.Millisecond))
}

// A client that leaves while gprxy lets it wait frees its place there.
func TestAClientMayLeaveWhileTheTunnelLogsIn(t *testing.T) {
	t.Parallel()
	u := startTunnel(t, func(_ *tunnel.Config, o *options) { o.pool.MaxConns = 1; o.pool.AcquireTimeout = time.Minute })
	u.raw()
	conn := dial(t, u.addr)
	send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
	waiting := func() bool {
		stats := u.proxy.pools.Stats()
		return len(stats) == 1 && stats[0].Waiting == 1
	}
	eventually(t, "the client waits", 5*time.Second, waiting)
	conn.Close()
	eventually(t, "nobody waits", 5*time.Second, func() bool { return !waiting() })
}

// Ctrl-C ends who rests, lets finish who works, and leaves nothing behind.
func TestDrainOfATunnel(t *testing.T) {
	u := startTunnel(t)
	resting, working, transacting, silent := u.raw(), u.raw(), u.raw(), dial(t, u.addr)
	send(t, working, query("select 'done' from pg_sleep(0.5)"))
	send(t, transacting, query("begin"))
	receiveUntil(t, transacting, 'Z')

	u.Drain()
	if m := wantFatal(t, resting, "57P01"); !strings.Contains(m.field('M'), "tunnel") {
		t.Errorf("got %v", m)
	}
	wantFatal(t, silent, "57P01")
	if got := rows(receiveUntil(t, working, 'Z')); len(got) != 1 || got[0] != "done" {
		t.Errorf("the running query gave %q", got)
	}
	wantFatal(t, working, "57P01")
	send(t, transacting, query("commit"))
	receiveUntil(t, transacting, 'Z')
	wantFatal(t, transacting, "57P01")
	eventually(t, "the goroutines are gone", 5*time.Second, func() bool {
		all := stacks()
		return !bytes.Contains(all, []byte("gprxy/session.(*")) && !bytes.Contains(all, []byte("gprxy/session/relay.(*"))
	})
	eventually(t, "gprxy was told", 5*time.Second, func() bool {
		for _, s := range u.proxy.sessions() {
			if s.EndReason != "client_terminated" {
				return false
			}
		}
		return true
	})
}

// stacks are those of all goroutines.
func stacks() []byte {
	all := make([]byte, 1<<20)
	return all[:runtime.Stack(all, true)]
}

// A tunnel that may not wait cuts off a running query, and PostgreSQL ends it.
func TestATunnelCutOffEndsItsQueries(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	conn := u.raw()
	send(t, conn, query("select pg_sleep(60) /* tunnelled */"))
	eventually(t, "the query runs", 5*time.Second, func() bool { return tunnelledQueries(t) == "1" })
	u.stop()
	wantFatal(t, conn, "57P01")
	eventually(t, "the query is gone", 5*time.Second, func() bool { return tunnelledQueries(t) == "0" })
}

func TestTheEndOfGprxyReachesTheClientOfATunnel(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	resting := u.raw()
	u.proxy.handler.Drain()
	if m := wantFatal(t, resting, "57P01"); !strings.Contains(m.field('M'), "gprxy is shutting down") {
		t.Errorf("got %v, want gprxy's own words", m)
	}
}
