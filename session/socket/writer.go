package socket

import (
	"net"
	"os"
	"syscall"
)

// A Writer writes to one socket, for one goroutine at a time.
type Writer struct {
	conn net.Conn
	raw  syscall.RawConn // nil when the bytes do not go into the socket as they are (TLS)

	// One write, all of it used only while it lasts.
	onWritable func(fd uintptr) bool
	patient    bool // wait until the socket takes more
	rest       []byte
	err        error
}

// NewWriter returns a Writer to conn, which stays the caller's.
func NewWriter(conn net.Conn) *Writer {
	w := &Writer{conn: conn, raw: rawSocket(conn)}
	w.onWritable = w.writeSome // made once: it would be garbage for each chunk
	return w
}

// Write writes p, and waits for the socket to take it up to the write deadline.
func (w *Writer) Write(p []byte) (n int, err error) {
	if w.raw == nil {
		return w.conn.Write(p)
	}
	return w.run(p, true)
}

// WriteNow writes what goes without waiting and returns how much that was. Through
// TLS it cannot be told, and nothing is written.
func (w *Writer) WriteNow(p []byte) (n int, err error) {
	if w.raw == nil {
		return 0, nil
	}
	return w.run(p, false)
}

func (w *Writer) run(p []byte, patient bool) (n int, err error) {
	w.rest, w.patient, w.err = p, patient, nil
	err = w.raw.Write(w.onWritable)
	n, w.rest = len(p)-len(w.rest), nil
	if w.err != nil {
		err = w.err
	}
	return n, err
}

// writeSome returns true to end the write, false to wait.
func (w *Writer) writeSome(fd uintptr) bool {
	for len(w.rest) > 0 {
		n, err := writeNow(fd, w.rest)
		switch {
		case err == syscall.EAGAIN:
			return !w.patient
		case err != nil:
			w.err = os.NewSyscallError("write", err)
			return true
		}
		w.rest = w.rest[n:]
	}
	return true
}
