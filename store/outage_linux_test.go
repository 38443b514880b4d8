// A disk that is really full, and files that are really closed.

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("gprxy-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	outage(t, filepath.Join(dir, "events.db"), Options{}, func() {}, func() {
		if err := syscall.Mount("gprxy-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEveryFileIsClosed(t *testing.T) {
	path := logPath(t)
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	all(t, r.Events(t.Context(), EventFilter{User: "ann"}))
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{NoteRead(t.Context(), path, LogRead{}), r.Close(), d.Close(t.Context())} {
		if err != nil {
			t.Error(err)
		}
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Fatal("no list of open files")
	}
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, path) {
			t.Errorf("still open: %s", name)
		}
	}
}

// A file system that may only be read keeps the proxy from beginning, with a word on what to do.
func TestReadOnlyFileSystem(t *testing.T) {
	dir := t.TempDir()
	mount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("gprxy-test", dir, "tmpfs", flags, ""); err != nil {
			t.Skipf("needs a file system of its own: %v", err)
		}
	}
	mount(0)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "events.db")
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	mount(syscall.MS_REMOUNT | syscall.MS_RDONLY)
	_, err = Open(t.Context(), path, Options{})
	if _, ok := errors.AsType[*UnavailableError](err); !ok || !strings.Contains(err.Error(), "make") ||
		!strings.Contains(err.Error(), "writable") {
		t.Errorf("open for writing: %v", err)
	}

	mount(syscall.MS_REMOUNT)
	d = open(t, path, Options{})
	mustAppend(t, d, end("s1", t0))
	verified(t, path)
	if err := d.Close(t.Context()); err != nil { // or the file system is in use
		t.Fatal(err)
	}
}
