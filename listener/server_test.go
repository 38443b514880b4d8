package listener

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serve starts s on a free port and returns its address.
func serve(t *testing.T, s *Server, wrap func(net.Listener) net.Listener) (addr string, ended chan error) {
	t.Helper()
	if s.Log == nil {
		s.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if wrap != nil {
		l = wrap(l)
	}
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(t.Context(), l) }()
	return addr, ended
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

type ctx = context.Context

// deadline is far less than any wait that a test wants to see cut.
func deadline(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Second)
}

// echo answers until its client is done.
func echo(_ context.Context, conn net.Conn) { io.Copy(conn, conn) }

func exchange(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		t.Fatal(err)
	}
}

func TestShutdownWaitsForThoseWhoAreIn(t *testing.T) {
	s := &Server{Handle: echo}
	addr, ended := serve(t, s, nil)
	conn := dial(t, addr)
	exchange(t, conn)
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context(), time.Minute) }()
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("Serve returned %v", err)
	}
	exchange(t, conn) // still served
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("a connection is accepted after Shutdown")
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned %v with a connection open", err)
	default:
	}
	conn.Close()
	if err := <-down; err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	if n := s.Open(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

// Who does not leave in time is told by the context, and cut off if that does
// not help.
func TestShutdownHurries(t *testing.T) {
	told := make(chan struct{}, 2)
	s := &Server{Handle: func(ctx context.Context, conn net.Conn) {
		io.WriteString(conn, "x")
		<-ctx.Done()
		told <- struct{}{}
		echo(ctx, conn) // deaf
	}}
	addr, ended := serve(t, s, nil)
	for range 2 {
		var b [1]byte
		io.ReadFull(dial(t, addr), b[:])
	}
	limit, done := context.WithCancel(t.Context())
	done()
	if err := s.Shutdown(limit, 10*time.Millisecond); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	<-told
	<-told
	<-ended
}

// A handler that panics costs its own connection only.
func TestAFaultEndsOneConnection(t *testing.T) {
	var faulty atomic.Bool
	faulty.Store(true)
	var log lockedBuffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Handle: func(ctx context.Context, conn net.Conn) {
		if faulty.Swap(false) {
			panic("a fault")
		}
		echo(ctx, conn)
	}}
	addr, ended := serve(t, s, nil)
	if _, err := io.ReadAll(dial(t, addr)); err != nil {
		t.Errorf("the faulty connection ended with %v", err)
	}
	conn := dial(t, addr)
	exchange(t, conn)
	conn.Close()
	s.Shutdown(t.Context(), time.Minute)
	<-ended
	if n := strings.Count(log.String(), "a fault in gprxy"); n != 1 {
		t.Errorf("the log tells of %d faults: %s", n, log.String())
	}
}

// lockedBuffer is a log that connections write to at once.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tight is a listener on a machine that runs out of descriptors.
type tight struct {
	net.Listener
	failures atomic.Int32
}

func (l *tight) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// Out of descriptors, the server backs off and goes on.
func TestAcceptBacksOff(t *testing.T) {
	s := &Server{Handle: echo}
	addr, ended := serve(t, s, func(l net.Listener) net.Listener {
		short := &tight{Listener: l}
		short.failures.Store(3)
		return short
	})
	conn := dial(t, addr)
	exchange(t, conn)
	conn.Close()
	s.Shutdown(t.Context(), time.Minute)
	<-ended
}

// A shortage is told once, and the waits in it are bounded.
func TestAShortageIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	short := shortage{log: slog.New(slog.NewTextHandler(&log, nil))}
	for n := range 40 {
		if wait := short.next(syscall.EMFILE); wait < firstBackOff || wait > lastBackOff {
			t.Fatalf("after %d failures the wait is %v", n+1, wait)
		}
	}
	short.end()
	short.end()
	if failed, over := strings.Count(log.String(), "could not accept"), strings.Count(log.String(), "accepted again"); failed != 1 ||
		over != 1 {
		t.Errorf("the log tells %d times of it and %d times of its end", failed, over)
	}
}

// A listener that is closed by somebody else is no shortage.
func TestAListenerThatIsClosed(t *testing.T) {
	var socket net.Listener
	_, ended := serve(t, &Server{Handle: echo}, func(l net.Listener) net.Listener { socket = l; return l })
	socket.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	s := &Server{Handle: echo, Log: slog.New(slog.DiscardHandler)}
	if err := s.Shutdown(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	_, ended := serve(t, s, nil)
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("Serve returned %v", err)
	}
}
