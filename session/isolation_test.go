package session_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func backendPID(greeting []received) uint32 {
	key := greeting[len(greeting)-2].body
	return uint32(key[0])<<24 | uint32(key[1])<<16 | uint32(key[2])<<8 | uint32(key[3])
}

// A client killed within COPY IN leaves neither rows nor a stuck backend.
func TestAClientKilledInCopyIn(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1 })
	conn := dial(t, p.addr)
	pid := backendPID(login(t, conn, "bob", token("bob@example.com", "writer")))
	send(t, conn, query("copy items from stdin"))
	if m := receive(t, conn); m.kind != 'G' {
		t.Fatalf("got %v, want CopyInResponse", m)
	}
	send(t, conn, message('d', "-9\tnever\n"))
	conn.Close()
	next := wantReused(t, p, pid)
	if got := ask[int](t, next, "select count(*)::int from items where id = -9"); got != 0 {
		t.Error("rows of the copy are there")
	}
}

// Startup parameters are the session's defaults, for RESET too, and
// another client's do not shine through.
func TestStartupParametersAreTheSessionsDefaults(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	dsn := func(parameters ...string) string {
		return p.dsn("bob", token("bob@example.com", "reader"), parameters...)
	}
	first := connect(t, dsn("default_query_exec_mode=simple_protocol", "statement_timeout=1234", "timezone=Asia/Tokyo",
		"options=-c work_mem=5555kB"))
	show := func(conn *pgx.Conn, name string) string {
		return ask[string](t, conn, "select current_setting($1)", name)
	}
	for _, reset := range []string{"select 1", "set statement_timeout = 1; set timezone = 'UTC'; set work_mem = '1MB'; reset all",
		"set statement_timeout = 1", "discard all"} {
		run(t, first, reset)
		if reset == "set statement_timeout = 1" {
			continue
		}
		if a, b, c := show(first, "statement_timeout"), show(first, "TimeZone"), show(first, "work_mem"); a != "1234ms" || b != "Asia/Tokyo" ||
			c != "5555kB" {
			t.Errorf("after %q: statement_timeout %s, timezone %s, work_mem %s", reset, a, b, c)
		}
	}
	first.Close(t.Context())
	waitIdle(t, p)
	second := connect(t, dsn())
	if a := show(second, "statement_timeout"); a != "0" {
		t.Errorf("another client's statement_timeout is %s", a)
	}
}

// A pool of one is handed from person to person, first come, first served; who
// waits too long is told which setting limits it.
func TestThePoolIsShared(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1; o.pool.AcquireTimeout = 300 * time.Millisecond })
	holder := rawSession(t, p, "reader")
	answer := refused(t, p.dsn("eve", token("eve@example.com", "reader")))
	if answer.Code != "53300" || !strings.Contains(answer.Message, "POOL_MAX_CONNS") {
		t.Errorf("answer %+v", answer)
	}
	if s := p.sessions()[0]; s.EndReason != "pool_timeout" || s.User != "eve@example.com" {
		t.Errorf("session %+v", s)
	}
	send(t, holder, message('X', ""))
	waitIdle(t, p)
	connect(t, p.dsn("eve", token("eve@example.com", "reader"))).Close(t.Context())
}

// After a restart of PostgreSQL no login sees an error.
func TestARestartOfPostgreSQLIsNotSeenByTheNext(t *testing.T) {
	p := startProxy(t)
	var conns []net.Conn
	for range 5 {
		conns = append(conns, rawSession(t, p, "reader"))
	}
	for _, c := range conns {
		io.WriteString(c, message('X', ""))
	}
	waitIdle(t, p)
	if err := postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		conn := connect(t, p.dsn(fmt.Sprint("user", i), token("bob@example.com", "reader")))
		if got := ask[int](t, conn, "select 1"); got != 1 {
			t.Errorf("login %d got %d", i, got)
		}
	}
}

func TestPostgreSQLDown(t *testing.T) {
	p := startProxy(t)
	if err := postgres.Down(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Up(ctxWithoutCancel(t)); err != nil {
			t.Fatal(err)
		}
	})
	for _, password := range []string{token("bob@example.com", "reader"), alicePassword} {
		began := time.Now()
		answer := refused(t, p.dsn("alice", password))
		if answer.Code != "57P03" || answer.Hint == "" || strings.Contains(answer.Message, "127.0.0.1") {
			t.Errorf("answer %+v", answer)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		if s := p.sessions()[0]; s.EndReason != "postgresql_unreachable" {
			t.Errorf("session %+v", s)
		}
	}
}
