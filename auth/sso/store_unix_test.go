//go:build unix

// What else can stand at the file's path.

package sso_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gprxy/auth/sso"
)

func TestFileThatIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(path string) error
		says string
	}{
		"folder":        {func(path string) error { return os.Mkdir(path, 0o700) }, "not a plain file"},
		"pipe":          {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a plain file"},
		"symbolic link": {func(path string) error { return os.Symlink("/etc/passwd", path) }, "plain file of your own"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			if err := os.Mkdir(filepath.Dir(s.Path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := test.put(s.Path); err != nil {
				t.Skip(err)
			}
			_, err := s.All(t.Context()) // and does not hang
			requireError[*sso.FileError](t, err, []string{s.Path, test.says})
		})
	}
}
