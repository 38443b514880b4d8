package session_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A client is killed in every state of the protocol. The next on the
// same pool of one gets its own bytes and no others, nothing of the first goes on,
// and nothing it locked stays locked.

// A doomed is a client that is about to be killed.
type doomed struct {
	t     *testing.T
	conn  net.Conn
	id    int // of the row it may lock, and of the one it may write when negative
	alone func(sql string)
}

func (d *doomed) send(parts ...string) { d.t.Helper(); send(d.t, d.conn, parts...) }

// awaits reads up to the first message of one of the given types.
func (d *doomed) awaits(kinds string) { d.t.Helper(); receiveAny(d.t, d.conn, kinds) }

// does runs a simple query to its end.
func (d *doomed) does(sql string) { d.t.Helper(); d.send(query(sql)); d.awaits("Z") }

// locks begins a transaction that holds a row.
func (d *doomed) locks() {
	d.t.Helper()
	d.does(fmt.Sprintf("begin; update items set name = name where id = %d", d.id))
}

const (
	syncPoint = "S\x00\x00\x00\x04"
	flush     = "H\x00\x00\x00\x04"
	bind      = "B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00"
	whole     = "E\x00\x00\x00\x09\x00\x00\x00\x00\x00" // Execute without a limit
)

func parse(sql string) string { return message('P', "\x00"+sql+"\x00\x00\x00") }

func execute(rows uint32) string {
	return message('E', "\x00"+string(binary.BigEndian.AppendUint32(nil, rows)))
}

const endless = "select repeat('x', 1000), generate_series(1, 100000000)"

