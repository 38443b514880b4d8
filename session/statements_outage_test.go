package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/session"
	"gprxy/session/relay"
	"gprxy/store"
)

// Statements while the log cannot be written, and what must never stand in it.

// Strict: while the log cannot be written, nothing reaches PostgreSQL. The client is told
// so, and what its transaction did is undone.
func TestStrictRunsNothingWithoutARecord(t *testing.T) {
	t.Parallel()
	admin(t, "create table counted (n int)")
	admin(t, "grant all on counted to app_writer")
	t.Cleanup(func() { admin(t, "drop table counted") })
	p := startProxy(t, recordingAs(relay.RecordText), func(o *options) { o.session.Statements.Strict = true })
	sessions := map[string]string{
		"simple":   query("insert into counted values (2)"),
		"extended": parseAs("", "insert into counted values (2)") + bindTo("", "") + executePortal("", 0) + syncing,
	}
	conns := map[string]net.Conn{}
	for name := range sessions {
		conns[name] = rawSession(t, p, "WRITER")
		send(t, conns[name], query("begin; insert into counted values (1)"))
		receiveUntil(t, conns[name], 'Z')
	}
	folder := filepath.Dir(p.log)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	for name, sent := range sessions {
		send(t, conns[name], sent)
		if got := readAll(t, conns[name]); !strings.Contains(got, "SFATAL\x00") || !strings.Contains(got, "C58030\x00") {
			t.Errorf("%s: got %q, want 58030", name, got)
		}
	}
	eventually(t, "the transactions are over", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_locks where relation = 'counted'::regclass") == "0"
	})
	if got := admin(t, "select count(*) from counted"); got != "0" {
		t.Errorf("%s rows are in the table", got)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log can be written again", 20*time.Second, func() bool { return p.events.Healthy() == nil })
	p.untilAllEnded()
	refused := 0
	for _, s := range p.statements() {
		if s.Outcome == store.OutcomeSkipped && s.SQLState == "58030" {
			refused++
		}
	}
	if refused != len(sessions) {
		t.Errorf("%d refused statements are recorded, want %d", refused, len(sessions))
	}
}

// Async: while the log cannot be written, sessions go on, and nothing is lost.
func TestStatementsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "READER")
	folder := filepath.Dir(p.log)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	const many = 300
	for n := range many {
		send(t, conn, query(fmt.Sprintf("select %d", n)))
		receiveUntil(t, conn, 'Z')
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are in the log", 30*time.Second, func() bool { return p.events.Healthy() == nil && len(p.statements()) == many })
	for n, s := range p.statements() {
		if s.SQL != fmt.Sprintf("select %d", n) {
			t.Fatalf("statement %d is %q", n, s.SQL)
		}
	}
}

// When more waits to be recorded than memory should hold, sessions wait, too, and
// one that gprxy holds up is not idle.
func TestSessionsWaitForTheLog(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, within(session.TimeLimits{Idle: 2 * time.Second}), func(o *options) {
		o.session.Statements = relay.Statements{Record: relay.RecordText, MaxText: 1 << 20}
	})
	conn, beside := rawSession(t, p, "READER"), connect(t, p.dsn("bob", token("bob@example.com", "READER")))
	conn.SetDeadline(time.Now().Add(2 * time.Minute)) // the race detector looks at every byte
	folder := filepath.Dir(p.log)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	const many = 45 // 40 MB: more than the log holds back
	asked, over := 0, make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for ; !closed(over); asked++ {
			if _, err := beside.Exec(t.Context(), "select 'beside'"); err != nil {
				t.Errorf("the session beside: %v", err)
				return
			}
		}
	})
	sending.Go(func() {
		for n := range many {
			send(t, conn, query(fmt.Sprintf("select %d /* %s */", n, strings.Repeat("x", 900_000))))
		}
	})
	held := func() bool { return p.events.WaitForSpace(expired()) != nil }
	eventually(t, "the session is held up", time.Minute, held)
	admin(t, "select pg_sleep(4)") // for longer than it may be idle
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	awaitFrames(t, conn, 'Z', many)
	close(over)
	sending.Wait()
	beside.Close(t.Context())
	p.untilEnded(conn)
	if got := len(p.statements()); got != many+asked {
		t.Errorf("%d statements recorded, want %d", got, many+asked)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// expired gives a context that is over.
func expired() context.Context {
	ctx, over := context.WithCancel(context.Background())
	over()
	return ctx
}

// No secret stands anywhere: neither in the log, nor in the file it is in, nor in
// what gprxy says.
func TestSecretsOfStatementsStandNowhere(t *testing.T) {
	t.Parallel()
	const secret = "Tr0ub4dor&3"
	var said safeBuffer
	p := startProxy(t, recordingAs(relay.RecordParams), func(o *options) {
		o.logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	conn := rawSession(t, p, "WRITER")
	ready := 0
	for _, sql := range []string{
		"alter role missing password '%s'", "create role missing encrypted password E'%s' login", "alter role missing password $x$%s$x$",
		"alter role missing password '%s", "selec 1; alter role missing password '%s'",
		"create user mapping for public server missing options (user 'u', password '%s')",
		"select dblink_connect('host=h user=u password=%s')", "create subscription s connection 'postgresql://u:%s@h/d' publication p",
		"do $$ begin execute 'alter role missing password ''%s'''; end $$", "set x.password = '%s'", "-- password '%s'\nselect 1/0",
		"select set_config('x.password', '%s', false)",
	} {
		text := fmt.Sprintf(sql, secret)
		send(t, conn, query(text)+parseAs("", text)+bindTo("", "")+executePortal("", 0)+syncing)
		ready += 2
	}
	for _, sql := range []string{"select set_config('x.password', $1, false)", "select dblink_connect($1)", "select $1::int"} {
		value := secret
		if !strings.Contains(sql, "password") {
			value = "host=h password=" + secret
		}
		send(t, conn, parseAs("", sql)+bindTo("", "", value)+executePortal("", 0)+syncing)
		ready++
	}
	for range ready {
		receiveUntil(t, conn, 'Z')
	}
	p.untilEnded(conn)
	if got := len(p.statements()); got < ready {
		t.Errorf("%d statements recorded of %d", got, ready)
	}
	for _, name := range []string{p.log, p.log + "-wal"} {
		content, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if at := strings.Index(string(content), secret); at >= 0 {
			t.Errorf("%s holds the secret: %q", filepath.Base(name), content[max(0, at-200):at+20])
		}
	}
	if strings.Contains(said.String(), secret) {
		t.Error("gprxy told the secret")
	}
}

// safeBuffer may be written by many.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
