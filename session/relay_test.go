package session_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func rows(all []received) (values []string) {
	for _, m := range all {
		if m.kind == 'D' {
			values = append(values, m.body[6:]) // one column: count and length come first
		}
	}
	return values
}

// Many Syncs under way, answers in order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	var ahead strings.Builder
	const n = 500
	for i := range n {
		ahead.WriteString(message('P', fmt.Sprintf("\x00select '%d'\x00\x00\x00", i)))
		ahead.WriteString(message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"))
		ahead.WriteString(message('E', "\x00\x00\x00\x00\x00"))
		ahead.WriteString(message('S', ""))
	}
	send(t, conn, ahead.String())
	for i := range n {
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != fmt.Sprint(i) {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
}

// What Flush brings out reaches the client without a ReadyForQuery.
func TestFlushWithoutSync(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	send(t, conn, message('P', "\x00select 1\x00\x00\x00"), message('H', ""))
	if m := receive(t, conn); m.kind != '1' {
		t.Errorf("got %v, want ParseComplete", m)
	}
	send(t, conn, message('S', ""))
	receiveUntil(t, conn, 'Z')
}

// COPY in all its ends leaves the session in step.
func TestCopy(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := connect(t, p.dsn("bob", token("bob@example.com", "writer")))
	run(t, conn, "create table c (id int, v text)") // a temporary one would keep the backend from being used again
	t.Cleanup(func() { admin(t, "drop table c") })
	many := make([][]any, 20_000)
	for i := range many {
		many[i] = []any{i, strings.Repeat("v", i%50)}
	}
	if n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"c"}, []string{"id", "v"}, pgx.CopyFromRows(many)); err != nil ||
		n != int64(len(many)) {
		t.Fatalf("COPY IN: %d rows, %v", n, err)
	}
	var out strings.Builder
	if tag, err := conn.PgConn().CopyTo(t.Context(), &out, "copy c to stdout"); err != nil || tag.RowsAffected() != int64(len(many)) {
		t.Fatalf("COPY OUT: %v, %v", tag, err)
	}
	if got := strings.Count(out.String(), "\n"); got != len(many) {
		t.Errorf("%d lines", got)
	}
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("not\ta number\n"), "copy c from stdin")
	if failed, ok := err.(*pgconn.PgError); !ok || failed.Code != "22P02" {
		t.Errorf("a bad COPY IN: %v", err)
	}
	_, err = conn.PgConn().CopyFrom(t.Context(), io.MultiReader(strings.NewReader("1\tx\n"), failingReader{}), "copy c from stdin")
	if err == nil {
		t.Error("a COPY the client gave up succeeded")
	}
	if got := ask[int](t, conn, "select count(*)::int from c"); got != len(many) {
		t.Errorf("%d rows", got)
	}
	pid := conn.PgConn().PID()
	conn.Close(t.Context())
	wantReused(t, p, pid)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// wantReused logs in as bob the writer and expects the backend pid.
func wantReused(t *testing.T, p *proxy, pid uint32) *pgx.Conn {
	t.Helper()
	waitIdle(t, p)
	conn := connect(t, p.dsn("eve", token("eve@example.com", "writer")))
	if got := conn.PgConn().PID(); got != pid {
		t.Errorf("served by backend %d, want %d again", got, pid)
	}
	return conn
}

// waitIdle waits until every backend is back in its pool.
func waitIdle(t *testing.T, p *proxy) {
	t.Helper()
	eventually(t, "all leases are given back", 20*time.Second, func() bool {
		for _, s := range p.pools.Stats() {
			if s.Leased > 0 {
				return false
			}
		}
		return true
	})
}

// The backend is brought to rest behind the client's back, and before the next one gets it.
func TestAClientDoesNotWaitForTheReset(t *testing.T) {
	config, secure := withTLS(t)
	p := startProxy(t, secure, func(o *options) { o.pool.MaxConns = 1 })
	for name, inside := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c },
		"inside TLS": func(c net.Conn) net.Conn {
			send(t, c, sslRequest)
			receiveByte(t, c)
			return tls.Client(c, config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := inside(dial(t, p.addr))
			pid := backendPID(login(t, conn, "bob", token("bob@example.com", "writer")))
			if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			send(t, conn, message('X', ""))
			if rest := readAll(t, conn); rest != "" || time.Since(began) > 4*time.Second {
				t.Errorf("the client saw the end after %v, and before it %q", time.Since(began), rest)
			}
			if got := p.pools.Stats(); len(got) != 1 || got[0].Leased != 1 {
				t.Errorf("the backend went back without a reset: %+v", got)
			}
			if err := syscall.Kill(int(pid), syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			wantReused(t, p, pid).Close(t.Context())
			waitIdle(t, p)
		})
	}
}

