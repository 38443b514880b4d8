// Lines that a person types: editing, history, Ctrl-C, Ctrl-D.

package prompt

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

const keyInterrupt = 3 // Ctrl-C as a key

// keyboard reads from a terminal. It is in raw mode only while a line is typed: while a statement runs,
// Ctrl-C is a signal again.
type keyboard struct {
	in      *input
	out     io.Writer
	file    *os.File // the terminal of both
	history *history
	editor  *term.Terminal
	prompt  func(sign byte) string
}

func (k *keyboard) newEditor() {
	k.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k.in, k.out}, "")
	k.editor.History = k.history
}

func (k *keyboard) next(sign byte) (string, error) {
	return k.read(k.prompt(sign))
}

func (k *keyboard) data() ([]byte, error) {
	line, err := k.read(">> ")
	if err != nil || isEndOfData(line) {
		if err == nil {
			err = io.EOF
		}
		return nil, err
	}
	return []byte(line + "\n"), nil
}

func (k *keyboard) read(prompt string) (string, error) {
	if k.editor == nil {
		k.newEditor()
	}
	fd := int(k.file.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("switch the terminal to typing: %w", err)
	}
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = k.editor.SetSize(width, height) // writes nothing that could fail before a line is begun
	}
	k.editor.SetPrompt(prompt)
	k.in.raw = true
	line, err := k.editor.ReadLine()
	k.in.raw = false
	if restored := term.Restore(fd, before); restored != nil && err == nil {
		err = fmt.Errorf("switch the terminal back: %w", restored)
	}
	if err == nil {
		return line, nil
	}
	k.editor = nil // holds the line that was given up
	if k.in.interrupted {
		k.in.interrupted = false
		fmt.Fprintln(k.out, "^C")
		return "", errInterrupted
	}
	fmt.Fprintln(k.out)
	return "", err
}
