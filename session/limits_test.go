package session_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/session"
)

func limited(l session.Limits) func(*options) {
	return func(o *options) { o.session.Limits = l }
}

// halfLogin is a connection that is asked for its password, and says no more.
func halfLogin(t *testing.T, p *proxy, client string) net.Conn {
	t.Helper()
	conn := dialAs(t, p, client)
	if !asksForPassword(t, conn) {
		t.Fatal("got no question for a password")
	}
	return conn
}

// asksForPassword begins a login, and tells whether gprxy goes on with it.
func asksForPassword(t *testing.T, conn net.Conn) bool {
	t.Helper()
	send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
	return receive(t, conn).kind == 'R'
}

// halfLoginInTime is halfLogin as soon as there is a place.
func halfLoginInTime(t *testing.T, p *proxy, client string) (conn net.Conn) {
	t.Helper()
	eventually(t, "there is a place", 20*time.Second, func() bool {
		conn = dialAs(t, p, client)
		return asksForPassword(t, conn)
	})
	return conn
}

// refusedFor tells whether a session was refused for the reason.
func refusedFor(p *proxy, reason string) bool {
	for _, s := range p.sessions() {
		if s.State == "refused" && s.EndReason == reason {
			return true
		}
	}
	return false
}

// wantRefusedFor waits for the record: it may be written a moment after the client was told.
func wantRefusedFor(t *testing.T, p *proxy, reason string) {
	t.Helper()
	eventually(t, "a session is recorded as refused for "+reason, 5*time.Second, func() bool { return refusedFor(p, reason) })
}

// Whoever holds places without using them loses them; a client that logs in
// without delay finds one.
func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, limited(session.Limits{Logins: 4, LoginsPerAddress: 2}))
	first := halfLogin(t, p, "192.0.2.1:1")
	second := halfLogin(t, p, "192.0.2.1:2")
	halfLogin(t, p, "192.0.2.1:3")
	if m := wantFatal(t, first, "53300"); m.field('H') == "" {
		t.Error("no hint")
	}
	wantRefusedFor(t, p, "place_taken")
	halfLogin(t, p, "[2001:db8::1]:1")
	halfLogin(t, p, "[2001:db8::2]:1") // the same /64
	conn := dialAs(t, p, "192.0.2.9:1")
	login(t, conn, "bob", token("bob@example.com", "reader"))
	wantFatal(t, second, "53300") // the oldest of the origins with the most
}

// Loopback is no exception, and its addresses are as many origins.
func TestLoopbackIsBoundedLikeOthers(t *testing.T) {
	p := startProxy(t, limited(session.Limits{LoginsPerAddress: 1}))
	ask := func(local byte) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, local)}}
		conn, err := dialer.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		receive(t, conn)
		return conn
	}
	first, other := ask(2), ask(3)
	ask(2)
	wantFatal(t, first, "53300")
	send(t, other, message('p', token("bob@example.com", "reader")+"\x00"))
	receiveUntil(t, other, 'Z')
}

// hangingTokens makes gprxy work on each login with a token of the returned kind
// until the issuer answers, which it does not.
func hangingTokens(t *testing.T) (token string, change func(*options)) {
	t.Helper()
	i := authtest.Start(t, authtest.Options{})
	i.SetMode(authtest.Slow)
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: i.URL(), Audience: i.Audience()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	return i.Token(nil), func(o *options) { o.session.Tokens = verifier }
}

// Where there is no place left, and none that may be taken, logins are refused at
// once; cancel requests are served, and silence holds nobody up.
func TestACancelFindsRoomWhereLoginsDoNot(t *testing.T) {
	hanging, change := hangingTokens(t)
	p := startProxy(t, change, limited(session.Limits{LoginsPerAddress: 2}))
	running := dial(t, p.addr)
	key := keyOf(login(t, running, "alice", alicePassword))
	// Until its token is looked at, a login may lose its place to the next.
	eventually(t, "the places are in use", 20*time.Second, func() bool {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		if m := receive(t, conn); m.kind == 'E' {
			return m.field('M') == "sorry, too many clients are logging in already"
		}
		send(t, conn, message('p', hanging+"\x00"))
		return false
	})
	wantRefusedFor(t, p, "too_many_logins")
	var silent []net.Conn
	for range 30 {
		silent = append(silent, dial(t, p.addr))
	}
	send(t, running, query("select pg_sleep(30)"))
	eventually(t, "the query runs", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'") == "1"
	})
	cancelWith(t, p, key)
	if answers := receiveUntil(t, running, 'Z'); answers[len(answers)-2].field('C') != "57014" {
		t.Errorf("got %v", answers)
	}
	for _, conn := range silent {
		wantFatal(t, conn, "53300") // at once, when its place was taken, or after a second
	}
}

func TestMaxClients(t *testing.T) {
	p := startProxy(t, limited(session.Limits{Clients: 2}))
	first := dial(t, p.addr)
	key := keyOf(login(t, first, "bob", token("bob@example.com", "reader")))
	second := rawSession(t, p, "reader")
	third := dial(t, p.addr)
	send(t, third, startupPacket(3<<16, "user", "bob", "database", database))
	if m := wantFatal(t, third, "53300"); !strings.Contains(m.field('M'), "too many clients") ||
		!strings.Contains(m.field('H'), "MAX_CLIENTS") {
		t.Errorf("got %v", m)
	}
	wantRefusedFor(t, p, "too_many_clients")
	send(t, first, query("select pg_sleep(30)"))
	eventually(t, "the query runs", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'") == "1"
	})
	cancelWith(t, p, key)
	receiveUntil(t, first, 'Z')
	send(t, second, message('X', ""))
	readAll(t, second)
	eventually(t, "there is room for another", 20*time.Second, func() bool { // once the second's backend is reset
		conn := dial(t, p.addr)
		defer conn.Close()
		return asksForPassword(t, conn)
	})
	rawSession(t, p, "reader")
}

// However many come at once, no more than may be get in.
func TestMaxClientsAtOnce(t *testing.T) {
	p := startProxy(t, limited(session.Limits{Clients: 3}), func(o *options) { o.pool.MaxConns = 20 })
	dsn := p.dsn("bob", token("bob@example.com", "reader"))
	var clients sync.WaitGroup
	in := make(chan *pgx.Conn, 20)
	for range cap(in) {
		clients.Go(func() {
			conn, err := pgx.Connect(t.Context(), dsn)
			if err == nil {
				in <- conn
			} else if !strings.Contains(err.Error(), "53300") {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	if len(in) != 3 {
		t.Errorf("%d clients are in, want 3", len(in))
	}
	for len(in) > 0 {
		(<-in).Close(t.Context())
	}
}

// Who has logged in and waits for a backend is no stranger any more.
func TestWaitingForABackendTakesNoPlaceOfLogins(t *testing.T) {
	p := startProxy(t, limited(session.Limits{LoginsPerAddress: 1}), func(o *options) { o.pool.MaxConns = 1 })
	first := rawSession(t, p, "reader")
	var waiting []net.Conn
	for range 3 {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		receive(t, conn)
		send(t, conn, message('p', token("bob@example.com", "reader")+"\x00"))
		waiting = append(waiting, conn)
		eventually(t, "it waits", 20*time.Second, func() bool {
			stats := p.pools.Stats()
			return len(stats) == 1 && stats[0].Waiting == len(waiting)
		})
	}
	send(t, first, message('X', ""))
	io.Copy(io.Discard, first)
	for _, conn := range waiting {
		receiveUntil(t, conn, 'Z')
		send(t, conn, message('X', ""))
	}
}
