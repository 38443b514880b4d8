//go:build !linux

package socket

import (
	"net"
	"syscall"
	"time"
)

// readNow reads what is there into p, which must not be empty.
func readNow(fd uintptr, p []byte) (int, error) { return transfer(syscall.Read, fd, p) }

// writeNow writes as much of p, which must not be empty, as the socket takes.
func writeNow(fd uintptr, p []byte) (int, error) { return transfer(syscall.Write, fd, p) }

func transfer(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); err != syscall.EINTR {
			return max(0, n), err
		}
	}
}

// HasClosed is not known here: a client that leaves while the backend takes no
// input is noticed when it does again.
func HasClosed(net.Conn) bool { return false }

// HostGone is not known here: a peer whose host is gone is noticed when the
// kernel gives up.
func HostGone(net.Conn, time.Duration) bool { return false }

// Credentials are not known here: the log then says only that the client came over a Unix socket.
func Credentials(*net.UnixConn) (uid uint32, pid int32, known bool) { return 0, 0, false }
