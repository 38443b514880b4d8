// The user and the folder of a server: initdb and postgres refuse to run as root.
package pooltest

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const dirPrefix = "gprxy-pg-"

// unprivileged returns the user to run as when the caller is root, else nil: the caller itself.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// makeDir makes the server's folder, entered by its owner alone. The process id in its name tells sweep whose it is.
func makeDir(owner *syscall.Credential) (string, error) {
	root := dataRoot()
	sweep(root)
	dir, err := os.MkdirTemp(root, fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a folder for PostgreSQL: %w", err)
	}
	if err := giveTo(owner, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// dataRoot is where servers keep their data: in memory where there is plenty, for the data is thrown away and its files are many.
func dataRoot() string {
	const memory, plenty = "/dev/shm", 8 << 30
	var free syscall.Statfs_t
	if err := syscall.Statfs(memory, &free); err == nil && free.Bavail*uint64(free.Bsize) >= plenty {
		return memory
	}
	return os.TempDir()
}

// giveTo makes owner the owner of path.
func giveTo(owner *syscall.Credential, path string) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// sweep removes folders whose process is gone and that nobody changed for a while (a fresh one may belong to a
// process of another PID namespace that shares the temporary directory).
func sweep(tmp string) {
	dirs, _ := filepath.Glob(filepath.Join(tmp, dirPrefix+"*")) // the only error is a bad pattern
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		info, statErr := os.Lstat(dir)
		if err != nil || statErr != nil || !info.IsDir() || time.Since(info.ModTime()) < 10*time.Minute {
			continue
		}
		if errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // someone else's leftovers may not be ours to remove
		}
	}
}