// deaths are the states a client is killed in. Where its last message is not
// whole, or the count is in doubt, the backend is closed; else it must be reused.
var deaths = []struct {
	name   string
	reach  func(*doomed)
	closed bool
}{
	{"resting", func(d *doomed) { d.does("select 1") }, false},
	{"in a transaction", func(d *doomed) { d.locks() }, false},
	{"in a failed transaction", func(d *doomed) { d.locks(); d.does("select 1/0") }, false},

	{"in a header", func(d *doomed) { d.send(query("select 1")[:3]) }, true},
	{"in a body", func(d *doomed) { d.locks(); d.send(query("select 1")[:9]) }, true},
	{"in Terminate", func(d *doomed) { d.send(message('X', "")[:2]) }, false}, // it never reaches the backend
	{"after a request, in the next", func(d *doomed) { d.locks(); d.send(query("select pg_sleep(60)"), parse("select 1")[:8]) }, true},

	{"after Parse", func(d *doomed) { d.locks(); d.send(parse("select 1")) }, false},
	{"after Bind", func(d *doomed) { d.locks(); d.send(parse("select 1"), bind) }, false},
	{"after Describe", func(d *doomed) { d.locks(); d.send(parse("select 1"), bind, message('D', "P\x00")) }, false},
	{"after Execute", func(d *doomed) { d.locks(); d.send(parse("select pg_sleep(60)"), bind, whole) }, false},
	{"after Close", func(d *doomed) { d.send(parse("select 1"), message('C', "S\x00")) }, false},
	{"after Flush", func(d *doomed) { d.locks(); d.send(parse("select 1"), bind, whole, flush); d.awaits("C") }, false},
	{"portal suspended", func(d *doomed) { d.locks(); d.send(parse("table items"), bind, execute(1), flush); d.awaits("s") }, false},
	{"skipping to Sync", func(d *doomed) { d.locks(); d.send(parse("select 1/"), flush); d.awaits("E"); d.send(bind, whole) }, false},
	{"among Syncs", func(d *doomed) {
		d.send(parse("select 1"), bind, whole, syncPoint, parse("select pg_sleep(60)"), bind, whole, syncPoint, syncPoint, parse("select 1"),
			bind, whole, syncPoint)
		d.awaits("Z")
	}, false},

	{"in a query", func(d *doomed) { d.locks(); d.send(query("select pg_sleep(60)")) }, false},
	{"within several statements", func(d *doomed) {
		d.send(query(fmt.Sprintf("select repeat('x', 50000) from generate_series(1, 3); insert into items values (%d, 'never'); select "+
			"pg_sleep(60); select 2", -d.id)))
		d.awaits("D")
	}, false},
	{"behind several queries", func(d *doomed) {
		d.send(query("select 1"), query("select pg_sleep(60)"), query("select 2"))
		d.awaits("Z")
	}, false},
	{"waiting for a lock", func(d *doomed) {
		d.alone(fmt.Sprintf("begin; insert into items values (%d, 'never')", -d.id))
		d.send(query(fmt.Sprintf("insert into items values (%d, 'never')", -d.id)))
	}, false},
	{"in FunctionCall", func(d *doomed) { // pg_sleep is function 2626
		d.send(message('F', "\x00\x00\x0a\x42\x00\x00\x00\x01\x00\x00\x00\x0260\x00\x00"))
	}, false},
	{"in rows", func(d *doomed) { d.locks(); d.send(query(endless)); d.awaits("D") }, false},
	{"with megabytes unread", func(d *doomed) { d.send(query(endless)); waitFull(d.conn) }, false},
	{"in notices", func(d *doomed) { d.send(query("do 'begin loop raise notice ''left''; end loop; end'")); d.awaits("N") }, false},
	{"with notifications coming in", func(d *doomed) {
		d.does(fmt.Sprintf("listen left%d", d.id))
		d.alone(fmt.Sprintf("select pg_notify('left%d', repeat('x', 7000)) from generate_series(1, 500)", d.id))
		d.awaits("A")
	}, false},

	{"COPY IN, before data", func(d *doomed) { d.locks(); d.send(query("copy items from stdin")); d.awaits("G") }, false},
	{"COPY IN, after data", func(d *doomed) {
		d.send(query("copy items from stdin"))
		d.awaits("G")
		d.send(message('d', fmt.Sprintf("%d\tnever\n", -d.id)))
	}, false},
	{"COPY IN, in data", func(d *doomed) {
		d.send(query("copy items from stdin"))
		d.awaits("G")
		d.send(message('d', fmt.Sprintf("%d\tnever\n", -d.id))[:7])
	}, true},
	{"COPY IN, after CopyDone", func(d *doomed) {
		d.send(query("begin; copy items from stdin"))
		d.awaits("G")
		d.send(message('d', fmt.Sprintf("%d\tnever\n", -d.id)), message('c', ""))
	}, false},
	{"COPY IN, extended, before Sync", func(d *doomed) {
		d.send(parse("copy items from stdin"), bind, whole, flush)
		d.awaits("G")
		d.send(message('d', fmt.Sprintf("%d\tnever\n", -d.id)))
	}, false},
	{"COPY IN, extended, with Sync", func(d *doomed) {
		d.send(parse("copy items from stdin"), bind, whole, syncPoint)
		d.awaits("G")
	}, true},
	{"COPY IN, not asked for yet", func(d *doomed) { d.send(query("copy items from stdin; copy items from stdin")) }, false},
	{"COPY OUT", func(d *doomed) { d.locks(); d.send(query("copy (" + endless + ") to stdout")); d.awaits("d") }, false},
	{"COPY OUT, extended", func(d *doomed) { d.send(parse("copy ("+endless+") to stdout"), bind, whole, flush); d.awaits("d") }, false},
}

// waitFull waits until the other side has sent what the sockets hold: until
// nothing more becomes readable.
func waitFull(conn net.Conn) {
	time.Sleep(200 * time.Millisecond) // there is nothing to wait for: the client does not read
}

// kills are ways for a client to die. Inside TLS nothing is said either.
var kills = []struct {
	name string
	tls  bool
	kill func(*net.TCPConn)
}{
	{"killed", false, func(c *net.TCPConn) { c.Close() }},
	{"reset", false, func(c *net.TCPConn) { c.SetLinger(0); c.Close() }},
	{"killed inside TLS", true, func(c *net.TCPConn) { c.Close() }},
}

