// \copy: COPY with the data in a file of this machine.

package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

const copyForm = `\copy takes: TABLE [(COLUMNS)] or (QUERY), then from or to, a file, stdin or stdout, then options; quote a file as 'a b'`

// copyCommand is what \copy says.
type copyCommand struct {
	statement string // for the server: from stdin, or to stdout
	in        bool
	file      string // "" for the prompt's own input and output
}

// parseCopy looks for the from or to that is not in brackets or quotes. What stands before it and behind the file is SQL, and
// for the server to judge.
func parseCopy(text string) (copyCommand, bool) {
	at, word := copyDirection(text)
	if at < 0 || strings.TrimSpace(text[:at]) == "" {
		return copyCommand{}, false
	}
	what, behind := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+len(word):])
	c := copyCommand{in: word == "from"}
	name, options, ok := fileWord(behind)
	if !ok {
		return copyCommand{}, false
	}
	c.file = name
	switch strings.ToLower(name) {
	case "program":
		return copyCommand{}, false
	case "stdin", "pstdin", "stdout", "pstdout":
		if c.in != strings.HasSuffix(strings.ToLower(name), "in") {
			return copyCommand{}, false
		}
		if !strings.HasPrefix(behind, "'") {
			c.file = ""
		}
	}
	c.statement = "COPY " + what + map[bool]string{true: " FROM STDIN ", false: " TO STDOUT "}[c.in] + strings.TrimSpace(options)
	return c, true
}

// copyDirection finds from or to as a word of its own, outside of quotes and brackets, and returns it in lower case.
func copyDirection(text string) (at int, word string) {
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return -1, ""
			}
			i += end + 2
		case isWordStart(c):
			n := wordEnd(text[i:])
			word := strings.ToLower(text[i : i+n])
			if depth == 0 && (word == "from" || word == "to") {
				return i, word
			}
			i += n
		case c == '(':
			depth++
			i++
		case c == ')':
			depth--
			i++
		default:
			i++
		}
	}
	return -1, ""
}

// copyFile is \copy.
func (p *prompt) copyFile(ctx context.Context, rest string) error {
	c, ok := parseCopy(rest)
	if !ok {
		return p.refuse(copyForm)
	}
	if strings.IndexByte(c.statement, 0) >= 0 {
		return p.refuse("a statement holds a NUL byte")
	}
	e := &exchange{prompt: p, sql: c.statement}
	if c.file != "" && c.in {
		f, err := openFile(c.file)
		if err != nil {
			return p.refuse(err.Error())
		}
		defer f.Close()
		e.from = fileData(f)
	}
	var to *lateFile
	if c.file != "" && !c.in {
		f, err := os.OpenFile(c.file, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return p.refuse(err.Error())
		}
		to = &lateFile{file: f}
		e.to = to
	}
	err := p.exchange(ctx, e)
	if closed := to.close(); closed != nil && err == nil {
		err = p.refuse(closed.Error())
	}
	return err
}

// lateFile is emptied when the server has agreed to send: a query that is refused costs no file its content.
type lateFile struct {
	file   *os.File
	failed error
}

func (l *lateFile) empty() {
	if info, err := l.file.Stat(); err == nil && info.Mode().IsRegular() {
		l.failed = l.file.Truncate(0)
	}
}

// Write keeps its failure: the rest of the data is taken off the connection all the same.
func (l *lateFile) Write(b []byte) (int, error) {
	if l.failed == nil {
		_, l.failed = l.file.Write(b)
	}
	return len(b), nil
}

func (l *lateFile) close() error {
	if l == nil {
		return nil
	}
	if err := errors.Join(l.failed, l.file.Close()); err != nil {
		return fmt.Errorf("the data was not all written: %w", err)
	}
	return nil
}
