//go:build unix

// The one-proxy-per-file lock, on systems with flock(2).

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockExclusive takes the lock without waiting; the kernel gives it up with the process.
func lockExclusive(f *os.File) (taken bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// isLocked tells whether somebody holds the lock, by sharing it for a moment. Who wants it just then tries again, as it
// does where the one before is about to end.
func isLocked(f *os.File) (locked bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
