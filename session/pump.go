package session

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A pump reads one socket, chunk by chunk, for one direction of the relay. Only
// run reads; interrupt may be called from anywhere.
type pump struct {
	conn    net.Conn
	raw     syscall.RawConn // nil when the bytes do not lie in the socket as they are (TLS)
	stopped atomic.Bool
}

// errInterrupted: the pump was told to stop; nothing read was lost.
var errInterrupted = errors.New("the relay was interrupted")

const chunkSize = 16 * 1024

// Buffers belong to a session only while it has bytes in hand.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

var longAgo = time.Unix(1, 0)

func newPump(conn net.Conn) *pump {
	return &pump{conn: conn, raw: rawSocket(conn)}
}

// interrupt makes run return errInterrupted soon, now or when it is called next.
func (p *pump) interrupt() {
	p.stopped.Store(true)
	p.conn.SetReadDeadline(longAgo)
}

// resume undoes interrupt; run must not be running.
func (p *pump) resume() {
	p.stopped.Store(false)
	p.conn.SetReadDeadline(time.Time{})
}

// run hands every chunk that arrives to handle until handle or the socket
// fails. It returns io.EOF at the end of the stream.
func (p *pump) run(handle func(chunk []byte) error) error {
	return p.runUntil(time.Time{}, handle)
}

// runUntil is run with an end: errors.Is(err, os.ErrDeadlineExceeded).
func (p *pump) runUntil(end time.Time, handle func(chunk []byte) error) error {
	if err := p.arm(end); err != nil {
		return err
	}
	if p.raw == nil {
		return p.runBuffered(handle)
	}
	return p.runRaw(handle)
}

// arm sets the read deadline without losing an interrupt that comes meanwhile.
func (p *pump) arm(deadline time.Time) error {
	p.conn.SetReadDeadline(deadline)
	if p.stopped.Load() {
		return errInterrupted
	}
	return nil
}

func (p *pump) runBuffered(handle func([]byte) error) error {
	w := &window{}
	defer w.after(0)
	for n, err := 0, error(nil); ; {
		buf := w.after(n)
		n, err = p.conn.Read(buf)
		if n > 0 {
			if err := handle(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return p.readError(err)
		}
	}
}

// A window is where to read what cannot be waited for without a buffer (TLS). It
// is small while little comes at a time, and borrows a chunk for as long as more
// does: most sessions are idle most of the time.
type window struct {
	small [1024]byte
	large *[chunkSize]byte
}

// after returns the buffer for the next read; n bytes came by the last.
func (w *window) after(n int) []byte {
	switch {
	case n < len(w.small) && w.large != nil:
		chunks.Put(w.large)
		w.large = nil
	case n >= len(w.small) && w.large == nil:
		w.large = chunks.Get().(*[chunkSize]byte)
	}
	if w.large != nil {
		return w.large[:]
	}
	return w.small[:]
}

// runRaw stays inside the callback of RawConn.Read: it needs no buffer while it
// waits for the socket. Each turn reads until nothing is left, since the runtime's
// poller reports changes only: what is not read now may be reported never.
func (p *pump) runRaw(handle func([]byte) error) error {
	var end error
	err := p.raw.Read(func(fd uintptr) (done bool) {
		end = p.handleAll(fd, handle)
		return end != nil
	})
	if end != nil {
		return end
	}
	return p.readError(err)
}

// handleAll hands on all there is in the socket. It returns nil to wait for more,
// and io.EOF at the end of the stream.
func (p *pump) handleAll(fd uintptr, handle func([]byte) error) error {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for !p.stopped.Load() {
		n, err := readNow(fd, buf[:])
		switch {
		case err == syscall.EAGAIN:
			return nil
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return io.EOF
		}
		if err := handle(buf[:n]); err != nil {
			return err
		}
	}
	return nil // the deadline of interrupt ends the wait
}

func (p *pump) readError(err error) error {
	if p.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errInterrupted
	}
	return err
}
