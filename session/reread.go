package session

import (
	"net"
	"syscall"
)

// rereadConn gives back first what was already read of the connection.
type rereadConn struct {
	net.Conn
	head []byte
}

func (c *rereadConn) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// SyscallConn is the descriptor's below.
func (c *rereadConn) SyscallConn() (syscall.RawConn, error) {
	if below, ok := c.Conn.(syscall.Conn); ok {
		return below.SyscallConn()
	}
	return nil, syscall.EINVAL
}
