package relay

import (
	"io"
	"net"
	"testing"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// BenchmarkRelay is one query and its answer through a relay, without PostgreSQL
// and without a login.
func BenchmarkRelay(b *testing.B) {
	client, near := socketPair(b)
	far, backend := socketPair(b)
	r := New(near, far, wire.TxIdle)
	relayed := make(chan error, 1)
	go func() { relayed <- r.Run(nil) }()
	request := []byte(frame('P', "\x00select 1\x00\x00\x00") + frame('B', "\x00\x00\x00\x00\x00\x00\x00\x00") +
		frame('D', "P\x00") + frame('E', "\x00\x00\x00\x00\x00") + frame('S', ""))
	answer := []byte(frame('1', "") + frame('2', "") + frame('T',
		"\x00\x01?column?\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00") +
		frame('D', "\x00\x01\x00\x00\x00\x011") + frame('C', "SELECT 1\x00") + frame('Z', "I"))
	go answerEach(backend, len(request), answer) // ends with the connection
	got := make([]byte, len(answer))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, got); err != nil {
			b.Fatal(err)
		}
	}
	r.End(refusal.ErrShutdown)
	<-relayed
}

func answerEach(conn net.Conn, size int, answer []byte) {
	for request := make([]byte, size); ; {
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// socketPair is both ends of a TCP connection.
func socketPair(t testing.TB) (one, other net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if one, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if other, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { one.Close(); other.Close() })
	return one, other
}
