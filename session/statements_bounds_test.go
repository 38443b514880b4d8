package session_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gprxy/session/relay"
)

// grown is by how many bytes the heap has grown since.
func heapSince(before uint64) int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) - int64(before)
}

// What a client can make gprxy keep for the record of its session is bounded. These run
// alone, for they look at the memory of all.
func TestTheRecordOfASessionTakesBoundedMemory(t *testing.T) {
	const most = 40 << 20
	large := strings.Repeat("x", 1_000_000)
	size := string([]byte{byte(len(large) >> 24), byte(len(large) >> 16), byte(len(large) >> 8), byte(len(large))})
	for name, do := range map[string]func(ask func(sent string, until byte)){
		"skipped without an end": func(ask func(string, byte)) {
			ask(parseAs("", "selec")+message('H', ""), 'E')
			for range 30 {
				ask(strings.Repeat(executePortal("", 0), 10_000), 0)
			}
			ask(syncing, 'Z')
		},
		"prepared in SQL": func(ask func(string, byte)) {
			for n := range 48 {
				ask(query(fmt.Sprintf("prepare s%d as select 1 /* %s */", n, large)), 'Z')
			}
		},
		"large values that nothing runs": func(ask func(string, byte)) {
			ask(query("begin")+parseAs("s", "select $1::text"), 'Z')
			for range 44 {
				ask(message('B', "\x00s\x00\x00\x00\x00\x01"+size+large+"\x00\x00")+message('H', ""), '2')
			}
		},
		"portals with large values": func(ask func(string, byte)) {
			ask(query("begin")+parseAs("s", "select $1::text"), 'Z')
			for n := range 44 {
				ask(message('B', fmt.Sprintf("p%d\x00s\x00\x00\x00\x00\x01", n)+size+large+"\x00\x00")+syncing, 'Z')
			}
		},
		"portals of large statements": func(ask func(string, byte)) {
			ask(query("begin"), 'Z')
			for n := range 60 {
				ask(parseAs("", "select 1 /* "+large+" */")+bindTo(fmt.Sprint("p", n), "")+syncing, 'Z')
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, quietly, func(o *options) {
				o.session.Statements = relay.Statements{Record: relay.RecordParams, MaxText: 1 << 20}
			})
			conn := rawSession(t, p, "READER")
			conn.SetDeadline(time.Now().Add(2 * time.Minute)) // the race detector looks at every byte
			before := uint64(heapSince(0))
			do(func(sent string, until byte) {
				send(t, conn, sent)
				if until != 0 {
					receiveUntil(t, conn, until)
				}
			})
			eventually(t, "the memory is bounded", 20*time.Second, func() bool { return heapSince(before) < most })
			p.untilEnded(conn)
		})
	}
}

// Of more than is kept of what an error makes PostgreSQL skip, the number is recorded.
func TestManySkipped(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "READER")
	send(t, conn, parseAs("", "selec")+message('H', ""))
	receiveUntil(t, conn, 'E')
	send(t, conn, strings.Repeat(executePortal("", 0), 5000)+syncing)
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	all := p.statements()
	if n := len(all); n != 5001 || all[n-1].Outcome != "skipped" {
		t.Errorf("%d rows, the last %+v", len(all), all[len(all)-1])
	}
}

// Errors that are sent ahead cost as much each, however many they are.
func TestErrorsSentAhead(t *testing.T) {
	t.Parallel()
	const many = 30_000
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "READER")
	conn.SetDeadline(time.Now().Add(30 * time.Second)) // with a cost that grows it would be minutes
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte(strings.Repeat(bindTo("", "no")+syncing, many)))
		sent <- err
	}()
	awaitFrames(t, conn, 'Z', many)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	p.untilEnded(conn)
	if got := len(p.statements()); got != many {
		t.Errorf("%d rows for %d errors", got, many)
	}
}

// A client that reads nothing and waits for nothing is held up, not let run into memory,
// and loses nothing.
func TestRequestsSentFarAhead(t *testing.T) {
	t.Parallel()
	const many = 15_000
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "READER")
	conn.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte(parseAs("", "select 1") + strings.Repeat(bindTo("", "")+executePortal("", 0), many) + syncing))
		sent <- err
	}()
	awaitFrames(t, conn, 'C', many)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	if got := len(p.statements()); got != many {
		t.Errorf("%d rows for %d statements", got, many)
	}
}
