// Asking on the terminal for the address that a browser elsewhere ended at.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"gprxy/cmd/terminal"

	"golang.org/x/term"
)

// A pasted line may be longer than a terminal takes for one by itself (4 kB on Linux, 1 kB on macOS), and it holds a code that
// must not stay in the terminal's history. So the terminal's own editing and echo are off while it is read.
const maxTyped = 64 << 10 // bytes of a line; sso refuses shorter ones by itself

const (
	keyCtrlC     = 3
	keyCtrlD     = 4
	keyCtrlU     = 21
	keyEscape    = 27
	keyBackspace = 127
)

// pasteDesk reads lines from a terminal. One goroutine reads it for as long as the process lives: a read of a terminal cannot be
// called off, and a login is the last thing that the process does.
type pasteDesk struct {
	c        *call
	terminal *os.File
	keys     chan byte // closed at the end of the input; nil before the first question
}

// newPasteDesk is nil where nobody sits at a terminal.
func newPasteDesk(c *call) *pasteDesk {
	terminal, ok := c.In.(*os.File)
	if !ok || c.ErrWidth == 0 || !term.IsTerminal(int(terminal.Fd())) {
		return nil
	}
	return &pasteDesk{c: c, terminal: terminal}
}

// ask is sso.Config's Paste.
func (d *pasteDesk) ask(ctx context.Context, problem string) (string, error) {
	if d.keys == nil {
		d.keys = make(chan byte, 1024)
		go d.read()
	}
	before, err := term.MakeRaw(int(d.terminal.Fd()))
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	defer func() {
		_ = term.Restore(int(d.terminal.Fd()), before) // what is wrong with the terminal shows by itself
		fmt.Fprintln(d.c.Err)
	}()
	if problem != "" {
		fmt.Fprintf(d.c.Err, "%s\r\n", terminal.Printable(problem))
	}
	fmt.Fprint(d.c.Err, "Address (it is not shown): ")
	return d.line(ctx)
}

func (d *pasteDesk) read() {
	defer close(d.keys)
	buffer := make([]byte, 4096)
	for {
		n, err := d.terminal.Read(buffer)
		for _, key := range buffer[:n] {
			d.keys <- key
		}
		if err != nil {
			return
		}
	}
}

var errNoMoreInput = errors.New("the terminal gives no more input")

// line reads up to Enter. Escape sequences, such as those around what is pasted, count for nothing.
func (d *pasteDesk) line(ctx context.Context) (string, error) {
	var typed []byte
	for escape := false; ; {
		var key byte
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case k, more := <-d.keys:
			if !more {
				return "", errNoMoreInput
			}
			key = k
		}
		switch {
		case escape: // ESC [ parameters, and a letter or ~
			escape = key == '[' || key >= '0' && key <= '?'
		case key == keyEscape:
			escape = true
		case key == '\r' || key == '\n':
			if len(typed) > 0 {
				return string(typed), nil
			}
		case key == keyCtrlC:
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT) // as the terminal would, if it looked at keys now
		case key == keyCtrlD && len(typed) == 0:
			return "", errNoMoreInput
		case key == keyCtrlU:
			typed = typed[:0]
		case key == keyBackspace || key == '\b':
			typed = typed[:max(0, len(typed)-1)]
		case key >= ' ' && len(typed) < maxTyped:
			typed = append(typed, key)
		}
	}
}
