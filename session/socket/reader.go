package socket

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

// A Reader reads one socket, chunk by chunk, for one direction of a relay. Only
// Run and RunUntil read; Interrupt may be called from anywhere.
type Reader struct {
	conn    net.Conn
	raw     syscall.RawConn // nil when the bytes do not lie in the socket as they are (TLS)
	stopped atomic.Bool
}

// ErrInterrupted says that a Reader was told to stop; nothing that was read is lost.
var ErrInterrupted = errors.New("the relay was interrupted")

// ChunkSize is how many bytes a Reader reads at most at a time.
const ChunkSize = 16 * 1024

// A Chunk is a buffer of that size.
type Chunk = [ChunkSize]byte

var chunks = sync.Pool{New: func() any { return new(Chunk) }}

// GetChunk lends a buffer. It belongs to a session only while that has bytes in hand: PutChunk gives it back.
func GetChunk() *Chunk { return chunks.Get().(*Chunk) }

// PutChunk takes back what GetChunk lent.
func PutChunk(c *Chunk) { chunks.Put(c) }

// LongAgo is a deadline that ends every wait at once.
var LongAgo = time.Unix(1, 0)

// NewReader returns a Reader of conn, which stays the caller's.
func NewReader(conn net.Conn) *Reader {
	return &Reader{conn: conn, raw: rawSocket(conn)}
}

// Interrupt makes Run return ErrInterrupted soon, now or when it is called next.
func (r *Reader) Interrupt() {
	r.stopped.Store(true)
	r.conn.SetReadDeadline(LongAgo)
}

// Resume undoes Interrupt; Run must not be running.
func (r *Reader) Resume() {
	r.stopped.Store(false)
	r.conn.SetReadDeadline(time.Time{})
}

// Run hands every chunk that arrives to handle until handle or the socket
// fails. It returns io.EOF at the end of the stream.
func (r *Reader) Run(handle func(chunk []byte) error) error {
	return r.RunUntil(time.Time{}, handle)
}

// RunUntil is Run with an end: errors.Is(err, os.ErrDeadlineExceeded).
func (r *Reader) RunUntil(end time.Time, handle func(chunk []byte) error) error {
	if err := r.arm(end); err != nil {
		return err
	}
	if r.raw == nil {
		return r.runBuffered(handle)
	}
	return r.runRaw(handle)
}

// arm sets the read deadline without losing an Interrupt that comes meanwhile.
func (r *Reader) arm(deadline time.Time) error {
	r.conn.SetReadDeadline(deadline)
	if r.stopped.Load() {
		return ErrInterrupted
	}
	return nil
}

func (r *Reader) runBuffered(handle func([]byte) error) error {
	w := &window{}
	defer w.after(0)
	for n, err := 0, error(nil); ; {
		buf := w.after(n)
		n, err = r.conn.Read(buf)
		if n > 0 {
			if err := handle(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return r.readError(err)
		}
	}
}

// A window is where to read what cannot be waited for without a buffer (TLS). It
// is small while little comes at a time, and borrows a chunk for as long as more
// does: most sessions are idle most of the time.
type window struct {
	small [1024]byte
	large *Chunk
}

// after returns the buffer for the next read; n bytes came by the last.
func (w *window) after(n int) []byte {
	switch {
	case n < len(w.small) && w.large != nil:
		PutChunk(w.large)
		w.large = nil
	case n >= len(w.small) && w.large == nil:
		w.large = GetChunk()
	}
	if w.large != nil {
		return w.large[:]
	}
	return w.small[:]
}

// runRaw stays inside the callback of RawConn.Read: it needs no buffer while it
// waits for the socket. Each turn reads until nothing is left, since the runtime's
// poller reports changes only: what is not read now may be reported never.
func (r *Reader) runRaw(handle func([]byte) error) error {
	var end error
	err := r.raw.Read(func(fd uintptr) (done bool) {
		end = r.handleAll(fd, handle)
		return end != nil
	})
	if end != nil {
		return end
	}
	return r.readError(err)
}

// handleAll hands on all there is in the socket. It returns nil to wait for more,
// and io.EOF at the end of the stream.
func (r *Reader) handleAll(fd uintptr, handle func([]byte) error) error {
	buf := GetChunk()
	defer PutChunk(buf)
	for !r.stopped.Load() {
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
	return nil // the deadline of Interrupt ends the wait
}

func (r *Reader) readError(err error) error {
	if r.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrInterrupted
	}
	return err
}
