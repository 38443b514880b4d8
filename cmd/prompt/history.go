// The lines typed before: in memory and in a file that only its owner can read.

package prompt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

const (
	historyKept  = 1000      // lines
	historyRead  = 256 << 10 // bytes of the file's end
	historyLimit = 1 << 20   // bytes; a larger file is cut to what was read
)

// history implements term.History. Lines of one statement are kept or left out together.
type history struct {
	path  string   // "" for memory only
	lines []string // oldest first
	begun int      // lines[begun:] are of the statement that is being typed
}

// Add is called by the line editor with each line.
func (h *history) Add(line string) {
	if strings.TrimSpace(line) != "" {
		h.lines = append(h.lines, line)
	}
}

// Len is the number of lines.
func (h *history) Len() int { return len(h.lines) }

// At returns a line; 0 is the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

// settle ends a statement: its lines go to the file, or are forgotten if they may hold a password.
func (h *history) settle() error {
	typed := h.lines[h.begun:]
	if hasPassword(strings.Join(typed, "\n")) {
		h.lines, typed = h.lines[:h.begun], nil
	}
	if len(h.lines) > historyKept {
		h.lines = append([]string(nil), h.lines[len(h.lines)-historyKept:]...)
	}
	h.begun = len(h.lines)
	if h.path == "" || len(typed) == 0 {
		return nil
	}
	f, err := h.open(os.O_APPEND | os.O_CREATE | os.O_WRONLY)
	if err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	_, err = f.WriteString(strings.Join(typed, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

// hasPassword is on the safe side: a column of that name costs a line of history.
func hasPassword(statement string) bool {
	return strings.Contains(strings.ToLower(statement), "passw")
}

// load reads the end of the file. A file that is not there is no error.
func (h *history) load() error {
	if h.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the history: %w", err)
	}
	f, err := h.open(os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(max(0, size-historyRead), io.SeekStart)
	}
	content, err2 := io.ReadAll(io.LimitReader(f, historyRead))
	if err = errors.Join(err, err2); err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	h.take(string(content), size > historyRead)
	if size > historyLimit {
		return h.rewrite()
	}
	return nil
}

// take fills lines from the file's text. What a terminal could obey was not typed here.
func (h *history) take(content string, cut bool) {
	list := strings.Split(content, "\n")
	if cut {
		list = list[1:] // the rest of a line
	}
	for _, line := range list {
		if !strings.ContainsFunc(line, unicode.IsControl) {
			h.Add(line)
		}
	}
	h.lines = h.lines[max(0, len(h.lines)-historyKept):]
	h.begun = len(h.lines)
}

// rewrite replaces the file by what is in memory.
func (h *history) rewrite() error {
	f, err := os.CreateTemp(filepath.Dir(h.path), "history-*") // made with 0600
	if err != nil {
		return fmt.Errorf("shorten the history: %w", err)
	}
	_, err = f.WriteString(strings.Join(h.lines, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), h.path)
	}
	if err != nil {
		return fmt.Errorf("shorten the history: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// open opens the file and makes it its owner's alone.
func (h *history) open(flags int) (*os.File, error) {
	f, err := os.OpenFile(h.path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
