// A forwarder between the pools and the real server.
package pool_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// forwarder stands between the pools and PostgreSQL, for what the real server cannot be made to do: hold a cancel back.
type forwarder struct {
	firstBytes chan []byte   // gets what each connection begins with, if set
	hold       chan struct{} // a CancelRequest is not passed on before this is closed, if set
	held       chan struct{} // gets a value when a CancelRequest has arrived
	cutOnce    atomic.Bool   // the next connection on which the client sends something ends
	open       atomic.Int32  // connections
}

// newForwarder forwards connections until the end of the test. Set the fields before the first connection.
func newForwarder(t *testing.T, l net.Listener, to string) *forwarder {
	t.Helper()
	f := &forwarder{held: make(chan struct{}, 8)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.serve(t, client, to) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return f
}

func (f *forwarder) serve(t *testing.T, client net.Conn, to string) {
	f.open.Add(1)
	defer f.open.Add(-1)
	defer client.Close()
	first := make([]byte, 1024)
	n, err := client.Read(first)
	if err != nil {
		return
	}
	if f.firstBytes != nil {
		f.firstBytes <- first[:n]
	}
	if n >= 8 && bytes.Equal(first[4:8], []byte{4, 210, 22, 46}) && f.hold != nil {
		f.held <- struct{}{}
		select {
		case <-f.hold:
		case <-time.After(20 * time.Second):
		}
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	if _, err := server.Write(first[:n]); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { io.Copy(client, server); client.Close() })
	f.copy(server, client)
	server.Close()
	back.Wait()
}

// copy passes on what the client sends, until the end or the cut.
func (f *forwarder) copy(server, client net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := client.Read(buffer)
		if err != nil || f.cutOnce.Swap(false) {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
