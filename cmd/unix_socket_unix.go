//go:build unix

// A Unix socket to listen on, named as PostgreSQL's are, so that psql -h FOLDER finds it.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixSocket owns the socket's file, and the lock that says so.
type unixSocket struct {
	*net.UnixListener
	lock *os.File // nil for an abstract name, which the kernel itself gives to one process only
}

// listenUnix makes the socket at path. What a gprxy that was killed left there is taken away; what somebody
// listens on, or is no socket, stays.
func listenUnix(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	if strings.HasPrefix(path, "@") {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		return &unixSocket{UnixListener: l.(*net.UnixListener)}, nil
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := bindLocked(ctx, path, mode)
	if err != nil {
		return nil, errors.Join(err, unlockSocket(lock))
	}
	return &unixSocket{l, lock}, nil
}

func bindLocked(ctx context.Context, path string, mode os.FileMode) (*net.UnixListener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l.(*net.UnixListener), nil
}

// removeStale takes away a socket that nobody listens on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: remove it", path)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// lockSocket keeps others from taking a socket that is just being made for one that was left behind. The file is
// PostgreSQL's, with the process id in its first line, so that a PostgreSQL of the same port leaves the socket alone, too.
func lockSocket(path string) (*os.File, error) {
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = syscall.EADDRINUSE
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if !sameFile(f, name) { // its last owner removed it just then
			f.Close()
			continue
		}
		if err = f.Truncate(0); err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		if err != nil {
			return nil, errors.Join(err, unlockSocket(f))
		}
		return f, nil
	}
}

func sameFile(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(mine, there)
}

// unlockSocket removes the file while it is still locked: who opened it meanwhile sees that it is gone, and makes another.
func unlockSocket(lock *os.File) error {
	return errors.Join(os.Remove(lock.Name()), lock.Close())
}

// Close removes socket and lock. A second one says net.ErrClosed.
func (l *unixSocket) Close() error {
	if err := l.UnixListener.Close(); err != nil || l.lock == nil {
		return err
	}
	return unlockSocket(l.lock)
}
