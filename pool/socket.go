// The socket under a backend: it counts as open until it is closed, and can be looked at without reading.
package pool

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// goodbyeLimit is how long a close waits for PostgreSQL to end the backend. Its slot in max_connections is free
// then, so that the next connect is not refused by a server that is full of backends about to go.
const goodbyeLimit = 250 * time.Millisecond

var errUnreadBytes = errors.New("PostgreSQL has said something that nobody asked for")

// terminate is the Terminate message.
var terminate = []byte{'X', 0, 0, 0, 4}

// socket is the TCP or Unix connection; TLS, if any, lies above it.
type socket struct {
	net.Conn
	once    sync.Once
	onClose func() // set before the socket is shared; told once
}

// Close closes the connection and tells the owner of the slot. Safe for concurrent use, any number of times.
func (s *socket) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() {
		if s.onClose != nil {
			s.onClose()
		}
	})
	return err
}

// quiet reports, with one system call and without waiting, that the connection is alive and has nothing to read. An idle
// backend that has something to say says that it is being ended, or at least is not what was left.
func (s *socket) quiet() error {
	raw, err := s.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return fmt.Errorf("looking at the idle backend: %w", err)
	}
	var n int
	var peekErr error
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		n, _, peekErr = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true // never wait
	})
	switch {
	case err != nil:
		return fmt.Errorf("looking at the idle backend: %w", err)
	case errors.Is(peekErr, syscall.EAGAIN), errors.Is(peekErr, syscall.EINTR):
		return nil
	case peekErr != nil:
		return fmt.Errorf("looking at the idle backend: %w", peekErr)
	case n == 0:
		return io.EOF
	default:
		return errUnreadBytes
	}
}

// silent reports, without waiting, that there is no byte from PostgreSQL anywhere between it and here: not in pgconn, not
// decrypted in TLS, not in the socket. Afterwards nobody reads the connection: a write of pgconn's that took long leaves a
// reader behind, whose result its next reader gets (pgconn/internal/bgreader); the deadline ends it.
func (b *backend) silent(pg *pgconn.PgConn) error {
	if pg.Frontend().ReadBufferLen() != 0 {
		return errUnreadBytes
	}
	if err := b.wire.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("looking behind the answers: %w", err)
	}
	var one [1]byte
	_, err := b.observer.r.Read(one[:]) // past the deadline it gives what was read before, and asks the kernel for nothing
	switch {
	case err == nil:
		return errUnreadBytes
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("looking behind the answers: %w", err)
	}
	if err := b.wire.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("looking behind the answers: %w", err)
	}
	return b.socket.quiet()
}

// goodbye ends a backend that is idle: Terminate, a short wait for the end of the server process, close. It tells whether
// the end came.
func goodbye(wire net.Conn, s *socket) (ended bool) {
	defer s.Close()
	if wire.SetDeadline(time.Now().Add(goodbyeLimit)) != nil {
		return false
	}
	if _, err := wire.Write(terminate); err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, io.LimitReader(wire, maxMessage)) // whatever it says, it is going
	return n < maxMessage && !errors.Is(err, os.ErrDeadlineExceeded)
}
