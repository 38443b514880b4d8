// Where a tunnel listens: a port on loopback, or a Unix socket that only this user can open.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

const (
	tunnelPort   = "6432"
	tunnelListen = "127.0.0.1:" + tunnelPort

	socketName = ".s.PGSQL." + tunnelPort // what libpq looks for in a folder
	// The lock outlives the tunnel: to remove it would be a race with the next one.
	socketLock = ".gprxy-tunnel.lock"

	maxSocketPath = 103 // bytes that the path of a socket may have (macOS; Linux has a few more)
)

// tunnelListenOptions are the flags that say where.
type tunnelListenOptions struct{ listen, socket string }

func (o *tunnelListenOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.listen, "listen", tunnelListen, "the `ADDRESS` on loopback to listen on; port 0 takes any free one")
	fs.StringVar(&o.socket, "socket", "", "listen on a Unix socket in the folder `DIR` instead, which must be yours alone; made if it is new")
}

// validate completes both: an address that is loopback in figures, and an absolute folder.
func (o *tunnelListenOptions) validate(c *call) error {
	if o.socket != "" || c.set.Changed("socket") {
		return o.validateSocket(c)
	}
	host, port, err := net.SplitHostPort(o.listen)
	if host == "localhost" {
		host = "127.0.0.1" // whatever the machine's resolver takes it for
	}
	address, addressErr := netip.ParseAddr(host)
	if err == nil && (host == "" || addressErr == nil && !address.Unmap().IsLoopback()) {
		return usagef("gprxy tunnel --listen 127.0.0.1:"+first(port, tunnelPort),
			"--listen %s is open to other machines: whoever reached it would be you, without a password", o.listen)
	}
	full, fullErr := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || addressErr != nil || fullErr != nil {
		return wrongValue("listen", o.listen, "--listen with an address of this machine, such as "+tunnelListen+" or [::1]:"+tunnelPort)
	}
	o.listen = full.String()
	return nil
}

func (o *tunnelListenOptions) validateSocket(c *call) error {
	switch {
	case c.set.Changed("listen"):
		return usagef("one of the two", "--listen and --socket exclude each other")
	case o.socket == "":
		return usagef("gprxy tunnel --socket "+filepath.Join(first(c.home(), "/run/me"), ".gprxy", "tunnel"), "--socket is empty")
	}
	if rest, tilde := strings.CutPrefix(o.socket, "~/"); tilde && c.home() != "" { // no shell expands --socket=~/...
		o.socket = filepath.Join(c.home(), rest)
	}
	if !filepath.IsAbs(o.socket) {
		o.socket = filepath.Join(c.Dir, o.socket)
	}
	if path := filepath.Join(o.socket, socketName); len(path) > maxSocketPath {
		return usagef("--socket with a shorter path", "--socket: %s is longer than a socket's path may be (%d bytes)", path, maxSocketPath)
	}
	return nil
}

// tunnelListener is an open listener. Its owner closes it.
type tunnelListener struct {
	net.Listener
	dir, socket string   // folder and path of a Unix socket, else ""
	lock        *os.File // on the folder
}

func (o *tunnelListenOptions) open(ctx context.Context) (*tunnelListener, error) {
	if o.socket != "" {
		return openSocket(ctx, o.socket)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use, perhaps by another tunnel: stop it, or choose another port with --listen: %w", o.listen, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (--listen): %w", o.listen, err)
	}
	return &tunnelListener{Listener: l}, nil
}

// openSocket makes the socket in a folder that nobody else can enter. That protects it from the first
// moment on; the mode of the socket itself is there in case the folder is opened up later.
func openSocket(ctx context.Context, dir string) (*tunnelListener, error) {
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	d := &tunnelListener{dir: dir, socket: filepath.Join(dir, socketName)}
	var err error
	if d.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err = d.removeStale(ctx); err == nil {
		d.Listener, err = new(net.ListenConfig).Listen(ctx, "unix", d.socket)
	}
	if err == nil {
		err = os.Chmod(d.socket, 0o600)
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("listen on %s (--socket): %w", d.socket, err)
	}
	return d, nil
}

// close also removes the socket.
func (d *tunnelListener) close() {
	if d.Listener != nil {
		d.Listener.Close() // closed already when it was served
	}
	if d.lock != nil {
		d.lock.Close()
	}
}

// ownFolder makes dir, or checks that it is this user's alone.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for the socket (--socket): %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder for the socket (--socket): %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user, who could put a socket of their own there: name a folder of yours with --socket", dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("other users can get into %s (mode %04o): name a new folder with --socket, or run: chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// lockFolder keeps a second tunnel out for as long as the file is open.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, socketLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder for the socket (--socket): %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another tunnel serves %s: stop it, or name another folder with --socket", dir)
		}
		return nil, fmt.Errorf("lock the folder for the socket (--socket): %w", err)
	}
	return f, nil
}

// removeStale removes the socket that a killed tunnel left behind, and nothing that somebody serves.
func (d *tunnelListener) removeStale(ctx context.Context) error {
	info, err := os.Lstat(d.socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file of that name: remove it, or name another folder")
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", d.socket); err == nil {
		conn.Close()
		return errors.New("another program serves it, perhaps PostgreSQL: name another folder")
	}
	return os.Remove(d.socket)
}