// What the backend says by itself reaches an idle client.
func TestListenAndNotify(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	listening := connect(t, p.dsn("bob", token("bob@example.com", "reader")))
	run(t, listening, "listen news")
	speaking := connect(t, p.dsn("eve", token("eve@example.com", "writer")))
	run(t, speaking, "notify news, 'hello'")
	ctx, done := context.WithTimeout(t.Context(), 5*time.Second)
	defer done()
	n, err := listening.WaitForNotification(ctx)
	if err != nil || n.Payload != "hello" || n.PID != speaking.PgConn().PID() {
		t.Errorf("got %+v, %v", n, err)
	}
}

// Errors, notices and changed parameters come as PostgreSQL sends them.
func TestErrorsAndNoticesKeepTheirFields(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "writer")
	send(t, conn, query(`do $$ begin raise warning 'careful' using hint = 'slow', detail = 'deep', table = 'tab'; end $$`))
	notice := receive(t, conn)
	if notice.kind != 'N' || notice.field('M') != "careful" || notice.field('H') != "slow" || notice.field('t') != "tab" ||
		notice.field('W') == "" {
		t.Errorf("notice %v", notice)
	}
	receiveUntil(t, conn, 'Z')
	send(t, conn, query("insert into items values (1, 'twice')"))
	failed := receive(t, conn)
	if failed.kind != 'E' || failed.field('C') != "23505" || failed.field('n') != "items_pkey" || failed.field('t') != "items" {
		t.Errorf("error %v", failed)
	}
	receiveUntil(t, conn, 'Z')
	send(t, conn, query("set timezone = 'Asia/Tokyo'"))
	if m := receiveUntil(t, conn, 'Z'); !slices.Contains(m, received{'S', "TimeZone\x00Asia/Tokyo\x00"}) {
		t.Errorf("got %v, want the new TimeZone", m)
	}
}

// Terminate does not reach the backend, nor does anything after it.
func TestTerminateKeepsTheBackend(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "writer")
	send(t, conn, query("select pg_backend_pid()"))
	pid := rows(receiveUntil(t, conn, 'Z'))[0]
	send(t, conn, message('X', ""), query("insert into items values (-1, 'after the end')"))
	if got := readAll(t, conn); got != "" {
		t.Errorf("%q after Terminate", got)
	}
	again := wantReused(t, p, atoi(pid))
	if got := ask[int](t, again, "select count(*)::int from items where id = -1"); got != 0 {
		t.Error("a statement after Terminate was run")
	}
}

func atoi(s string) (n uint32) {
	fmt.Sscan(s, &n)
	return n
}

// A client that closes only its sending side still gets its answers.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for _, seconds := range []string{"0", "0.7"} {
		conn := rawSession(t, p, "reader")
		send(t, conn, query("select 'done' from pg_sleep("+seconds+")"))
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for m := (received{}); m.kind != 'Z'; {
			m = receive(t, conn)
			if m.kind == 'D' {
				got = append(got, m.body[6:])
			}
			if m.kind == 'E' {
				t.Fatalf("got %v", m)
			}
		}
		if len(got) != 1 || got[0] != "done" {
			t.Errorf("sleeping %s s: rows %q", seconds, got)
		}
		if rest := readAll(t, conn); rest != "" {
			t.Errorf("%q after the answers", rest)
		}
	}
}

// What a client that is gone left running ends within a second.
func TestAnOrphanQueryIsCancelled(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	const running = "select count(*) from pg_stat_activity where query like '%orphan%' and query not like '%activity%' and state = 'active'"
	ends := map[string]func(net.Conn){
		"killed": func(c net.Conn) { c.Close() },
		"reset": func(c net.Conn) {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"terminated and closed": func(c net.Conn) { io.WriteString(c, message('X', "")); c.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			conn := rawSession(t, p, "reader")
			send(t, conn, query("select pg_sleep(60) /* orphan */"))
			eventually(t, "the query runs", 20*time.Second, func() bool { return admin(t, running) == "1" })
			end(conn)
			left := time.Now()
			eventually(t, "the query is gone", 20*time.Second, func() bool { return admin(t, running) == "0" })
			t.Logf("gone after %v", time.Since(left).Round(time.Millisecond))
		})
	}
}

