package session_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Messages of protocols to come.

// A meddler stands between gprxy and PostgreSQL and slips messages in before a
// query that holds its cue reaches PostgreSQL.
type meddler struct{ cue, insert string }

func startMeddler(t *testing.T, m *meddler) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { m.serve(t, near) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func (m *meddler) serve(t *testing.T, near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", postgres.Addr())
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	var back sync.WaitGroup
	back.Go(func() { io.Copy(near, far); near.Close() })
	defer back.Wait()
	buf := make([]byte, 1<<16)
	for {
		n, err := near.Read(buf)
		if err != nil {
			far.Close()
			return
		}
		if bytes.Contains(buf[:n], []byte(m.cue)) {
			io.WriteString(near, m.insert) // PostgreSQL is at rest: nothing is cut in two
		}
		far.Write(buf[:n])
	}
}

func TestMessagesOfTheFuturePassUntouched(t *testing.T) {
	t.Parallel()
	for name, insert := range map[string]string{
		"one":                   message('y', "of the future"),
		"without a body":        message('~', ""),
		"of no printable type":  message(0x01, "x") + message(0xff, "y"),
		"larger than a chunk":   message('y', strings.Repeat("future ", 100_000)),
		"many":                  strings.Repeat(message('y', "?"), 10_000),
		"with fields of errors": message('e', "SFATAL\x00VFATAL\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			m := &meddler{cue: "/* now */", insert: insert}
			p := startProxy(t, func(o *options) { o.pool.Port = startMeddler(t, m) })
			conn := rawSession(t, p, "reader")
			send(t, conn, query("select 'as ever' /* now */"))
			got := make([]byte, len(insert))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != insert {
				t.Fatalf("%d bytes came through changed: %v", len(got), err)
			}
			if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != "as ever" {
				t.Errorf("then came %q", got)
			}
			send(t, conn, query("select 'and on'"))
			if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != "and on" {
				t.Errorf("then came %q", got)
			}
			send(t, conn, message('X', ""))
			eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "client_terminated" })
			next := rawSession(t, p, "reader")
			send(t, next, query("select 'clean'"))
			receiveUntil(t, next, 'Z')
			if reused := strings.Contains(string(p.records("session.started")[1].Detail), `"reused":true`); reused {
				t.Error("a backend that said what nobody understands was used again")
			}
		})
	}
}

// What a client says in a message of the future is PostgreSQL's to judge.
func TestAClientsMessageOfTheFutureReachesPostgreSQL(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	send(t, conn, message('y', "?"))
	if m := wantFatal(t, conn, "08P01"); m.field('R') == "" || !strings.Contains(m.field('M'), "invalid frontend message type 121") {
		t.Errorf("got %v", m)
	}
}
