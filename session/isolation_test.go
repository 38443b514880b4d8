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

// G3: nothing one session did is seen by the next on the same backend.

// traces are things a session can leave behind; each is looked for by a query
// that gives "" when nothing is there.
var traces = []struct{ name, leave, look string }{
	{"setting", "set work_mem = '7777kB'", "select nullif(current_setting('work_mem'), '4MB')"},
	{"custom setting", "set my.trace = 'left'", "select nullif(current_setting('my.trace', true), '')"},
	{"role", "set role none; set session statement_timeout = 12345", "select nullif(current_setting('statement_timeout'), '0')"},
	{"temp table", "create temp table trace (x int)", "select to_regclass('pg_temp.trace')::text"},
	{"prepared statement", "prepare trace as select 1", "select string_agg(name, ',') from pg_prepared_statements"},
	{"cursor", "begin; declare trace cursor with hold for select 1; commit", "select string_agg(name, ',') from pg_cursors where name <> ''"},
	{"advisory lock", "select pg_advisory_lock(4711)", "select string_agg(objid::text, ',') from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"},
	{"listen", "listen trace", "select string_agg(c, ',') from pg_listening_channels() c"},
	{"open transaction", "begin; insert into items values (-7, 'left open')", "select string_agg(name, ',') from items where id = -7"},
	{"failed transaction", "begin; select 1/0", "select null::text"},
	{"sequence", "create temp sequence trace_seq; select nextval('trace_seq')", "select to_regclass('pg_temp.trace_seq')::text"},
	{"client encoding", "set client_encoding = 'LATIN1'", "select nullif(current_setting('client_encoding'), 'UTF8')"},
	{"random seed", "select setseed(0.42)", "select case when random() = 0.742944875302392 then 'foretold' end"},
	{"the person", "set gprxy.user = 'mallory'", "select nullif(current_setting('gprxy.user'), 'eve@example.com')"},
}

// leavings are ways for a client to go.
var leavings = map[string]func(*testing.T, net.Conn){
	"clean":           func(t *testing.T, c net.Conn) { send(t, c, message('X', "")) },
	"killed idle":     func(_ *testing.T, c net.Conn) { c.Close() },
	"killed in query": func(t *testing.T, c net.Conn) { send(t, c, query("select pg_sleep(30)")); c.Close() },
	"killed in copy": func(t *testing.T, c net.Conn) {
		send(t, c, query("copy (select 1) to stdout; select pg_sleep(30)"))
		c.Close()
	},
	"killed unsynced":   func(t *testing.T, c net.Conn) { send(t, c, message('P', "p\x00select 1\x00\x00\x00")); c.Close() },
	"killed in a frame": func(t *testing.T, c net.Conn) { send(t, c, query("select 1")[:7]); c.Close() },
}

func TestNoTraceReachesTheNextSession(t *testing.T) {
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1 })
	for how, leave := range leavings {
		for _, trace := range traces {
			t.Run(trace.name+", "+how, func(t *testing.T) {
				conn := dial(t, p.addr)
				greeting := login(t, conn, "bob", token("bob@example.com", "writer"), "client_encoding", "UTF8")
				pid := backendPID(greeting)
				send(t, conn, query(trace.leave))
				receiveUntil(t, conn, 'Z')
				leave(t, conn)

				next := connect(t, p.dsn("eve", token("eve@example.com", "writer"), "client_encoding=UTF8"))
				defer next.Close(t.Context())
				var found *string
				if err := next.QueryRow(t.Context(), trace.look, pgx.QueryExecModeSimpleProtocol).Scan(&found); err != nil || found != nil {
					t.Errorf("found %q, %v", deref(found), err)
				}
				same := next.PgConn().PID() == pid
				if want := how != "killed in a frame"; same != want {
					t.Errorf("the same backend again: %v, want %v", same, want)
				}
			})
		}
	}
}

func backendPID(greeting []received) uint32 {
	key := greeting[len(greeting)-2].body
	return uint32(key[0])<<24 | uint32(key[1])<<16 | uint32(key[2])<<8 | uint32(key[3])
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// F4: a client killed within COPY IN leaves neither rows nor a stuck backend.
func TestAClientKilledInCopyIn(t *testing.T) {
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

// C2, C4: startup parameters are the session's defaults, for RESET too, and
// another client's do not shine through.
func TestStartupParametersAreTheSessionsDefaults(t *testing.T) {
	p := startProxy(t)
	dsn := func(parameters ...string) string {
		return p.dsn("bob", token("bob@example.com", "reader"), parameters...)
	}
	first := connect(t, dsn("default_query_exec_mode=simple_protocol", "statement_timeout=1234", "timezone=Asia/Tokyo", "options=-c work_mem=5555kB"))
	show := func(conn *pgx.Conn, name string) string {
		return ask[string](t, conn, "select current_setting($1)", name)
	}
	for _, reset := range []string{"select 1", "set statement_timeout = 1; set timezone = 'UTC'; set work_mem = '1MB'; reset all", "set statement_timeout = 1", "discard all"} {
		run(t, first, reset)
		if reset == "set statement_timeout = 1" {
			continue
		}
		if a, b, c := show(first, "statement_timeout"), show(first, "TimeZone"), show(first, "work_mem"); a != "1234ms" || b != "Asia/Tokyo" || c != "5555kB" {
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

// A client that leaves while it waits for a backend frees its place in the queue.
func TestAWaitingClientMayLeave(t *testing.T) {
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1; o.pool.AcquireTimeout = time.Minute })
	rawSession(t, p, "reader")
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, "user", "eve", "database", database))
	receive(t, conn)
	send(t, conn, message('p', token("eve@example.com", "reader")+"\x00"))
	waiting := func() int {
		n := 0
		for _, s := range p.pools.Stats() {
			n += s.Waiting
		}
		return n
	}
	eventually(t, "the client waits", 5*time.Second, func() bool { return waiting() == 1 })
	conn.Close()
	eventually(t, "nobody waits", 5*time.Second, func() bool { return waiting() == 0 })
	eventually(t, "the end is recorded", 5*time.Second, func() bool { return p.sessions()[0].EndReason == "left_before_login" })
}

// G3 of the protocol's rows: after a restart of PostgreSQL no login sees an error.
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
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		if s := p.sessions()[0]; s.EndReason != "postgresql_unreachable" {
			t.Errorf("session %+v", s)
		}
	}
}
