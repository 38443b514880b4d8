package socket

import (
	"net"
	"syscall"
)

// prefixConn gives back first what was already read of the connection.
type prefixConn struct {
	net.Conn
	head []byte
}

// Prefixed returns conn with head, which was read of it already, before what is still to come.
func Prefixed(conn net.Conn, head []byte) net.Conn { return &prefixConn{Conn: conn, head: head} }

func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// SyscallConn is the descriptor's below.
func (c *prefixConn) SyscallConn() (syscall.RawConn, error) {
	if below, ok := c.Conn.(syscall.Conn); ok {
		return below.SyscallConn()
	}
	return nil, syscall.EINVAL
}
