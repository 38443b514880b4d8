package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gprxy/pool/pooltest"
	"gprxy/session"
	"gprxy/session/relay"
)

// What happens when one side does not take what the other has to say.

// untilBlocked writes for as long as the other side takes something, and returns how
// many bytes that was.
func untilBlocked(t *testing.T, conn net.Conn, text string) int {
	t.Helper()
	at := 0
	for at < len(text) {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := io.WriteString(conn, text[at:])
		at += n
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	conn.SetWriteDeadline(time.Now().Add(time.Minute))
	return at
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A client sends on and on and reads nothing, so that in the end each of the four
// sockets is full. Nothing grows, and once the client reads, everything comes. So it
// is while statements are recorded.
func TestBothDirectionsBlocked(t *testing.T) {
	for _, record := range []relay.RecordStatements{relay.RecordNothing, relay.RecordText} {
		t.Run(fmt.Sprint("recording ", record), func(t *testing.T) {
			p := startProxy(t, recordingAs(record))
			conn := rawSession(t, p, "reader")
			const queries = 5000
			one := query("select repeat('x', 20000) /* " + strings.Repeat("y", 4000) + " */")
			before := heap()
			all := strings.Repeat(one, queries)
			sent := untilBlocked(t, conn, all)
			if sent == len(all) {
				t.Fatalf("all %d bytes were taken", sent)
			}
			if grown := heap() - before - int64(len(all)); grown > 16<<20 {
				t.Errorf("gprxy holds %d kB of a client that does not read", grown>>10)
			}
			var rest sync.WaitGroup
			rest.Go(func() { send(t, conn, all[sent:]) })
			answers := awaitFrames(t, conn, 'Z', queries)
			rest.Wait()
			if rows, bytes := answers['D'].count, answers['D'].bytes; rows != queries || bytes != queries*(2+4+20_000) {
				t.Errorf("%d rows of %d bytes came", rows, bytes)
			}
			p.untilEnded(conn)
			if got := len(p.statements()); record != relay.RecordNothing && got != queries {
				t.Errorf("%d statements recorded, want %d", got, queries)
			}
		})
	}
}

// seenFrames is how many messages of one type came, and what their bodies had together.
type seenFrames struct{ count, bytes int }

// awaitFrames reads until so many messages of one type have come, and keeps none.
func awaitFrames(t *testing.T, conn net.Conn, kind byte, many int) map[byte]seenFrames {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	frames := map[byte]seenFrames{}
	var head [5]byte
	for frames[kind].count < many {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		size := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			t.Fatal(err)
		}
		f := frames[head[0]]
		frames[head[0]] = seenFrames{f.count + 1, f.bytes + int(size)}
	}
	return frames
}

// While a client does not read, its backend waits; gprxy holds no more than the
// sockets do, and not a row is lost. It runs alone: the heap of the tests beside it would be counted.
func TestASlowReaderHoldsItsBackendUp(t *testing.T) {
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	before := heap()
	const rows = 100_000
	send(t, conn, query(fmt.Sprintf("select repeat('z', 1000) from generate_series(1, %d)", rows)))
	eventually(t, "the backend waits for the client", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where wait_event = 'ClientWrite' and query like 'select repeat(''z''%'") == "1"
	})
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("gprxy holds %d kB for a client that does not read", grown>>10)
	}
	if got := awaitFrames(t, conn, 'Z', 1)['D'].count; got != rows {
		t.Errorf("%d rows came, want %d", got, rows)
	}
}

// What PostgreSQL says goes on at once, and does not wait for company.
func TestWhatComesIsPassedOnAtOnce(t *testing.T) {
	p := startProxy(t)
	conn := rawSession(t, p, "reader")
	send(t, conn, query("do $$ begin raise notice 'now'; perform set_config('application_name', 'told', false); perform pg_sleep(60); end $$"))
	if m := receive(t, conn); m.kind != 'N' || !strings.Contains(m.body, "Mnow\x00") {
		t.Errorf("got %v while the statement runs", m)
	}
	if got := admin(t, "select count(*) from pg_stat_activity where query like 'do%raise notice ''now''%' and state = 'active'"); got != "1" {
		t.Errorf("%s such statements run: the notice came at its end", got)
	}
}

