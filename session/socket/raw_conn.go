package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A rawConn is the socket below TLS, read and written the way a relay treats
// a plain one (readNow). It has one reader and one writer at a time, as TLS has.
type rawConn struct {
	net.Conn
	raw        syscall.RawConn
	out        *Writer
	onReadable func(fd uintptr) bool

	// One read, all of it used only while it lasts.
	into []byte
	n    int
	err  error
}

// Raw returns the socket conn in a form that TLS reads and writes with the raw calls of this package; conn itself where it is
// no bare socket. One goroutine may read and one write at a time.
func Raw(conn net.Conn) net.Conn {
	raw := rawSocket(conn)
	if raw == nil {
		return conn
	}
	c := &rawConn{Conn: conn, raw: raw, out: NewWriter(conn)}
	c.onReadable = c.readSome // made once: it would be garbage for each read
	return c
}

func (c *rawConn) Write(p []byte) (int, error) { return c.out.Write(p) }

func (c *rawConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.into, c.n, c.err = p, 0, nil
	err := c.raw.Read(c.onReadable)
	c.into = nil
	if c.err != nil {
		err = c.err
	}
	return c.n, err
}

// readSome returns true to end the read, false to wait.
func (c *rawConn) readSome(fd uintptr) bool {
	n, err := readNow(fd, c.into)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		c.err = os.NewSyscallError("read", err)
	case n == 0:
		c.err = io.EOF
	}
	c.n = n
	return true
}

// SyscallConn is the descriptor's.
func (c *rawConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }
