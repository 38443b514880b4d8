package session

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A quickConn is the socket below TLS, read and written the way the relay treats
// a plain one (readNow). It has one reader and one writer at a time, as TLS has.
type quickConn struct {
	net.Conn
	raw        syscall.RawConn
	out        *outlet
	onReadable func(fd uintptr) bool

	// One read, all of it used only while it lasts.
	into []byte
	n    int
	err  error
}

// quick returns conn itself where it is no bare socket.
func quick(conn net.Conn) net.Conn {
	raw := rawSocket(conn)
	if raw == nil {
		return conn
	}
	c := &quickConn{Conn: conn, raw: raw, out: newOutlet(conn)}
	c.onReadable = c.readSome // made once: it would be garbage for each read
	return c
}

func (c *quickConn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *quickConn) Read(p []byte) (int, error) {
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
func (c *quickConn) readSome(fd uintptr) bool {
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
func (c *quickConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }
