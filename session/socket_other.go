//go:build !linux

package session

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

// hasClosed is not known here: a client that leaves while the backend takes no
// input is noticed when it does again.
func hasClosed(net.Conn) bool { return false }

// unanswered is not known here: a peer whose host is gone is noticed when the
// kernel gives up.
func unanswered(net.Conn, time.Duration) bool { return false }

// peerOf is not known here: the log then says only that the client came over a Unix socket.
func peerOf(*net.UnixConn) *peer { return nil }
