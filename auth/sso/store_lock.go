// One change to the file at a time, over all processes.

package sso

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	lockLimit = time.Minute           // longer than a refresh at a slow issuer takes
	lockRetry = 20 * time.Millisecond // flock(2) waits for ever or not at all
)

// lock is held for as long as its file is open; the kernel gives it up with the
// process. The file stays: removing it would let two owners hold two different files.
type lock struct {
	file *os.File
}

// takeLock waits for the lock of the file at path, no longer than ctx and lockLimit.
func takeLock(ctx context.Context, path string) (*lock, error) {
	if err := ensureFolder(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	if err := waitForLock(ctx, f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return &lock{f}, nil
}

func waitForLock(ctx context.Context, f *os.File) error {
	limit := time.NewTimer(lockLimit)
	defer limit.Stop()
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		taken, err := lockExclusive(f)
		if err != nil {
			return &FileError{Path: f.Name(), What: "cannot be locked", Fix: "put the folder on a disk of this machine", Err: err}
		}
		if taken {
			return nil
		}
		select {
		case <-retry.C:
		case <-limit.C:
			return &BusyError{Path: f.Name()}
		case <-ctx.Done():
			return fmt.Errorf("wait for another gprxy to let go of %s: %w", f.Name(), context.Cause(ctx))
		}
	}
}

func (l *lock) release() { _ = l.file.Close() } // nothing was written
