// Reading and replacing the file, for its owner alone.

package sso

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxFile = 4 << 20 // bytes; some hundred logins with large tokens

// readLogins returns what the file holds; no file holds nothing. What others
// could have read or written is refused, so that the leak is noticed.
func readLogins(path string) ([]Tokens, error) {
	f, err := openOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &FileError{Path: path, What: "cannot be read", Fix: "make it a plain file of your own", Err: reason(err)}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, &FileError{Path: path, What: "cannot be read", Fix: "make it a plain file of your own", Err: reason(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, &FileError{Path: path, What: "is not a plain file", Fix: "move it away and run gprxy login"}
	}
	if err := checkPrivate(path, info, "600"); err != nil {
		return nil, err
	}
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &FileError{Path: path, What: "cannot be read", Fix: "try again", Err: reason(err)}
	}
	if len(data) > maxFile {
		return nil, &FileError{Path: path, What: fmt.Sprintf("has more than %d bytes", maxFile), Fix: "delete it and run gprxy login"}
	}
	return decodeLogins(path, data)
}

func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("look at the folder of the credentials: %w", err)
	}
	return checkPrivate(folder, info, "700")
}

// checkPrivate refuses what anybody but the user can read or write.
func checkPrivate(path string, info fs.FileInfo, mode string) error {
	if !isOwn(info) {
		return &PermissionError{Path: path, Mode: info.Mode(), Why: "belongs to another user", Fix: "chown \"$USER\" " + quoteShell(path)}
	}
	if isOpen(info) {
		return &PermissionError{Path: path, Mode: info.Mode(), Why: fmt.Sprintf("can be used by other users of this machine (mode %04o)",
			info.Mode().Perm()),
			Fix: "chmod " + mode + " " + quoteShell(path)}
	}
	return nil
}

// quoteShell makes a path fit to be pasted into a command.
func quoteShell(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-~", r)
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// ensureFolder makes the folder, or checks the one that is there.
func ensureFolder(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return &FileError{Path: path, What: "cannot be written", Fix: "make its folder writable for you", Err: reason(err)}
	}
	return checkFolder(folder)
}

// replacement is a new file on its way into the place of the old one. It is made under the
// lock, so there is one at a time; what a killed process left is overwritten.
type replacement struct {
	path string
	file *os.File
}

// replace begins a replacement. commit or discard ends it.
func replace(path string) (*replacement, error) {
	temporary := path + ".tmp"
	err := os.Remove(temporary)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(path, err)
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	return &replacement{path: path, file: f}, nil
}

// commit makes list the file's content. Whoever reads the file, after a crash at any
// moment too, sees all of it or all of what was there before. Without logins the file goes.
func (r *replacement) commit(list []Tokens) error {
	defer r.discard()
	if len(list) == 0 {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unwritable(r.path, err)
		}
		return r.syncFolder()
	}
	data, err := encodeLogins(list)
	if err != nil {
		return fmt.Errorf("write the logins as JSON: %w", err)
	}
	if len(data) > maxFile {
		return &FileError{Path: r.path, What: "is full", Fix: "run gprxy logout for logins that are not needed"}
	}
	if _, err := r.file.Write(data); err != nil {
		return unwritable(r.path, err)
	}
	if err := r.file.Sync(); err != nil {
		return unwritable(r.path, err)
	}
	if err := r.file.Close(); err != nil {
		return unwritable(r.path, err)
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return unwritable(r.path, err)
	}
	return r.syncFolder()
}

func (r *replacement) syncFolder() error {
	if err := syncFolder(filepath.Dir(r.path)); err != nil {
		return unwritable(r.path, err)
	}
	return nil
}

// discard leaves the old file as it is; after commit it does nothing.
func (r *replacement) discard() {
	_ = r.file.Close()           // a second time after commit
	_ = os.Remove(r.file.Name()) // not there after commit
}

func unwritable(path string, err error) error {
	return &FileError{Path: path, What: "cannot be written", Fix: "free space on its disk, or make its folder writable for you",
		Err: reason(err)}
}

// reason is an error of the file system without the path, which the text around it has.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
