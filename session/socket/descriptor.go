package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// Control runs f on the descriptor under conn, through TLS if need be.
func Control(conn net.Conn, f func(fd int) error) error {
	if wrapped, ok := conn.(*tls.Conn); ok {
		conn = wrapped.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return errors.New("the connection has no descriptor")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	result := error(nil)
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	return result
}

// rawSocket is the way to conn's descriptor, nil where the bytes do not lie in the
// socket as they are (TLS).
func rawSocket(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// BytesWaiting tells whether the peer has sent something that was not read yet.
func BytesWaiting(conn net.Conn) bool {
	waiting := false
	_ = Control(conn, func(fd int) error {
		var one [1]byte
		n, _, err := syscall.Recvfrom(fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		waiting = err == nil && n > 0
		return nil
	})
	return waiting
}
