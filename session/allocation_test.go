package session_test

import (
	"bytes"
	"net"
	"testing"
)

// What is relayed costs no memory: otherwise the garbage collector would have a
// share in every query.

var exchanges = map[string]string{
	"simple": query("select 1"),
	"extended": message('P', "\x00select 1\x00\x00\x00") + message('B', "\x00\x00\x00\x00\x00\x00\x00\x00") +
		message('D', "P\x00") + message('E', "\x00\x00\x00\x00\x00") + message('S', ""),
	"prepared": message('B', "\x00one\x00\x00\x00\x00\x00\x00\x00") + message('E', "\x00\x00\x00\x00\x00") + message('S', ""),
	"failing":  query("select 1/0"),
}

// An exchanger sends a request and reads up to ReadyForQuery, without allocating.
type exchanger struct {
	conn net.Conn
	buf  [8192]byte
}

var readyForQuery = []byte("Z\x00\x00\x00\x05I")

func (e *exchanger) exchange(t testing.TB, request []byte) {
	if _, err := e.conn.Write(request); err != nil {
		t.Fatal(err)
	}
	for have := 0; !bytes.HasSuffix(e.buf[:have], readyForQuery); {
		n, err := e.conn.Read(e.buf[have:])
		if err != nil {
			t.Fatal(err)
		}
		have += n
	}
}

func prepare(t *testing.T, conn net.Conn) *exchanger {
	t.Helper()
	e := &exchanger{conn: conn}
	e.exchange(t, []byte(message('P', "one\x00select 1\x00\x00\x00")+message('S', "")))
	return e
}

// Inside TLS it is not so: crypto/tls makes something for each record it reads.
func TestARelayedQueryAllocatesNothing(t *testing.T) {
	p := startProxy(t)
	e := prepare(t, rawSession(t, p, "reader"))
	for name, sent := range exchanges {
		request := []byte(sent)
		e.exchange(t, request) // what is made once is made now
		if got := testing.AllocsPerRun(200, func() { e.exchange(t, request) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
