package socket

import (
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow and writeNow are for the sockets of package net, which never make a
// call wait. So they need not tell Go's scheduler that they might: of a thread
// that spends 20 us in syscall.Write it takes the processor away, although all of
// the time goes into waking the peer, and wakes another thread that finds nothing
// to do. That costs more than the call itself (docs/performance.md).

// readNow reads what is there into p, which must not be empty.
func readNow(fd uintptr, p []byte) (int, error) { return transfer(syscall.SYS_READ, fd, p) }

// writeNow writes as much of p, which must not be empty, as the socket takes.
func writeNow(fd uintptr, p []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, p) }

func transfer(call, fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// HasClosed tells whether the peer has closed its sending side, also while what it
// sent before has not been read.
func HasClosed(conn net.Conn) bool {
	closed := false
	_ = Control(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			closed = hungUp(fd)
			return nil
		}
		closed = info.State == unix.BPF_TCP_CLOSE_WAIT || info.State == unix.BPF_TCP_CLOSE
		return nil
	})
	return closed
}

// hungUp is HasClosed for a Unix socket.
func hungUp(fd int) bool {
	asked := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(asked, 0)
	return err == nil && n == 1 && asked[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

// Credentials asks the kernel which process of which user opened the other end of a Unix socket.
func Credentials(conn *net.UnixConn) (uid uint32, pid int32, known bool) {
	err := Control(conn, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			uid, pid = cred.Uid, cred.Pid
		}
		return err
	})
	return uid, pid, err == nil
}

// HostGone tells whether the peer's host has gone without a word for as long as limit. Either what was
// sent is not acknowledged, then the pause before it is sent again doubles each
// time; or the peer did not read, and does not say any more that it still does not.
func HostGone(conn net.Conn, limit time.Duration) bool {
	gone := false
	_ = Control(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err // a Unix socket: no host in between
		}
		pause := time.Duration(info.Rto) * time.Microsecond
		silence := time.Duration(info.Last_ack_recv) * time.Millisecond
		gone = info.Retransmits > 0 && pause >= limit || info.Probes > 2 && silence >= limit
		return nil
	})
	return gone
}
