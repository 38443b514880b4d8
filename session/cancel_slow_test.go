package session_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// The network between gprxy and PostgreSQL is slow for cancel requests.

// A slowRoute leads to PostgreSQL and holds cancel requests back.
type slowRoute struct {
	listener net.Listener
	held     chan struct{} // gets a value for each request that has come
	free     chan struct{} // closed when they may go on
	all      sync.WaitGroup
}

func startSlowRoute(t *testing.T) *slowRoute {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slowRoute{listener: l, held: make(chan struct{}, 100), free: make(chan struct{})}
	s.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { s.carry(t, near) })
		}
	})
	t.Cleanup(func() { l.Close(); s.all.Wait() })
	return s
}

func (s *slowRoute) port() uint16 { return uint16(s.listener.Addr().(*net.TCPAddr).Port) }

// carry passes a connection on. A request reaches PostgreSQL also when gprxy has
// hung up meanwhile, as it would from the buffers of a real network.
func (s *slowRoute) carry(t *testing.T, near net.Conn) {
	defer near.Close()
	first := make([]byte, 1024)
	n, err := near.Read(first)
	if err != nil {
		return
	}
	if n >= 8 && bytes.Equal(first[4:8], []byte{4, 210, 22, 46}) {
		s.held <- struct{}{}
		select {
		case <-s.free:
		case <-time.After(20 * time.Second):
		}
	}
	far, err := net.Dial("tcp", postgres.Addr())
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	if _, err := far.Write(first[:n]); err != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() { io.Copy(far, near); far.(*net.TCPConn).CloseWrite() })
	io.Copy(near, far)
	near.Close()
	up.Wait()
}

func TestASlowCancelNeverHitsTheNextSession(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration    // of the pool's connections
		before  func(c net.Conn) // happens to the client's cancel connection
		waits   bool             // the next session waits for the cancel, and gets the same backend
	}{
		{"it arrives late", time.Minute, nil, true},
		{"and the client has hung up", time.Minute, func(c net.Conn) { c.Close() }, true},
		{"and the client was cut off", time.Minute, cutOff, true},
		{"gprxy has given up", time.Second, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			route := startSlowRoute(t)
			p := startProxy(t, func(o *options) {
				o.pool.Port, o.pool.MaxConns, o.pool.ConnectTimeout = route.port(), 1, test.timeout
			})
			first := dial(t, p.addr)
			greeting := login(t, first, "bob", token("bob@example.com", "reader"))
			cancelling := dial(t, p.addr)
			send(t, cancelling, packet(cancelCode, keyOf(greeting)))
			<-route.held
			if test.before != nil {
				test.before(cancelling)
			}
			send(t, first, message('X', ""))

			next := dial(t, p.addr)
			send(t, next, startupPacket(3<<16, "user", "eve", "database", database))
			receiveUntil(t, next, 'R')
			send(t, next, message('p', token("eve@example.com", "reader")+"\x00"))
			if test.waits {
				wantNothing(t, next)
				close(route.free)
			}
			greeted := receiveUntil(t, next, 'Z')
			if same := backendPID(greeted) == backendPID(greeting); same != test.waits {
				t.Errorf("the same backend again: %v", same)
			}
			send(t, next, query("select 'whole' from pg_sleep(0.3)"))
			if !test.waits {
				close(route.free)
			}
			if got := rows(receiveUntil(t, next, 'Z')); len(got) != 1 || got[0] != "whole" {
				t.Errorf("the next session's query gave %q", got)
			}
		})
	}
}

// wantNothing reads for a while, during which not even the end may come.
func wantNothing(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	defer conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("while the cancel is under way: %d bytes, %v", n, err)
	}
}

// The client learns by the end of its connection, and by nothing else, that
// the cancel is done. Its next statement is safe then.
func TestTheCancelConnectionEndsWhenTheCancelIsDone(t *testing.T) {
	route := startSlowRoute(t)
	p := startProxy(t, func(o *options) { o.pool.Port = route.port() })
	conn := dial(t, p.addr)
	key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
	send(t, conn, query("select pg_sleep(30)"))
	cancelling := dial(t, p.addr)
	send(t, cancelling, packet(cancelCode, key))
	<-route.held
	wantNothing(t, cancelling)
	close(route.free)
	if got := readAll(t, cancelling); got != "" {
		t.Errorf("%q came on the cancel connection", got)
	}
	if answers := receiveUntil(t, conn, 'Z'); answers[len(answers)-2].field('C') != "57014" {
		t.Errorf("the query ended with %v", answers)
	}
	for range 20 {
		send(t, conn, query("select 'whole' from pg_sleep(0.001)"))
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
			t.Fatal("a later statement was cancelled")
		}
	}
}

// A shutdown that abandons a cancel under way leaves no backend to anybody.
func TestACancelThatAShutdownAbandons(t *testing.T) {
	route := startSlowRoute(t)
	defer close(route.free)
	p := startProxy(t, func(o *options) { o.pool.Port, o.pool.MaxConns = route.port(), 1 })
	conn := dial(t, p.addr)
	key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
	cancelling := dial(t, p.addr)
	send(t, cancelling, packet(cancelCode, key))
	<-route.held
	ctx, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	began := time.Now()
	if err := p.pools.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the pools took %v to close", took)
	}
	if got := readAll(t, cancelling); got != "" {
		t.Errorf("%q came on the cancel connection", got)
	}
}
