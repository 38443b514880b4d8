// A forwarder between the pools and the real server.
package pool_test

import (
	"bytes"
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
	opened     atomic.Int32  // connections so far
	vanished   atomic.Int32  // of those, the first so many are silent from now on, as if the host were gone
	mute       string        // a connection that begins with this gets the server's first words and no more, if set
	ended      chan struct{} // closed when the listener is
}

// newForwarder forwards connections until the end of the test. Set the fields before the first connection.
func newForwarder(t *testing.T, l net.Listener, to string) *forwarder {
	t.Helper()
	f := &forwarder{held: make(chan struct{}, 8), ended: make(chan struct{})}
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
	t.Cleanup(func() { l.Close(); close(f.ended); all.Wait() })
	return f
}

func (f *forwarder) serve(t *testing.T, client net.Conn, to string) {
	number := f.opened.Add(1)
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
	back.Go(func() { f.answer(client, server, number, f.mute != "" && bytes.Contains(first[:n], []byte(f.mute))) })
	f.copy(server, client, number)
	server.Close()
	back.Wait()
}

// vanish makes the connections of now silent.
func (f *forwarder) vanish() { f.vanished.Store(f.opened.Load()) }

// answer passes on what the server sends: all of it, or the first words only.
func (f *forwarder) answer(client, server net.Conn, number int32, mute bool) {
	defer client.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := server.Read(buffer)
		if f.vanished.Load() >= number {
			<-f.ended
			return
		}
		if err != nil {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
		if mute {
			<-f.ended
			return
		}
	}
}

// copy passes on what the client sends, until the end or the cut.
func (f *forwarder) copy(server, client net.Conn, number int32) {
	buffer := make([]byte, 4096)
	for {
		n, err := client.Read(buffer)
		if err != nil || f.cutOnce.Swap(false) {
			return
		}
		if f.vanished.Load() >= number {
			continue // the kernel here still acknowledges; nobody hears it
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
