// Installations take turns: a package manager serves one caller at a time, and go test runs several packages at once.
package pooltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// takeTurn waits until no other installation of this user runs, in this process or another. The caller must call done.
func takeTurn(ctx context.Context) (done func(), err error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("gprxy-pooltest-%d.lock", os.Geteuid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("waiting for the turn to install: %w", err)
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil // which unlocks it; the file stays for the next
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("waiting for the turn to install: %w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for the turn to install: %w", ctx.Err())
		}
	}
}
