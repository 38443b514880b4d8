// \i: the statements and commands of a file.

package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const maxIncluded = 32 // files that include each other

// include runs a file as psql's \i does, in a transaction or not, up to its end, its \q, or its first failure.
func (p *prompt) include(ctx context.Context, rest string) error {
	name, ok := fileName(rest)
	if !ok {
		return p.refuse(`\i takes the name of one file`)
	}
	if p.included == maxIncluded {
		return p.refuse(fmt.Sprintf(`more than %d files include each other with \i`, maxIncluded))
	}
	f, err := openFile(name)
	if err != nil {
		return p.refuse(err.Error())
	}
	defer f.Close()
	if err := p.online(ctx); err != nil {
		return err
	}
	in := newInput(ctx, f)
	defer in.close()

	lines, split, within := p.lines, p.split, p.file
	p.lines, p.split, p.file = newScript(in), &splitter{}, name
	p.included++
	err = p.loop(ctx)
	p.lines, p.split, p.file = lines, split, within
	p.included--
	if errors.Is(err, errQuit) {
		return nil
	}
	return err
}

// openFile opens a file for reading; a folder is none.
func openFile(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &os.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fileName is a whole text that names one file: as it is, or in quotes.
func fileName(text string) (string, bool) {
	name, rest, ok := fileWord(text)
	return name, ok && strings.TrimSpace(rest) == ""
}

// fileWord takes a file's name off the front of text: up to a blank, or in '…', in which ” is a quote. ~/ is the home folder.
func fileWord(text string) (name, rest string, ok bool) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "'") {
		end := strings.IndexFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
		if end < 0 {
			end = len(text)
		}
		return atHome(text[:end]), text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '\'':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i+1:], "'"):
			b.WriteByte('\'')
			i++
		default:
			return atHome(b.String()), text[i+1:], b.Len() > 0
		}
	}
	return "", "", false
}

func atHome(name string) string {
	rest, ok := strings.CutPrefix(name, "~/")
	if !ok {
		return name
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return name
	}
	return filepath.Join(home, rest)
}

// fileData gives a file piece by piece, as lines.data does with what is typed.
func fileData(f io.Reader) func() ([]byte, error) {
	buffer := make([]byte, copyFlush)
	return func() ([]byte, error) {
		n, err := f.Read(buffer)
		if n > 0 {
			return buffer[:n], nil // an error comes again with the next call
		}
		return nil, err
	}
}
