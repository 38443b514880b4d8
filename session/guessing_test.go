package session_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/session"
)

func guarded(memory time.Duration) func(*options) {
	return limited(session.Limits{Failures: 4, FailureMemory: memory})
}

// attempt logs in with a password and returns the answer to it, and the time that
// took.
func attempt(t *testing.T, p *proxy, client, user, password string) (received, time.Duration) {
	t.Helper()
	conn := dialAs(t, p, client)
	defer conn.Close()
	send(t, conn, startupPacket(3<<16, "user", user, "database", database))
	receive(t, conn)
	began := time.Now()
	send(t, conn, message('p', password+"\x00"))
	answer := receive(t, conn)
	return answer, time.Since(began)
}

// After a few failures guesses are slowed, then nobody looks at them. The
// answer is the same, the log has the reason, and the person guessed at can log in
// from elsewhere.
func TestGuessing(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, guarded(time.Hour))
	const attacker, victim = "192.0.2.1:1", "192.0.2.2:1"
	var answers []received
	var last time.Duration
	for range 4 {
		var answer received
		answer, last = attempt(t, p, attacker, "alice", "a guess")
		answers = append(answers, answer)
	}
	logins := strings.Count(postgres.Log(), "connection received")
	unlooked, took := attempt(t, p, attacker, "alice", alicePassword)
	answers = append(answers, unlooked)
	if after := strings.Count(postgres.Log(), "connection received"); after != logins {
		t.Error("PostgreSQL was asked once more")
	}
	for _, answer := range answers {
		if answer.field('C') != "28P01" || answer.body != answers[0].body {
			t.Errorf("answer %v, want %v", answer, answers[0])
		}
	}
	if last < 250*time.Millisecond || took < last/2 || took > 5*last {
		t.Errorf("a guess that was judged took %v, one that was not %v", last, took)
	}
	// as long as it would be held back
	if answer, took := attempt(t, p, victim, "alice", alicePassword); answer.kind != 'R' || took >= time.Second {
		t.Errorf("elsewhere the person is answered %v after %v", answer, took)
	}
	wantRefusedFor(t, p, "too_many_failures")
	if len(p.records("auth.failed")) != 5 {
		t.Errorf("sessions %+v", p.sessions())
	}
	if answer, _ := attempt(t, p, attacker, "bob", token("bob@example.com", "reader")); answer.kind != 'R' {
		t.Errorf("another user of that address is answered %v", answer)
	}
}

// Tokens are guarded like passwords, in the way each client presents them.
func TestGuessingTokens(t *testing.T) {
	config, secure := withTLS(t)
	p := startProxy(t, fromLoadBalancers, secure, guarded(time.Hour))
	for range 4 {
		attempt(t, p, "192.0.2.1:1", "bob", "eyJhbGciOiJub25lIn0.e30.x")
	}
	if answer, _ := attempt(t, p, "192.0.2.1:1", "bob", token("bob@example.com", "reader")); answer.field('C') != "28P01" {
		t.Errorf("answer %v", answer)
	}
	bearer := "n,,\x01auth=Bearer " + token("bob@example.com", "reader") + "\x01\x01"
	plain := dialAs(t, p, "192.0.2.1:1")
	send(t, plain, sslRequest)
	receiveByte(t, plain)
	conn := tls.Client(plain, config)
	send(t, conn, startupPacket(3<<16, "user", "bob", "database", database, "options", "-c gprxy.auth=oauth"))
	receive(t, conn)
	send(t, conn, message('p', "OAUTHBEARER\x00\x00\x00"+string([]byte{byte(len(bearer) >> 8), byte(len(bearer))})+bearer))
	if m := receive(t, conn); m.kind != 'R' || !strings.Contains(m.body, "invalid_token") {
		t.Fatalf("got %v, want the issuer's address", m)
	}
	send(t, conn, message('p', "\x01"))
	wantFatal(t, conn, "28000")
	if got := p.records("auth.failed"); !strings.Contains(string(got[len(got)-1].Detail), "too_many_failures") {
		t.Errorf("recorded %s", got[len(got)-1].Detail)
	}
}

