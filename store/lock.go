// One proxy per file: a lock file that names its owner, and another for the one that is ending.

package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

const (
	ownerSuffix = ".lock"
	// leavingSuffix is the lock of a proxy that lets its last sessions finish, while the next has the log already.
	leavingSuffix = ".leaving"
)

// Files are the names of all files that the event log at path may consist of.
func Files(path string) []string {
	files := []string{path}
	for _, suffix := range []string{"-wal", "-shm", ownerSuffix, leavingSuffix} {
		files = append(files, path+suffix)
	}
	return append(files, KeyPath(path))
}

// fileLock is held for as long as its file is open.
type fileLock struct {
	name string // of the locked file
	file *os.File
}

// takeLock locks the file beside the event log, or gives a LockedError with the owner's process id. The file
// stays behind when the lock is released: removing it would let two owners hold two different files.
func takeLock(path, suffix string) (*fileLock, error) {
	l := &fileLock{name: path + suffix}
	f, err := os.OpenFile(l.name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the event log's lock file: %w", err)
	}
	taken, err := lockExclusive(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the event log: %w", err)
	}
	if !taken {
		defer f.Close()
		return nil, &LockedError{Path: path, PID: owner(f), Leaving: suffix == leavingSuffix}
	}
	// The id is for the message above only: a full disk must not stop the proxy here.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	l.file = f
	return l, nil
}

// Running reports whether a proxy has the log at path, or lets its last sessions finish. known is false where that cannot
// be told: whoever may read the log need not be allowed to read the locks beside it.
func Running(path string) (running, known bool) {
	for _, suffix := range []string{ownerSuffix, leavingSuffix} {
		f, err := os.Open(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nobody has taken it ever
		}
		if err != nil {
			return false, false
		}
		running, err := isLocked(f)
		f.Close() // gives up what was shared
		if err != nil || running {
			return running, err == nil
		}
	}
	return false, true
}

func owner(f *os.File) int {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// inPlace reports whether the locked file is still the one at its path.
func (l *fileLock) inPlace() bool {
	held, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.name)
	return err == nil && os.SameFile(held, there)
}

func (l *fileLock) release() error { return l.file.Close() }
