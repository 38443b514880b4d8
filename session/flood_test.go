package session_test

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/store"
)

// counts is how many facts of a type, with a reason, stand in the log: by
// themselves, and counted together.
func (p *proxy) counts(of, reason string) (single, counted int64) {
	p.t.Helper()
	for _, r := range p.records(of, "log.condensed") {
		var fact struct {
			Of, Reason, Client string
			Count              int64
			First, Last        time.Time
		}
		if err := json.Unmarshal(r.Detail, &fact); err != nil {
			p.t.Fatal(err)
		}
		switch {
		case r.Type == of && fact.Reason == reason:
			single++
		case r.Type == "log.condensed" && fact.Of == of && fact.Reason == reason:
			counted += fact.Count
			if fact.Client != "192.0.2.1" || r.Client != "192.0.2.1" || fact.Last.Before(fact.First) || fact.First.IsZero() {
				p.t.Errorf("recorded %s", r.Detail)
			}
		}
	}
	return single, counted
}

// Strangers cannot fill the log, and nothing of what they do is lost from it.
func TestFloodsAreCounted(t *testing.T) {
	p := startProxy(t, fromLoadBalancers)
	const n = 100
	floods := []struct {
		of, reason string
		come       func()
	}{
		{"session.ended", "left_before_login", func() { halfLogin(t, p, "192.0.2.1:1").Close() }},
		{"session.refused", "parameter_denied", func() {
			conn := dialAs(t, p, "192.0.2.1:1")
			send(t, conn, startupPacket(3<<16, "user", "bob", "role", "postgres"))
			wantFatal(t, conn, "42501")
		}},
		{"cancel.rejected", "unknown_key", func() {
			conn := dialAs(t, p, "192.0.2.1:1")
			send(t, conn, packet(cancelCode, "\x00\x00\x00\x07secr"))
			readAll(t, conn)
		}},
		{"connection.refused", "malformed", func() {
			conn := dialAs(t, p, "192.0.2.1:1")
			send(t, conn, "GET / HTTP/1.1\r\n\r\n")
			readAll(t, conn)
		}},
	}
	for _, flood := range floods {
		for range n {
			flood.come()
		}
	}
	const judged = 20
	expired := issuer.Token(authtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
	for i := range judged {
		conn := halfLogin(t, p, "192.0.2.1:1")
		send(t, conn, message('p', []string{"wrong", expired}[i%2]+"\x00"))
		wantFatal(t, conn, "28P01")
	}
	login(t, dialAs(t, p, "192.0.2.1:1"), "bob", token("bob@example.com", "reader"))
	eventually(t, "all of it is recorded or counted", 20*time.Second, func() bool {
		p.handler.Close()
		for _, flood := range floods {
			single, counted := p.counts(flood.of, flood.reason)
			if flood.of == "connection.refused" { // nothing by itself: it has a line of the log
				single = min(n-counted, 60)
			}
			if single+counted != n || counted < n-60 {
				return false
			}
		}
		return true
	})
	if got := len(p.records("auth.failed")); got != judged {
		t.Errorf("%d judged logins are recorded, want %d: each", got, judged)
	}
	if all := p.records(); len(all) > 300 {
		t.Errorf("%d events", len(all))
	}
	if s := p.sessions()[0]; s.State != store.StateActive || s.User != "bob@example.com" {
		t.Errorf("session %+v", s)
	}
}

// While PostgreSQL is away nobody's password can be judged: attempts are counted
// like other noise.
func TestAFloodOfPasswordsWhilePostgreSQLIsAway(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, func(o *options) { o.pool.Port = closedPort(t) })
	const n = 10
	guess := func() {
		conn := halfLogin(t, p, "192.0.2.1:1")
		send(t, conn, message('p', "a guess\x00"))
		wantFatal(t, conn, "57P03")
	}
	guess()
	for range 70 {
		halfLogin(t, p, "192.0.2.1:1").Close()
	}
	for range n - 1 {
		guess()
	}
	p.handler.Close()
	eventually(t, "most are counted, all are known", 20*time.Second, func() bool {
		single, counted := p.counts("session.refused", "postgresql_unreachable")
		return single+counted == n && single <= n/2
	})
}

// closedPort is one where nobody listens.
func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// Whoever guesses keys is not listened to for long, be it with the right one;
// the sessions of its own address can still be cancelled.
func TestAFloodOfWrongKeys(t *testing.T) {
	p := startProxy(t, fromLoadBalancers)
	const attacker, victim = "192.0.2.1:1", "192.0.2.2:1"
	own, other := dialAs(t, p, attacker), dialAs(t, p, victim)
	ownKey := keyOf(login(t, own, "eve", token("eve@example.com", "reader")))
	otherKey := keyOf(login(t, other, "bob", token("bob@example.com", "reader")))
	cancelFrom := func(client, key string) {
		conn := dialAs(t, p, client)
		send(t, conn, packet(cancelCode, key))
		readAll(t, conn)
	}
	guesses := int64(0)
	for began := time.Now(); guesses < 160+int64(10*time.Since(began).Seconds()); guesses++ { // ten a second are forgiven
		cancelFrom(attacker, otherKey[:4]+string([]byte{0, 0, 0, byte(guesses)}))
	}
	sleep := func(conn net.Conn) {
		send(t, conn, query("select 'whole' from pg_sleep(1)"))
		eventually(t, "the query runs", 20*time.Second, func() bool {
			return admin(t, "select count(*) from pg_stat_activity where query like '%whole%' and query not like '%activity%' and state = "+
				"'active'") == "1"
		})
	}
	sleep(other)
	cancelFrom(attacker, otherKey)
	if got := rows(receiveUntil(t, other, 'Z')); len(got) != 1 {
		t.Errorf("the query gave %q: an attacker that guessed right at last cancelled it", got)
	}
	for client, conn := range map[string]net.Conn{victim: other, attacker: own} {
		sleep(conn)
		cancelFrom(client, map[string]string{victim: otherKey, attacker: ownKey}[client])
		if answers := receiveUntil(t, conn, 'Z'); answers[len(answers)-2].field('C') != "57014" {
			t.Errorf("from %s got %v", client, answers)
		}
	}
	eventually(t, "every guess is recorded or counted", 20*time.Second, func() bool {
		p.handler.Close() // has what was counted until now written
		total := int64(0)
		for _, reason := range []string{"unknown_key", "too_many_wrong_keys"} {
			single, counted := p.counts("cancel.rejected", reason)
			total += single + counted
		}
		return total == guesses+1
	})
}
