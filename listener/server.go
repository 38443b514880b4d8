// Package listener accepts sockets and owns them: it knows how to start, how to
// back off when the machine is short of descriptors, and how to stop without
// cutting anybody off. It knows nothing of PostgreSQL.
package listener

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"
)

// Server runs one goroutine per accepted connection and waits for all of them.
// Handle and Log must be set before Serve is called.
type Server struct {
	// Handle serves one connection. Server closes the connection when Handle
	// returns. ctx ends when the drain's time is up: Handle must then come to
	// an end at once.
	Handle func(ctx context.Context, conn net.Conn)
	Log    *slog.Logger

	// TrustedProxies are the addresses whose connections begin with a PROXY
	// protocol header. Handle gets a *Forwarded for them.
	TrustedProxies []netip.Prefix
	// Refuse tells a peer what is wrong with its header (a *HeaderError), in place
	// of Handle. It must be set with TrustedProxies.
	Refuse func(ctx context.Context, conn net.Conn, why error)

	mu       sync.Mutex // guards the fields below
	sockets  []net.Listener
	open     map[net.Conn]struct{}
	headers  map[net.Conn]struct{} // whose header is being read
	stopping bool
	kill     context.CancelFunc
	killed   context.Context

	connections sync.WaitGroup
}

// ErrStopped is what Serve returns after Shutdown.
var ErrStopped = errors.New("the listener was shut down")

const (
	firstBackOff = 5 * time.Millisecond
	lastBackOff  = time.Second
)

// Serve accepts connections from l until Shutdown is called, then returns
// ErrStopped. Running connections are Shutdown's business, not Serve's. It owns
// l and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	base, err := s.register(ctx, l)
	if err != nil {
		return err
	}
	defer s.connections.Done()
	short := shortage{log: s.Log}
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			short.end()
			s.start(base, conn)
		case s.isStopping():
			return ErrStopped
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of descriptors or memory (EMFILE, ENOBUFS): those who are in
			// stay in, the others wait in the kernel's queue.
			wait(base, short.next(err))
		}
	}
}

// A shortage is a time in which connections could not be accepted.
type shortage struct {
	log      *slog.Logger
	failures int
	backOff  time.Duration
}

// next is how long to wait after one more failure. It logs the first alone: who
// causes it must not fill the log as well.
func (s *shortage) next(err error) time.Duration {
	if s.failures++; s.failures == 1 {
		s.log.Warn("could not accept a connection: those who are in are served, others wait", "error", err)
		s.backOff = firstBackOff
	} else {
		s.backOff = min(2*s.backOff, lastBackOff)
	}
	return s.backOff
}

func (s *shortage) end() {
	if s.failures > 0 {
		s.log.Info("connections are accepted again", "failures", s.failures)
		s.failures = 0
	}
}

// Shutdown closes the listening sockets and waits for the running connections.
// When ctx ends first, their contexts are cancelled, and those that do not leave
// within grace have their sockets closed. It returns only when all have ended,
// with ctx's error if it had to hurry them.
func (s *Server) Shutdown(ctx context.Context, grace time.Duration) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.connections.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancelAll()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.closeAll()
		<-done
	}
	return ctx.Err()
}

// Open is the number of connections being served.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *Server) register(ctx context.Context, l net.Listener) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, ErrStopped
	}
	if s.open == nil {
		s.open = make(map[net.Conn]struct{})
		// The end of ctx is the caller's sign to call Shutdown; it must not cut
		// connections by itself.
		s.killed, s.kill = context.WithCancel(context.WithoutCancel(ctx))
	}
	s.sockets = append(s.sockets, l)
	s.connections.Add(1) // so that Shutdown also waits for what is being accepted just now
	return s.killed, nil
}

func (s *Server) start(ctx context.Context, conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = struct{}{}
	s.connections.Go(func() { s.serve(ctx, conn) })
}

func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer func() {
		if fault := recover(); fault != nil {
			s.Log.Error("a connection ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
		}
		conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	known, err := s.introduce(conn)
	switch {
	case err == nil:
		s.Handle(ctx, known)
	case !errors.Is(err, errNoHeader):
		s.Refuse(ctx, conn, err)
	}
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for _, l := range s.sockets {
		l.Close()
	}
	for conn := range s.headers {
		conn.SetReadDeadline(longAgo)
	}
}

func (s *Server) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kill != nil {
		s.kill()
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		conn.Close()
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// wait takes d, or less when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
