// What the kernel was told about connections to PostgreSQL.
package pool_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAVanishedServerIsNoticedByKeepAlive(t *testing.T) {
	l := acquire(t, newPools(t, config()), request())
	raw, err := l.Conn().(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]struct{ level, number, want int }{
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		"TCP_KEEPINTVL":    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		"TCP_KEEPCNT":      {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0}, // it counts against who does not read, too
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), option.level, option.number); err != nil || got != option.want {
				t.Errorf("%s is %d, want %d (%v)", name, got, option.want, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