// Where TLS and tokens come in: whatever a client leaves undone, it is told so at
// the deadline, and the log knows. Without a startup packet it is left without a word.
func TestTheDeadlineHoldsAtEveryStep(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	withOAuth := func(o *options) {
		o.session.ClientAuth = session.AuthOAuth
		o.session.OAuth = session.OAuth{Issuer: issuer.URL(), Scope: "openid"}
	}
	startup := startupPacket(3<<16, "user", "bob", "database", database)
	slowly := func(t *testing.T, conn net.Conn, text string) {
		for _, b := range []byte(text) {
			conn.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Write([]byte{b}); err != nil {
				return // the deadline came
			}
			conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := conn.Read(nil); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			<-time.After(50 * time.Millisecond) // a byte at a time is the attack itself
		}
	}
	tests := []struct {
		name   string
		change func(*options)
		tls    bool
		mute   bool // no startup packet came
		do     func(*testing.T, net.Conn)
	}{
		{"a byte at a time", secure, false, true, func(t *testing.T, c net.Conn) { slowly(t, c, startup) }},
		{"silent inside TLS", secure, true, true, func(t *testing.T, c net.Conn) { send(t, c, "\x00") }},
		{"a byte at a time inside TLS", secure, true, true, func(t *testing.T, c net.Conn) { slowly(t, c, startup) }},
		{"silent when asked for a password", secure, true, false, func(t *testing.T, c net.Conn) { send(t, c, startup) }},
		{"half a password", secure, true, false, func(t *testing.T, c net.Conn) { send(t, c, startup+"p\x00\x00\x00\x20abc") }},
		{"silent when asked for a token", withOAuth, false, false, func(t *testing.T, c net.Conn) { send(t, c, startup) }},
		{"half a token", withOAuth, false, false, func(t *testing.T, c net.Conn) { send(t, c, startup+"p\x00\x00\x01\x00OAUTHBEARER\x00") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, test.change, func(o *options) { o.session.LoginTimeout = 500 * time.Millisecond })
			conn := dial(t, p.addr)
			if test.tls {
				conn = overTLS(t, conn, config)
			}
			test.do(t, conn)
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			switch got := readAll(t, conn); {
			case test.mute && got != "":
				t.Errorf("got %q, want no word", got)
			case !test.mute && !strings.Contains(got, "C57014\x00"):
				t.Errorf("got %q, want 57014", got)
			}
			for _, s := range p.sessions() {
				if s.EndReason != "login_timeout" {
					t.Errorf("recorded %q", s.EndReason)
				}
			}
		})
	}
}

// PostgreSQL is down. Hundreds who come at once are told soon, each with 57P03,
// and PostgreSQL is not stormed: neither while it is down nor when it is back.
func TestManyComeWhilePostgreSQLIsDown(t *testing.T) {
	t.Parallel()
	server := pooltest.New(t, pooltest.Options{})
	for _, name := range []string{"gprxy_service", "alice"} {
		if err := server.CreateUser(t.Context(), name, name+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	p := startProxy(t, quietly, func(o *options) {
		o.pool.Port = server.Port
		o.session.Service.Password = "gprxy_service-secret"
	})
	dsn := strings.Replace(p.dsn("alice", "alice-secret"), "/"+database, "/postgres", 1)
	connect(t, dsn).Close(t.Context())
	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	dials := countDials(t, int(server.Port))
	const people = 300
	var coming sync.WaitGroup
	var told atomic.Int64
	for range people {
		coming.Go(func() {
			config := mustParse(t, dsn)
			if err := tryConnect(context.WithoutCancel(t.Context()), config); strings.Contains(fmt.Sprint(err), "57P03") {
				told.Add(1)
			} else {
				t.Errorf("told %v", err)
			}
		})
	}
	coming.Wait()
	n := dials()
	if told.Load() != people {
		t.Errorf("%d of %d were told", told.Load(), people)
	}
	if n > people/2 {
		t.Errorf("PostgreSQL's port was dialled %d times for %d people", n, people)
	}
	if err := server.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "people get in again", 20*time.Second, func() bool { return tryConnect(t.Context(), mustParse(t, dsn)) == nil })
}

// countDials takes the place of a PostgreSQL that is down, and closes whatever comes.
// What it returns gives the place back and says how many came.
func countDials(t *testing.T, port int) func() int {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n++
			conn.Close()
		}
	})
	return func() int {
		l.Close()
		accepting.Wait()
		return n
	}
}

// Syncs have five bytes, and each is remembered until it is answered. Behind a statement that
// takes its time there are many, and yet they take little memory, whether statements are
// recorded or not.
func TestManyRequestsBehindASlowOneTakeLittleMemory(t *testing.T) {
	p := startProxy(t, quietly)
	conn := rawSession(t, p, "reader")
	locked := connect(t, postgres.DSN(pooltest.Superuser, postgres.SuperuserPassword, database))
	run(t, locked, "select pg_advisory_lock(4711)")
	send(t, conn, query("select pg_advisory_lock(4711)"))
	before := heap()
	sent := untilBlocked(t, conn, strings.Repeat(syncing, 4<<20)) / len(syncing)
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("%d Syncs under way take %d bytes", sent, grown)
	}
	if sent == 4<<20 {
		t.Error("the client was not held up: this tests nothing")
	}
	run(t, locked, "select pg_advisory_unlock(4711)")
	awaitFrames(t, conn, 'Z', min(sent, 1000))
}