// The end of the backend reaches the client, in PostgreSQL's words or, if
// it had none, in gprxy's.
func TestTheEndOfTheBackendReachesTheClient(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	t.Run("terminated by an administrator", func(t *testing.T) {
		conn := rawSession(t, p, "reader")
		send(t, conn, query("select pg_backend_pid()"))
		pid := rows(receiveUntil(t, conn, 'Z'))[0]
		admin(t, "select pg_terminate_backend("+pid+")")
		if m := wantFatal(t, conn, "57P01"); m.field('R') == "" {
			t.Errorf("%v does not come from PostgreSQL", m)
		}
		eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "backend_gone" })
	})
	t.Run("malformed frames of the client are PostgreSQL's to refuse", func(t *testing.T) {
		conn := rawSession(t, p, "reader")
		send(t, conn, "Q\x00\x00\x00\x00")
		wantFatal(t, conn, "08P01")
	})
}

// Draining ends who rests, lets finish who works, and gives who has only just
// come a moment for what it came for.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	resting := rawSession(t, p, "reader")
	send(t, resting, query("select 1"))
	receiveUntil(t, resting, 'Z')
	unused, beginning := rawSession(t, p, "reader"), rawSession(t, p, "reader")
	working := rawSession(t, p, "reader")
	inTransaction := rawSession(t, p, "writer")
	send(t, working, query("select 'done' from pg_sleep(0.5)"))
	send(t, inTransaction, query("begin"))
	receiveUntil(t, inTransaction, 'Z')
	waiting, arriving := dial(t, p.addr), dial(t, p.addr)
	for _, conn := range []net.Conn{waiting, arriving} {
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		receive(t, conn)
	}

	p.handler.Drain()
	wantFatal(t, resting, "57P01")
	send(t, arriving, message('p', token("bob@example.com", "reader")+"\x00"))
	receiveUntil(t, arriving, 'Z')
	for _, conn := range []net.Conn{beginning, arriving} {
		// A driver prepares its first statement before it runs it.
		send(t, conn, message('P', "\x00select 'first'\x00\x00\x00"), message('S', ""))
		receiveUntil(t, conn, 'Z')
		send(t, conn, message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"), message('E', "\x00\x00\x00\x00\x00"), message('S', ""))
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || got[0] != "first" {
			t.Errorf("the first statement gave %q", got)
		}
		wantFatal(t, conn, "57P01")
	}
	wantFatal(t, unused, "57P01")
	wantFatal(t, waiting, "57P03")
	if got := rows(receiveUntil(t, working, 'Z')); len(got) != 1 || got[0] != "done" {
		t.Errorf("the running query gave %q", got)
	}
	wantFatal(t, working, "57P01")
	send(t, inTransaction, query("insert into items values (5001, 'drained')"))
	receiveUntil(t, inTransaction, 'Z')
	send(t, inTransaction, query("commit"))
	receiveUntil(t, inTransaction, 'Z')
	wantFatal(t, inTransaction, "57P01")
	if got := admin(t, "delete from items where id = 5001 returning 'kept'"); got != "kept" {
		t.Error("the transaction was lost")
	}
	late := dial(t, p.addr)
	send(t, late, startupPacket(3<<16, "user", "bob", "database", database))
	wantFatal(t, late, "57P03")
	for _, s := range p.sessions() {
		if s.State == "ended" && s.EndReason != "shutdown" {
			t.Errorf("session %+v", s)
		}
	}
}

// Draining leaves a session inside TLS the time its query needs, too.
func TestDrainInsideTLS(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	p := startProxy(t, secure)
	conn := dial(t, p.addr)
	send(t, conn, sslRequest)
	receiveByte(t, conn)
	secured := tls.Client(conn, config)
	login(t, secured, "bob", token("bob@example.com", "reader"))
	send(t, secured, query("select 'done' from pg_sleep(0.5)"))
	eventually(t, "the query runs", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where query like '%pg_sleep(0.5)%' and query not like '%activity%' and state "+
			"= 'active'") == "1"
	})
	p.handler.Drain()
	if got := rows(receiveUntil(t, secured, 'Z')); len(got) != 1 || got[0] != "done" {
		t.Errorf("the running query gave %q", got)
	}
	wantFatal(t, secured, "57P01")
	eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "shutdown" })
}
