// Cancel and its fence.
package pool_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"gprxy/pool"
)

func TestCancelEndsWhatTheBackendRuns(t *testing.T) {
	for _, mode := range []string{"disable", "verify-full"} {
		t.Run(mode, func(t *testing.T) {
			p := newPools(t, config(maxConns(1), func(c *pool.Config) { c.SSLMode, c.SSLRootCert = mode, server.RootCert }))
			l := acquire(t, p, request())
			pid := l.PID()
			send(t, l, "SELECT pg_sleep(60)")
			eventually(t, "the query runs", func() bool {
				return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(60)%' AND state = 'active' AND "+
					"pid ="+itoa(pid)) == "1"
			})
			if err := l.Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := receive(t, l)
			wantCode(t, err, "57014")
			release(t, l)
			if next := acquire(t, p, request()); next.PID() != pid {
				t.Error("the backend was not reused after a cancel")
			}
		})
	}
}

func TestCancelOverTheUnixSocket(t *testing.T) {
	p := newPools(t, config(func(c *pool.Config) { c.Host = server.SocketDir }))
	l := acquire(t, p, request())
	if err := l.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	release(t, l)
}

func TestNothingIsSentOnceTheLeaseHasEnded(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	for name, end := range map[string]func(*pool.Lease){
		"Release": func(l *pool.Lease) { release(t, l) },
		"Discard": func(l *pool.Lease) { l.Discard() },
	} {
		l := acquire(t, p, request())
		end(l)
		if err := l.Cancel(t.Context()); !errors.Is(err, pool.ErrReleased) {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// forwarded returns pools that reach the server through a forwarder.
func forwarded(t *testing.T, changes ...func(*pool.Config)) (*pool.Pools, *forwarder) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newForwarder(t, l, server.Addr())
	port := func(c *pool.Config) { c.Port = uint16(l.Addr().(*net.TCPAddr).Port) }
	return newPools(t, config(append(changes, port)...)), f
}

// holding returns pools whose cancels are held back until the returned function is called.
func holding(t *testing.T) (p *pool.Pools, f *forwarder, letGo func()) {
	t.Helper()
	p, f = forwarded(t, maxConns(1))
	f.hold = make(chan struct{})
	return p, f, func() { close(f.hold) }
}

func TestABackendIsNotReusedWhileACancelIsInFlight(t *testing.T) {
	p, f, letGo := holding(t)
	l := acquire(t, p, request())
	pid := l.PID()
	cancelled, released := make(chan error, 1), make(chan error, 1)
	go func() { cancelled <- l.Cancel(t.Context()) }()
	<-f.held
	go func() { released <- l.Release(t.Context(), false) }()
	eventually(t, "the release has begun", l.HasEnded)
	select {
	case err := <-released:
		t.Fatalf("Release did not wait for the cancel: %v", err)
	case err := <-cancelled:
		t.Fatalf("Cancel did not wait for the server: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	letGo()
	if err := <-cancelled; err != nil {
		t.Error(err)
	}
	if err := <-released; err != nil {
		t.Error(err)
	}
	if next := acquire(t, p, request()); next.PID() != pid {
		t.Error("the backend was not reused")
	}
}

func TestABackendWithAnUnconfirmedCancelIsClosed(t *testing.T) {
	p, f, letGo := holding(t)
	l := acquire(t, p, request())
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error, 1)
	go func() { cancelled <- l.Cancel(ctx) }()
	<-f.held
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := l.Release(t.Context(), false); err == nil {
		t.Error("the backend went back although the cancel may still arrive")
	}
	letGo()
	if next := acquire(t, p, request()); next.Reused() {
		t.Error("the backend was reused")
	}
}

func TestDiscardDoesNotWaitForACancel(t *testing.T) {
	p, f, letGo := holding(t)
	l := acquire(t, p, request())
	cancelled := make(chan error, 1)
	go func() { cancelled <- l.Cancel(t.Context()) }()
	<-f.held
	l.Discard()
	next := acquire(t, p, request())
	letGo()
	if err := <-cancelled; err != nil {
		t.Error(err)
	}
	if got := ask(t, next, "SELECT 'untouched'"); got != "untouched" {
		t.Error(got)
	}
}
