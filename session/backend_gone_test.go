package session_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Backends that go: what the client reads last, and what the log says.

// frames cuts what a client was sent into messages. rest is what follows the last whole one.
func frames(sent string) (all []received, rest string) {
	for len(sent) >= 5 {
		size := 1 + int(binary.BigEndian.Uint32([]byte(sent[1:5])))
		if len(sent) < size {
			break
		}
		all = append(all, received{sent[0], sent[5:size]})
		sent = sent[size:]
	}
	return all, sent
}

// lastWords reads to the end and requires these SQLSTATEs, each in a message of its own, and no more.
func lastWords(t *testing.T, conn net.Conn, codes ...string) {
	t.Helper()
	all, rest := frames(readAll(t, conn))
	var got []string
	for _, m := range all {
		got = append(got, m.field('C'))
	}
	if strings.Join(got, " ") != strings.Join(codes, " ") || rest != "" {
		t.Errorf("last words %v and %q, want %v", all, rest, codes)
	}
}

func wantEnd(t *testing.T, p *proxy, pid uint32, reason string) {
	t.Helper()
	eventually(t, "the end is recorded", 20*time.Second, func() bool {
		for _, s := range p.sessions() {
			if s.BackendPID == pid && s.EndReason == reason {
				return true
			}
		}
		return false
	})
}

// What PostgreSQL says when it ends a session is all that the client hears.
func TestASessionThatIsTerminated(t *testing.T) {
	p := startProxy(t)
	for name, state := range map[string]string{"idle": "select 1", "in a transaction": "begin; insert into items values (-8, 'never')"} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, p.addr)
			pid := backendPID(login(t, conn, "bob", token("bob@example.com", "writer")))
			send(t, conn, query(state))
			receiveUntil(t, conn, 'Z')
			admin(t, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
			lastWords(t, conn, "57P01")
			wantEnd(t, p, pid, "backend_gone")
			next := connect(t, p.dsn("bob", token("bob@example.com", "writer")))
			if got := ask[int](t, next, "select count(*)::int from items where id = -8"); got != 0 || next.PgConn().PID() == pid {
				t.Error("the next session is not on a new backend")
			}
			next.Close(t.Context())
			waitIdle(t, p)
		})
	}
}

// A backend killed without a word. The client is told once, between two messages; within one it sees the end and
// nothing else. The others hear PostgreSQL's own words, and the next login waits for the recovery.
func TestABackendThatIsKilled(t *testing.T) {
	server, p := breakable(t)
	enter := func() (net.Conn, uint32) {
		conn := dial(t, p.addr)
		return conn, backendPID(login(t, conn, "bob", token("bob@example.com", "reader")))
	}
	t.Run("idle", func(t *testing.T) {
		victim, pid := enter()
		bystander, other := enter()
		kill(t, pid)
		lastWords(t, victim, "08006")
		wantEnd(t, p, pid, "backend_gone")
		lastWords(t, bystander, "57P02", "08006")
		wantEnd(t, p, other, "backend_gone")
	})
	t.Run("in a query", func(t *testing.T) {
		conn, pid := enter()
		send(t, conn, query("select pg_sleep(60)"))
		eventually(t, "the query runs", 20*time.Second, func() bool {
			rows, err := server.Query(t.Context(), database, fmt.Sprintf("select 1 from pg_stat_activity where pid = %d and state = 'active'", pid))
			return err == nil && len(rows) == 1
		})
		kill(t, pid)
		lastWords(t, conn, "08006")
		wantEnd(t, p, pid, "backend_gone")
	})
	t.Run("within a row", func(t *testing.T) {
		const size = 40_000_000
		conn, pid := enter()
		send(t, conn, query(fmt.Sprintf("select repeat('x', %d)", size)))
		head := make([]byte, 1<<20)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		kill(t, pid)
		all, rest := frames(string(head) + readAll(t, conn))
		if len(all) != 1 || all[0].kind != 'T' || len(rest) < len(head)-64 || len(rest) > size || rest[0] != 'D' ||
			strings.Trim(rest[11:], "x") != "" {
			t.Errorf("%d messages, and %d bytes that end with %q", len(all), len(rest), rest[max(0, len(rest)-100):])
		}
		wantEnd(t, p, pid, "backend_gone")
	})
	conn, _ := enter()
	send(t, conn, query("select 1"))
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
		t.Errorf("after all that a session gets %q", got)
	}
}

// kill ends a backend with -9. PostgreSQL then ends all others and recovers.
func kill(t *testing.T, pid uint32) {
	t.Helper()
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// lines is a log to look at.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Timeouts that PostgreSQL holds against the account end pooled backends too. Nobody sees it, nor does the log.
func TestPooledBackendsThatTimeOut(t *testing.T) {
	settings := []string{"idle_in_transaction_session_timeout"}
	for setting, since := range map[string]int{"idle_session_timeout": 14, "transaction_timeout": 17} {
		if serverMajor(t) >= since {
			settings = append(settings, setting)
		}
	}
	var log lines
	p := startProxy(t, func(o *options) {
		o.logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	t.Cleanup(func() { admin(t, "alter role app_reader reset all") })
	for _, setting := range settings {
		admin(t, "alter role app_reader set "+setting+" = '700ms'")
		p.pools.Reconnect()
		for range 3 {
			send(t, rawSession(t, p, "reader"), message('X', ""))
		}
		waitIdle(t, p)
		if setting == "idle_session_timeout" {
			eventually(t, "PostgreSQL has ended them", 20*time.Second, func() bool {
				return admin(t, "select count(*) from pg_stat_activity where usename = 'app_reader'") == "0"
			})
		}
		for range 3 {
			conn := rawSession(t, p, "reader")
			send(t, conn, query("select 1"), message('X', ""))
			if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
				t.Errorf("%s: a session got %q", setting, got)
			}
		}
		admin(t, "alter role app_reader reset all")
	}
	p.untilAllEnded()
	if log.String() != "" {
		t.Errorf("the log complains:\n%s", log.String())
	}
	for _, s := range p.sessions() {
		if s.EndReason != "client_terminated" {
			t.Errorf("session %+v", s)
		}
	}
}
