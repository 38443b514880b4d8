// Which file a reader reads.

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LogFile names a file beyond doubt, and says how large it is.
type LogFile struct {
	Path string // absolute, behind all symbolic links
	Size int64
	WAL  int64 // the size of the write-ahead log beside it, which belongs to what is read; 0 if there is none
}

// File gives the file that is read, as it stands there now.
func (r *Reader) File() (f LogFile, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("look at the event log: %w", err)
		}
	}()
	if f.Path, err = filepath.EvalSymlinks(r.path); err != nil {
		return f, err
	}
	if f.Path, err = filepath.Abs(f.Path); err != nil {
		return f, err
	}
	if f.Size, err = fileSize(f.Path); err != nil {
		return f, err
	}
	f.WAL, err = fileSize(f.Path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return f, err
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
