// Long results on a terminal go through a pager, as in psql.

package prompt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// page is where a result goes that may be longer than the screen. It holds what fits; beyond that it starts the pager.
type page struct {
	prompt  *prompt
	columns int // of the screen
	room    int // lines of it that are left
	held    bytes.Buffer
	pager   *exec.Cmd      // nil until it is started
	into    io.WriteCloser // of the pager
	broken  error          // of the output, where there is no pager
}

// paged calls print with a writer for a result. Only where a person sits at the terminal can that be a page.
func (p *prompt) paged(print func(*bufio.Writer) error) error {
	page := p.newPage()
	if page == nil {
		return print(p.out)
	}
	out := bufio.NewWriterSize(page, 32<<10)
	err := print(out)
	return errors.Join(err, page.finish(out))
}

// finish shows what is left in out, which writes to the page, and waits until the person has left the pager.
func (g *page) finish(out *bufio.Writer) error { return errors.Join(out.Flush(), g.close()) }

// newPage returns nil where nothing is paged.
func (p *prompt) newPage() *page {
	if p.Terminal == nil || p.Pager == "" {
		return nil
	}
	columns, lines, err := term.GetSize(int(p.Terminal.Fd()))
	if err != nil || columns <= 0 || lines <= 0 {
		return nil
	}
	return &page{prompt: p, columns: columns, room: lines - 1} // the prompt needs a line, too
}

func (g *page) Write(b []byte) (int, error) {
	switch {
	case g.pager != nil:
		_, _ = g.into.Write(b) // whoever has left the pager wants no more of it
		return len(b), nil
	case g.broken != nil:
		return g.prompt.out.Write(b)
	}
	for line := range bytes.Lines(b) {
		g.room -= 1 + max(0, width(string(bytes.TrimRight(line, "\n")))-1)/g.columns
	}
	g.held.Write(b)
	if g.room >= 0 {
		return len(b), nil
	}
	g.start()
	return len(b), g.release()
}

// start starts the pager on the terminal. If it cannot be started the result is printed without.
func (g *page) start() {
	if g.broken = g.prompt.out.Flush(); g.broken != nil { // what was printed before stands before
		return
	}
	cmd := shell(g.prompt.ctx, g.prompt.Pager)
	cmd.Cancel = func() error { // so that it leaves the terminal as it found it
		if cmd.Process.Signal(syscall.SIGTERM) == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
	cmd.Stdout, cmd.Stderr = g.prompt.Out, g.prompt.Terminal
	if g.into, g.broken = cmd.StdinPipe(); g.broken != nil {
		return
	}
	if g.broken = cmd.Start(); g.broken == nil {
		g.pager = cmd
	}
}

// release passes on what was held.
func (g *page) release() error {
	if g.pager != nil {
		_, _ = g.into.Write(g.held.Bytes())
		g.held = bytes.Buffer{}
		return nil
	}
	_, err := g.held.WriteTo(g.prompt.out)
	return err
}

func (g *page) close() error {
	if g.pager == nil {
		return g.release()
	}
	_ = g.into.Close()
	_ = g.pager.Wait() // its exit code says how it was left
	return nil
}

func shell(ctx context.Context, command string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.CommandContext(ctx, "cmd", "/c", command)
	}
	return exec.CommandContext(ctx, "/bin/sh", "-c", command)
}
