// The socket to listen on: opened here, or handed over by whoever started gprxy.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clientKeepAlive finds out within two minutes of silence that a client's host has vanished.
var clientKeepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 6}

// listen takes the socket that systemd has opened for gprxy, or opens the one of the settings.
func listen(ctx context.Context, s Settings, env Environment) (net.Listener, error) {
	if env.variable("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		return inheritedSocket(env.variable("LISTEN_FDS"))
	}
	config := net.ListenConfig{KeepAliveConfig: clientKeepAlive}
	socket, err := config.Listen(ctx, "tcp", s.ListenAddress())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another port with PROXY_PORT: %w", s.ListenAddress(), err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("may not listen on %s: choose a port above 1023 with PROXY_PORT: %w", s.ListenAddress(), err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (PROXY_HOST, PROXY_PORT): %w", s.ListenAddress(), err)
	}
	return socket, nil
}

// firstInherited is the descriptor of the first socket that is handed over (sd_listen_fds(3)).
const firstInherited = 3

// inheritedSocket is the one that a socket unit of systemd keeps open while gprxy restarts: who connects meanwhile
// waits in the kernel's queue.
func inheritedSocket(count string) (net.Listener, error) {
	if count != "1" {
		return nil, fmt.Errorf("systemd hands over %s sockets (LISTEN_FDS): gprxy serves one, so give its socket unit one ListenStream", count)
	}
	syscall.CloseOnExec(firstInherited)
	f := os.NewFile(firstInherited, "LISTEN_FDS")
	socket, err := net.FileListener(f) // has a descriptor of its own
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = errors.Join(closeErr, socket.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("take over the socket of systemd: %w", err)
	}
	tcp, ok := socket.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the socket of systemd is a %s socket: give its socket unit a ListenStream with a port", socket.Addr().Network()), socket.Close())
	}
	return inherited{tcp}, nil
}

// inherited is a socket whose connections get from us what those of our own have from the listener.
type inherited struct{ *net.TCPListener }

func (l inherited) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = conn.SetKeepAliveConfig(clientKeepAlive) // without it a host that vanished is noticed later
	return conn, nil
}
