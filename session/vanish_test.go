package session_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Clients that go at the worst moment, and what is left of them a second later.

// stuff writes statements without reading an answer until the sockets are full.
func stuff(t *testing.T, conn net.Conn, statement string) {
	t.Helper()
	many := strings.Repeat(statement, 1+(1<<20)/len(statement))
	for range 64 {
		conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := io.WriteString(conn, many); err != nil {
			return
		}
	}
	t.Fatal("64 MB fit between the client and the backend")
}

func TestAClientThatVanishesBehindFullSockets(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	ends := map[string]func(net.Conn){
		"killed": func(c net.Conn) { c.Close() },
		"reset": func(c net.Conn) {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
	}
	works := map[string]string{
		"both directions blocked": query("select repeat('x', 100000) /* flood */"),
		"the backend busy":        query("select pg_sleep(20) /* flood */"),
	}
	for work, statement := range works {
		for how, end := range ends {
			if work == "the backend busy" && how == "killed" {
				// The client's FIN waits behind what it could not send yet, so nobody
				// on this side can know; nor could PostgreSQL.
				continue
			}
			t.Run(work+", "+how, func(t *testing.T) {
				conn := rawSession(t, p, "reader")
				stuff(t, conn, statement)
				end(conn)
				eventually(t, "the backend is free", 10*time.Second, func() bool {
					return admin(t, "select count(*) from pg_stat_activity where query like '%flood%' and query not like '%activity%' and state = "+
						"'active'") == "0"
				})
				waitIdle(t, p)
				eventually(t, "the end is recorded", 10*time.Second, func() bool { return p.sessions()[0].EndReason == "client_gone" })
			})
		}
	}
}

// A client that is slow to read, and has said its last word, is not taken for
// dead: it gets all its answers.
func TestASlowClientThatClosedItsSideGetsItsAnswers(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	const n = 300
	send(t, conn, strings.Repeat(query("select repeat('x', 100000)"), n))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // a slow reader is what is tested
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	for i := range n {
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || len(got[0]) != 100000 {
			t.Fatalf("answer %d has %d rows", i, len(got))
		}
	}
}

// What was sent without a Sync will not be answered, and holds nothing up.
func TestAClientThatLeavesWithoutASync(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	unsynced := message('P', "\x00select 1\x00\x00\x00") + message('B', "\x00\x00\x00\x00\x00\x00\x00\x00") +
		message('E', "\x00\x00\x00\x00\x00")
	for name, leave := range map[string]func(net.Conn){
		"terminated":  func(c net.Conn) { io.WriteString(c, message('X', "")) },
		"half closed": func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			conn := rawSession(t, p, "reader")
			send(t, conn, unsynced)
			leave(conn)
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("the connection is not closed: %v", err)
			}
			waitIdle(t, p)
		})
	}
}

// Also when the client is gone before the backend asks for its data.
func TestAClientThatVanishesBehindCopy(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1 })
	for range 5 {
		conn := dial(t, p.addr)
		pid := backendPID(login(t, conn, "bob", token("bob@example.com", "writer")))
		send(t, conn, query("copy items from stdin; copy items from stdin"))
		conn.Close()
		began := time.Now()
		wantReused(t, p, pid).Close(t.Context())
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the backend was free after %v", took)
		}
		waitIdle(t, p)
	}
}

// A session whose count is in doubt can still be drained: only its backend is
// not used again.
func TestASessionInDoubtIsDrained(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "writer")
	send(t, conn, query("listen doubt"))
	receiveUntil(t, conn, 'Z')
	send(t, conn, message('P', "\x00copy items from stdin\x00\x00\x00"), message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"),
		message('E', "\x00\x00\x00\x00\x00"), message('S', ""))
	receiveUntil(t, conn, 'G')
	send(t, conn, message('d', "not a number\n"), message('c', ""), message('S', ""))
	receiveUntil(t, conn, 'Z')
	admin(t, "notify doubt")
	receiveUntil(t, conn, 'A')
	p.handler.Drain()
	wantFatal(t, conn, "57P01")
}