func TestAClientKilledInEveryState(t *testing.T) {
	t.Parallel()
	expected := lastWill(t)
	config, secure := withTLS(t)
	for j, k := range kills {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, secure, func(o *options) { o.pool.MaxConns = 1 })
			for i, death := range deaths {
				t.Run(death.name, func(t *testing.T) {
					d := &doomed{t: t, id: 100 + i*len(kills) + j, alone: aside(t)}
					tcp := dial(t, p.addr)
					if d.conn = tcp; k.tls {
						d.conn = overTLS(t, tcp, config)
					}
					pid := backendPID(login(t, d.conn, "bob", token("bob@example.com", "writer")))
					death.reach(d)
					began := time.Now()
					k.kill(tcp.(*net.TCPConn))

					next, greeting := heir(t, p)
					if took := time.Since(began); took > 15*time.Second {
						t.Errorf("the next was let in after %v", took)
					}
					if same := backendPID(greeting) == pid; same == death.closed {
						t.Errorf("the same backend again: %v", same)
					}
					active := fmt.Sprintf("select string_agg(state || ': ' || query, ', ') from pg_stat_activity where pid = %d and state <> 'idle'", pid)
					if death.closed { // it was cancelled, and has yet to hear of it
						eventually(t, "the first one's backend rests", 20*time.Second, func() bool { return admin(t, active) == "" })
					} else if got := admin(t, active); got != "" {
						t.Errorf("the first one's backend is still %s", got)
					}
					if got := inherit(t, next); got != expected {
						t.Errorf("the next got\n%q\nwant\n%q", got, expected)
					}
					d.wantNoTrace()
				})
			}
		})
	}
}

// wantNoTrace: its row is not locked, and the one it wrote is not there.
func (d *doomed) wantNoTrace() {
	d.t.Helper()
	d.alone("rollback")
	admin(d.t, fmt.Sprintf("select 1 from items where id = %d for update nowait", d.id))
	if got := admin(d.t, fmt.Sprintf("select count(*) from items where id = %d", -d.id)); got != "0" {
		d.t.Error("a row it did not commit is there")
	}
}

// heir is the next client: another person.
func heir(t *testing.T, p *proxy) (net.Conn, []received) {
	t.Helper()
	conn := dial(t, p.addr)
	return conn, login(t, conn, "eve", token("eve@example.com", "writer"))
}

// inherit returns every byte the next client gets for some requests, up to the
// end of its connection.
func inherit(t *testing.T, conn net.Conn) string {
	t.Helper()
	send(t, conn, query("select id, name from items where id between 1 and 3 order by id"),
		parse("select current_user, 'canary'"), bind, message('D', "P\x00"), whole, syncPoint,
		query("copy (select 'canary' from generate_series(1, 3)) to stdout"),
		query("select 1/0"), syncPoint, message('X', ""))
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("reading what the next client gets: %v", err)
	}
	return string(got)
}

// lastWill is what a client gets when nobody was there before it.
func lastWill(t *testing.T) string {
	t.Helper()
	p := startProxy(t)
	conn, _ := heir(t, p)
	got := inherit(t, conn)
	if strings.Count(got, "canary") != 4 {
		t.Fatalf("got %q", got)
	}
	return got
}

// aside returns a way to run statements in a session of its own, directly.
func aside(t *testing.T) func(sql string) {
	t.Helper()
	conn := connect(t, postgres.DSN("app_writer", "writer-secret", database))
	return func(sql string) { run(t, conn, sql) }
}

func overTLS(t *testing.T, conn net.Conn, config *tls.Config) net.Conn {
	t.Helper()
	send(t, conn, sslRequest)
	if got := receiveByte(t, conn); got != 'S' {
		t.Fatalf("answer %q to SSLRequest", got)
	}
	return tls.Client(conn, config)
}
