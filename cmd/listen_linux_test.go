// What the kernel was told about the connections of clients.

package cmd

import (
	"net"
	"testing"

	"gprxy/cmd/settings"

	"golang.org/x/sys/unix"
)

func TestAVanishedClientIsNoticedByKeepAlive(t *testing.T) {
	sockets, err := listen(t.Context(), settings.Settings{ProxyHost: "127.0.0.1"}, Environment{})
	if err != nil {
		t.Fatal(err)
	}
	socket := sockets[0]
	defer socket.Close()
	client, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]struct{ number, want int }{
		"TCP_KEEPIDLE": {unix.TCP_KEEPIDLE, 60}, "TCP_KEEPINTVL": {unix.TCP_KEEPINTVL, 10}, "TCP_KEEPCNT": {unix.TCP_KEEPCNT, 6},
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option.number); err != nil || got != option.want {
				t.Errorf("%s is %d, want %d (%v)", name, got, option.want, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
