package session

import (
	"net"
	"os"
	"syscall"
)

// An outlet writes to one socket, for one goroutine at a time.
type outlet struct {
	conn net.Conn
	raw  syscall.RawConn // nil when the bytes do not go into the socket as they are (TLS)

	// One write, all of it used only while it lasts.
	onWritable func(fd uintptr) bool
	patient    bool // wait until the socket takes more
	rest       []byte
	err        error
}

func newOutlet(conn net.Conn) *outlet {
	o := &outlet{conn: conn, raw: rawSocket(conn)}
	o.onWritable = o.writeSome // made once: it would be garbage for each chunk
	return o
}

// write writes p, and waits for the socket to take it up to the write deadline.
func (o *outlet) write(p []byte) (n int, err error) {
	if o.raw == nil {
		return o.conn.Write(p)
	}
	return o.run(p, true)
}

// writeNow writes what goes without waiting and returns how much that was. Through
// TLS it cannot be told, and nothing is written.
func (o *outlet) writeNow(p []byte) (n int, err error) {
	if o.raw == nil {
		return 0, nil
	}
	return o.run(p, false)
}

func (o *outlet) run(p []byte, patient bool) (n int, err error) {
	o.rest, o.patient, o.err = p, patient, nil
	err = o.raw.Write(o.onWritable)
	n, o.rest = len(p)-len(o.rest), nil
	if o.err != nil {
		err = o.err
	}
	return n, err
}

// writeSome returns true to end the write, false to wait.
func (o *outlet) writeSome(fd uintptr) bool {
	for len(o.rest) > 0 {
		n, err := writeNow(fd, o.rest)
		switch {
		case err == syscall.EAGAIN:
			return !o.patient
		case err != nil:
			o.err = os.NewSyscallError("write", err)
			return true
		}
		o.rest = o.rest[n:]
	}
	return true
}