// Who leaves while PostgreSQL looks at a password has made an attempt.
func TestAbandonedGuessesCount(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, limited(session.Limits{Failures: 1, FailureMemory: time.Hour}))
	conn := dialAs(t, p, "192.0.2.1:1")
	send(t, conn, startupPacket(3<<16, "user", "alice", "database", database))
	receive(t, conn)
	send(t, conn, message('p', "a guess\x00"))
	conn.Close()
	eventually(t, "it is over", 20*time.Second, func() bool {
		all := p.sessions()
		return len(all) == 1 && (all[0].State == "ended" || all[0].State == "refused")
	})
	if answer, _ := attempt(t, p, "192.0.2.1:1", "alice", alicePassword); answer.field('C') != "28P01" {
		t.Errorf("answer %v", answer)
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, guarded(100*time.Millisecond))
	for range 4 {
		attempt(t, p, "192.0.2.1:1", "bob", "eyJhbGciOiJub25lIn0.e30.x")
	}
	eventually(t, "the right token is looked at again", 20*time.Second, func() bool {
		answer, _ := attempt(t, p, "192.0.2.1:1", "bob", token("bob@example.com", "reader"))
		return answer.kind == 'R'
	})
}

// A guesser that is made to wait holds no place: the next one gets it.
func TestAGuesserHoldsNoPlace(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, limited(session.Limits{LoginsPerAddress: 1, Failures: 1, FailureMemory: time.Hour}))
	attempt(t, p, "192.0.2.1:1", "bob", "eyJhbGciOiJub25lIn0.e30.x")
	waiting := halfLoginInTime(t, p, "192.0.2.1:1")
	send(t, waiting, message('p', "eyJhbGciOiJub25lIn0.e30.x\x00"))
	halfLoginInTime(t, p, "192.0.2.1:2")
	wantFatal(t, waiting, "53300")
}

// Bad passwords for many people from one address, a hundred at once, do not hold
// up a login from another.
func TestGuessersDoNotStarveLogins(t *testing.T) {
	p := startProxy(t, fromLoadBalancers, guarded(time.Hour))
	stop := make(chan struct{})
	var guessers sync.WaitGroup
	for i := range 100 {
		guessers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					guess(p.addr, fmt.Sprint("user", i))
				}
			}
		})
	}
	defer guessers.Wait()
	defer close(stop)
	eventually(t, "guesses are judged", 20*time.Second, func() bool { return refusedFor(p, "too_many_failures") })
	for range 3 {
		answer, took := attempt(t, p, "192.0.2.2:1", "alice", alicePassword)
		if answer.kind != 'R' || took > time.Second {
			t.Errorf("the login was answered %v after %v", answer, took)
		}
		t.Logf("a login among 100 guessers took %v", took.Round(time.Millisecond))
	}
}

// guess tries a password for user from the address of an attacker.
func guess(addr, user string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn.Write([]byte(headerV1("192.0.2.1:1") + startupPacket(3<<16, "user", user, "database", database) + message('p', "a guess\x00")))
	for b := make([]byte, 1024); err == nil; {
		_, err = conn.Read(b)
	}
}

// Anybody with a token may name any user: one that is good forgives no guess at that
// user's password.
func TestATokenForgivesNoGuesses(t *testing.T) {
	t.Parallel()
	p := startProxy(t, guarded(time.Hour))
	for range 10 {
		for range 3 {
			refused(t, p.dsn("alice", "wrong"))
			if refusedFor(p, "too_many_failures") {
				return
			}
		}
		conn := connect(t, p.dsn("alice", token("mallory@example.com", "reader")))
		conn.Close(t.Context())
	}
	t.Error("30 guesses at alice's password were judged")
}
