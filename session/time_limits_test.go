package session_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/session"
	"gprxy/store"
)

// The verifier allows 30 s of leeway, so a token that expired 29 s ago is let in
// and its expiry is past; one that expires in a second lives to see it.
func expiring(in time.Duration) string {
	return issuer.Token(authtest.Claims{"email": "bob@example.com", "roles": []string{"writer"}, "exp": time.Now().Add(in).Unix() + 1})
}

func disconnect(grace time.Duration) func(*options) {
	return func(o *options) {
		o.session.OnExpiry, o.session.ExpiryGrace = session.ExpiryDisconnect, grace
	}
}

func TestSessionsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	p := startProxy(t, disconnect(time.Minute))
	conn := dial(t, p.addr)
	login(t, conn, "bob", expiring(2*time.Second))
	notice := receive(t, conn)
	if notice.kind != 'N' || notice.field('S') != "NOTICE" || !strings.Contains(notice.field('M'), "expires") {
		t.Fatalf("got %v, want the notice", notice)
	}
	if m := wantFatal(t, conn, "57P01"); !strings.Contains(m.field('M'), "expired") || m.field('H') == "" {
		t.Errorf("message %v", m)
	}
	eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "token_expired" })
}

// A transaction may finish within the grace, and not beyond.
func TestATransactionOutlivesTheTokenForTheGrace(t *testing.T) {
	t.Parallel()
	t.Run("finished in time", func(t *testing.T) {
		p := startProxy(t, disconnect(time.Minute))
		conn := dial(t, p.addr)
		login(t, conn, "bob", expiring(2*time.Second))
		send(t, conn, query("begin; insert into items values (6001, 'late')"))
		receiveUntil(t, conn, 'Z')
		send(t, conn, query("select pg_sleep(3.5)"))
		receiveUntil(t, conn, 'Z')
		send(t, conn, query("commit"))
		receiveUntil(t, conn, 'Z')
		wantFatal(t, conn, "57P01")
		if got := admin(t, "delete from items where id = 6001 returning 'kept'"); got != "kept" {
			t.Error("the transaction was lost")
		}
	})
	t.Run("cut off", func(t *testing.T) {
		p := startProxy(t, disconnect(time.Second))
		conn := dial(t, p.addr)
		login(t, conn, "bob", expiring(2*time.Second))
		send(t, conn, query("begin; select pg_sleep(60)"))
		all := receiveUntil(t, conn, 'E')
		if m := all[len(all)-1]; m.field('C') != "57P01" || !strings.Contains(m.field('M'), "expired") {
			t.Errorf("got %v", all)
		}
		waitIdle(t, p)
	})
}

func TestSessionsOutliveTheirTokenByDefault(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := dial(t, p.addr)
	login(t, conn, "bob", expiring(0))
	send(t, conn, query("select pg_sleep(1.5)"))
	receiveUntil(t, conn, 'Z')
	send(t, conn, query("select 1"))
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

// A notice never stands within a message of the backend's.
func TestTheNoticeKeepsToFrameBoundaries(t *testing.T) {
	t.Parallel()
	p := startProxy(t, disconnect(10*time.Second))
	conn := dial(t, p.addr)
	login(t, conn, "bob", expiring(time.Second))
	send(t, conn, query("select repeat('x', 1000000) from generate_series(1, 1000000)"))
	notices, after := 0, 0
	for after < 50 {
		switch m := receive(t, conn); m.kind {
		case 'N':
			notices++
		case 'D':
			after += notices
			if len(m.body) != 1000006 || strings.Trim(m.body[6:], "x") != "" {
				t.Fatal("a row was cut")
			}
		}
	}
	if notices != 1 {
		t.Errorf("%d notices", notices)
	}
}

func within(l session.TimeLimits) func(*options) {
	return func(o *options) { o.session.Time = l }
}

// A session that does nothing is ended; one that works, or rests within a transaction, is not.
func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	p := startProxy(t, within(session.TimeLimits{Idle: time.Second}))
	working, inTransaction, idle := dial(t, p.addr), dial(t, p.addr), dial(t, p.addr)
	for _, conn := range []net.Conn{working, inTransaction, idle} {
		login(t, conn, "bob", token("bob@example.com", "writer"))
	}
	send(t, inTransaction, query("begin"))
	receiveUntil(t, inTransaction, 'Z')
	began := time.Now()
	ended := make(chan received, 1)
	go func() { m, _ := tryReceive(idle); ended <- m }()
	// The transaction rests for twice the limit.
	for running := true; running || time.Since(began) < 2*time.Second; {
		send(t, working, query("select pg_sleep(0.1)"))
		receiveUntil(t, working, 'Z')
		select {
		case m := <-ended:
			running = false
			if m.kind != 'E' || m.field('C') != "57P05" || m.field('S') != "FATAL" || !strings.Contains(m.field('M'), "IDLE_TIMEOUT") {
				t.Errorf("got %v, want 57P05", m)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("ended after %v, before its time", took)
			}
		default:
		}
	}
	eventually(t, "the end is recorded", 20*time.Second, func() bool {
		return slices.ContainsFunc(p.sessions(), func(s store.Session) bool { return s.EndReason == store.EndIdleTimeout })
	})
	send(t, inTransaction, query("commit"))
	if got := receiveUntil(t, inTransaction, 'Z'); got[0].field('C') != "" && got[0].kind == 'E' {
		t.Errorf("the transaction that rested got %v", got)
	}
	wantFatal(t, inTransaction, "57P05") // it is idle from the commit on
}

// Who waits for a notification is idle, as for PostgreSQL; a query that runs for long is not.
func TestALongQueryIsNotIdle(t *testing.T) {
	t.Parallel()
	p := startProxy(t, within(session.TimeLimits{Idle: time.Second}))
	conn := dial(t, p.addr)
	login(t, conn, "bob", token("bob@example.com", "writer"))
	send(t, conn, query("select pg_sleep(2.5)"))
	if got := receiveUntil(t, conn, 'Z'); got[len(got)-1].kind != 'Z' {
		t.Errorf("got %v", got)
	}
	wantFatal(t, conn, "57P05")
}

func TestSessionsLastSoLong(t *testing.T) {
	t.Parallel()
	p := startProxy(t, within(session.TimeLimits{Session: 2 * time.Second, Grace: time.Second}))
	resting, working := dial(t, p.addr), dial(t, p.addr)
	login(t, resting, "bob", token("bob@example.com", "writer"))
	if notice := receive(t, resting); notice.kind != 'N' || !strings.Contains(notice.field('M'), "as long as gprxy allows") {
		t.Fatalf("got %v, want the notice", notice)
	}
	login(t, working, "bob", token("bob@example.com", "writer"))
	receive(t, working) // the notice
	send(t, working, query("begin; select pg_sleep(60)"))
	if m := wantFatal(t, resting, "57P01"); !strings.Contains(m.field('M'), "MAX_SESSION") || m.field('H') == "" {
		t.Errorf("message %v", m)
	}
	all := receiveUntil(t, working, 'E')
	if m := all[len(all)-1]; m.field('C') != "57P01" || !strings.Contains(m.field('M'), "MAX_SESSION") {
		t.Errorf("got %v", all)
	}
	waitIdle(t, p)
	eventually(t, "both ends are recorded", 20*time.Second, func() bool {
		sessions := p.sessions()
		return len(sessions) == 2 && sessions[0].EndReason == store.EndMaxSession && sessions[1].EndReason == store.EndMaxSession
	})
}
