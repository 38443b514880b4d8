package session_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// Whoever takes all backends of an account, and a crowd that waits for them,
// is in nobody's way with another.
func TestOneAccountDoesNotStarveAnother(t *testing.T) {
	t.Parallel()
	p := startProxy(t, soon, func(o *options) {
		o.pool.MaxConns, o.pool.MaxTotal, o.pool.AcquireTimeout = 2, 3, time.Minute
		o.session.WaitNotice = time.Minute
	})
	greedy := dial(t, p.addr)
	key := keyOf(login(t, greedy, "bob", token("bob@example.com", "reader")))
	rawSession(t, p, "reader")
	const crowd = 8
	for range crowd {
		queued(t, p)
	}
	dsn := p.dsn("mia", token("mia@example.com", "writer"))
	for range 10 {
		conn := connect(t, dsn)
		if got := ask[string](t, conn, "select current_user"); got != "app_writer" {
			t.Errorf("served by %s", got)
		}
		conn.Close(t.Context())
	}
	connect(t, p.dsn("alice", alicePassword)).Close(t.Context())
	wantCancelled(t, p, greedy, key)
	if n := waiting(p); n != crowd {
		t.Errorf("%d wait, want all %d that came for the other account", n, crowd)
	}
}

// Turns are taken in the order of coming, and who leaves gives its turn to the
// next: at once, whether it was the first in line or not.
func TestTurnsOfThoseWhoWait(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"POOL_MAX_CONNS", "POOL_MAX_TOTAL"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			const n = 6
			p := startProxy(t, func(o *options) {
				o.pool.MaxConns, o.pool.AcquireTimeout, o.session.WaitNotice = 1, time.Minute, time.Minute
				if limit == "POOL_MAX_TOTAL" {
					o.pool.MaxConns, o.pool.MaxTotal = n+1, 1
				}
			})
			inside := rawSession(t, p, "reader")
			var line []net.Conn
			for i := range n {
				conn := dial(t, p.addr)
				send(t, conn, startupPacket(3<<16, "user", "eve", "database", database))
				receive(t, conn)
				send(t, conn, message('p', token(fmt.Sprintf("eve%d@example.com", i), "reader")+"\x00"))
				eventually(t, "the client waits", 20*time.Second, func() bool { return waiting(p) == i+1 })
				line = append(line, conn)
			}
			for _, leaves := range []int{0, 3} {
				cutOff(line[leaves])
			}
			eventually(t, "two have left the line", 20*time.Second, func() bool { return waiting(p) == n-2 })
			for left, next := range []int{1, 2, 4, 5} {
				send(t, inside, message('X', ""))
				inside = line[next]
				receiveUntil(t, inside, 'Z')
				if got := waiting(p); got != n-3-left {
					t.Errorf("%d wait when number %d is served", got, next)
				}
			}
			var order, gone []string
			for _, r := range p.records("session.started", "session.ended") {
				switch {
				case !strings.HasPrefix(r.User, "eve"):
				case r.Type == "session.started":
					order = append(order, r.User[3:4])
				case strings.Contains(string(r.Detail), "left_while_waiting"):
					gone = append(gone, r.User[3:4])
				}
			}
			if got := strings.Join(order, " "); got != "1 2 4 5" {
				t.Errorf("served in the order %s", got)
			}
			if len(gone) != 2 {
				t.Errorf("%v are recorded as gone while they waited", gone)
			}
		})
	}
}
