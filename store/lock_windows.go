// The one-proxy-per-file lock, on Windows.

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockExclusive takes the lock without waiting; Windows gives it up with the process. The locked
// byte lies far behind the content, which stays readable for the one who is refused.
func lockExclusive(f *os.File) (taken bool, err error) {
	far := &windows.Overlapped{OffsetHigh: 1}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, far)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// isLocked tells whether somebody holds the lock, by sharing it for a moment.
func isLocked(f *os.File) (locked bool, err error) {
	far := &windows.Overlapped{OffsetHigh: 1}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, far)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return true, nil
	}
	return false, err
}
