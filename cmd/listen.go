// The socket to listen on: opened here, or handed over by whoever started gprxy.

package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"gprxy/cmd/settings"
)

// clientKeepAlive finds out within two minutes of silence that a client's host has vanished.
var clientKeepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 6}

// listen takes the sockets that systemd has opened for gprxy, or opens those of the settings.
func listen(ctx context.Context, s settings.Settings, env Environment) ([]net.Listener, error) {
	if env.variable("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		return inheritedSockets(env.variable("LISTEN_FDS"))
	}
	return openSockets(ctx, s)
}

// openSockets opens all or none. Addresses come first: a free port that one of them found is that of the others, too.
func openSockets(ctx context.Context, s settings.Settings) (sockets []net.Listener, err error) {
	hosts := s.ListenHosts()
	slices.SortStableFunc(hosts, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	port := int(s.ProxyPort)
	for _, host := range hosts {
		socket, err := openOne(ctx, host, port, s.SocketMode)
		if err != nil {
			return nil, errors.Join(err, closeAll(sockets))
		}
		if tcp, ok := socket.Addr().(*net.TCPAddr); ok {
			port = tcp.Port
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

func rank(host string) int {
	if settings.IsUnixHost(host) {
		return 1
	}
	return 0
}

func openOne(ctx context.Context, host string, port int, mode os.FileMode) (socket net.Listener, err error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	if settings.IsUnixHost(host) {
		address = socketPath(host, strconv.Itoa(port))
		socket, err = listenUnix(ctx, address, mode)
	} else {
		config := net.ListenConfig{KeepAliveConfig: clientKeepAlive}
		socket, err = config.Listen(ctx, "tcp", address)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another port with PROXY_PORT: %w", address, err)
	case errors.Is(err, os.ErrPermission) && settings.IsUnixHost(host):
		return nil, fmt.Errorf("may not make the socket %s: let gprxy's user write in its folder, or choose another with PROXY_HOST: %w",
			address, err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("may not listen on %s: choose a port above 1023 with PROXY_PORT: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (PROXY_HOST, PROXY_PORT): %w", address, err)
	}
	return socket, nil
}

func closeAll(sockets []net.Listener) error {
	var problems []error
	for _, socket := range sockets {
		problems = append(problems, socket.Close())
	}
	return errors.Join(problems...)
}

// firstInherited is the descriptor of the first socket that is handed over (sd_listen_fds(3)).
const firstInherited = 3

// inheritedSockets are those that a socket unit of systemd keeps open while gprxy restarts: who connects meanwhile
// waits in the kernel's queue.
func inheritedSockets(count string) (sockets []net.Listener, err error) {
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > settings.MaxListen {
		return nil, fmt.Errorf("systemd hands over %q sockets (LISTEN_FDS): give gprxy's socket unit 1 to %d lines ListenStream", count,
			settings.MaxListen)
	}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		socket, err := inheritedSocket(fd)
		if err != nil {
			return nil, errors.Join(err, closeAll(sockets))
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

func inheritedSocket(fd int) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "LISTEN_FDS")
	socket, err := net.FileListener(f) // has a descriptor of its own
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = errors.Join(closeErr, socket.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("take over a socket of systemd: %w", err)
	}
	switch l := socket.(type) {
	case *net.TCPListener:
		return inherited{l}, nil
	case *net.UnixListener:
		if l.Addr().Network() == "unix" {
			return l, nil // its file is systemd's
		}
	}
	return nil, errors.Join(fmt.Errorf("a socket of systemd is a %s socket: give its socket unit ListenStream with a port or a path",
		socket.Addr().Network()), socket.Close())
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
