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

const (
	chunkSize = 16 * 1024

	// How late the end of a stream may be noticed that arrived together with
	// its last bytes (see readSome).
	endCheck = 50 * time.Millisecond
)

// Buffers belong to a session only while it has bytes in hand.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

var longAgo = time.Unix(1, 0)

func newPump(conn net.Conn) *pump {
	p := &pump{conn: conn}
	switch c := conn.(type) {
	case *net.TCPConn:
		p.raw, _ = c.SyscallConn()
	case *net.UnixConn:
		p.raw, _ = c.SyscallConn()
	}
	return p
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
	return p.runRaw(end, handle)
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
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for {
		n, err := p.conn.Read(buf[:])
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

// runRaw stays inside the callback of RawConn.Read: returning false there waits
// for the socket without first trying a read that finds nothing, which
// net.Conn.Read would do for every chunk, and needs no buffer while waiting.
//
// The price: the runtime's poller reports changes. When the end of the stream
// arrived together with the last bytes, no further change is to come. So after
// a short read the wait is limited once, and a read that finds nothing proves
// that the stream goes on.
func (p *pump) runRaw(end time.Time, handle func([]byte) error) error {
	for {
		r := rawRun{pump: p, handle: handle, end: end}
		err := p.raw.Read(r.onReadable)
		switch {
		case r.err != nil:
			return r.err
		case err == nil:
			return io.EOF // not reached: onReadable ends with an error
		case !errors.Is(err, os.ErrDeadlineExceeded) || p.stopped.Load():
			return p.readError(err)
		case !end.IsZero() && !time.Now().Before(end):
			return err
		}
		if err := p.arm(end); err != nil {
			return err
		}
	}
}

// rawRun is the state of one RawConn.Read.
type rawRun struct {
	*pump
	handle  func([]byte) error
	end     time.Time
	limited bool
	err     error
}

// onReadable reads all there is. It returns true to end the run, false to wait.
func (r *rawRun) onReadable(fd uintptr) bool {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			r.err = os.NewSyscallError("read", err)
			return true
		case n == 0:
			r.err = io.EOF
			return true
		}
		if r.err = r.handle(buf[:n]); r.err != nil {
			return true
		}
		if n < len(buf) {
			return r.limitWait()
		}
	}
}

// limitWait makes sure that the wait to come is limited, once for many chunks.
func (r *rawRun) limitWait() (stop bool) {
	if r.limited {
		return false
	}
	r.limited = true
	limit := time.Now().Add(endCheck)
	if !r.end.IsZero() && r.end.Before(limit) {
		limit = r.end
	}
	r.err = r.arm(limit)
	return r.err != nil
}

func (p *pump) readError(err error) error {
	if p.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errInterrupted
	}
	return err
}
