// Files that commands write for people.

package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gprxy/store"
)

// writeWhole writes a file that is either complete or not there, readable by its owner alone. What is no
// regular file, such as a pipe, is written to as it is; a link is followed. The event log is left alone.
func writeWhole(path, log string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(path, write)
	case err != nil:
		return fmt.Errorf("write %s: %w", path, err)
	case info.IsDir():
		return fmt.Errorf("write %s: it is a directory: name a file in it", path)
	case !info.Mode().IsRegular():
		return writeTo(path, write)
	}
	for _, file := range store.Files(log) {
		if ours, err := os.Stat(file); err == nil && os.SameFile(info, ours) {
			return fmt.Errorf("write %s: it belongs to the event log: name another file", path)
		}
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replace(target, write)
}

func writeTo(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = write(file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", path, closed)
	}
	return err
}

// replace puts a new file in the place of the one at path.
func replace(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".gprxy-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	err = write(file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", path, closed)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
