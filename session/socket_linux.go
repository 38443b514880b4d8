package session

import (
	"net"

	"golang.org/x/sys/unix"
)

// hasClosed tells whether the peer has closed its sending side, also while what it
// sent before has not been read.
func hasClosed(conn net.Conn) bool {
	closed := false
	_ = control(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && (info.State == unix.BPF_TCP_CLOSE_WAIT || info.State == unix.BPF_TCP_CLOSE)
		return nil
	})
	return closed
}
