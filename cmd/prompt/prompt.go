// The prompt's life: connect, take lines, do what they say, until the end of the input.

package prompt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The exit codes, which are psql's.
const (
	Done           = 0
	ConnectionLost = 2
	ScriptFailed   = 3
)

// Config is what a prompt works with.
type Config struct {
	In       io.Reader // statements
	Out, Err io.Writer // results; errors and notices
	Terminal *os.File  // where a person types, if In and Out are it; nil: In is a script
	History  string    // file of the lines typed, made if need be; "" for none
	Pager    string    // shell command that long results go through on a Terminal; "" for none

	// Connect logs in to a database; "" is the one the prompt begins with. It calls prepare with the
	// configuration before it connects. Its errors are shown as they are.
	Connect func(ctx context.Context, database string, prepare func(*pgconn.Config)) (*pgconn.PgConn, error)

	// Interrupts carries Ctrl-C while a statement runs: it is cancelled. nil: only the end of ctx does that.
	Interrupts <-chan os.Signal
}

// Run works until the input ends, \q, the end of ctx, or, for a script, the first error. It returns the
// exit code; the error, if any, is for the caller to show: a first login that failed, an input or output
// that broke, or ctx's own. The server's errors were shown.
func Run(ctx context.Context, c Config) (int, error) {
	c.Err = &lockedWriter{to: c.Err}
	p := &prompt{Config: c, ctx: ctx, split: &splitter{}, out: bufio.NewWriterSize(c.Out, 32<<10)}
	defer p.close(ctx)
	if err := p.connect(ctx, ""); err != nil {
		return ConnectionLost, err
	}
	in := newInput(ctx, c.In)
	defer in.close()
	p.open(in)
	err := p.loop(ctx)
	if flushed := p.out.Flush(); err == nil || errors.Is(err, errQuit) {
		err = flushed
	}
	switch {
	case errors.Is(err, errFailed):
		return ScriptFailed, nil
	case errors.Is(err, errLost):
		return ConnectionLost, nil
	case err != nil:
		return 1, err
	}
	return Done, nil
}

// What ends the work on an item. errFailed and errLost were shown to the person already.
var (
	errFailed = errors.New("failed")
	errLost   = errors.New("connection lost")
	errQuit   = errors.New("quit")
)

type prompt struct {
	Config
	out *bufio.Writer
	ctx context.Context // Run's; its end ends a pager

	conn     *pgconn.PgConn // nil or closed after it was lost
	database string         // of conn
	news     []*pgconn.Notification

	lines    lines
	split    *splitter
	history  *history // nil for a script
	file     string   // that lines come from, for \i; "" for the input itself
	included int      // files that include each other by now
	last     string   // the statement sent last, for \g

	expanded, timing bool
	restricted       string // the key of \restrict, while it holds
}

// interactive reports whether the lines are typed by a person now.
func (p *prompt) interactive() bool { return p.Terminal != nil && p.included == 0 }

func (p *prompt) open(in *input) {
	if p.Terminal == nil {
		p.lines = newScript(in)
		return
	}
	p.history = &history{path: p.History}
	if err := p.history.load(); err != nil {
		p.warn(err)
	}
	p.lines = &keyboard{in: in, out: p.Out, file: p.Terminal, history: p.history, prompt: p.sign}
}

func (p *prompt) warn(err error) { fmt.Fprintf(p.Err, "warning: %s\n", safe(err.Error())) }

// sign is the text before the cursor: database, what is open, and the state of the transaction.
func (p *prompt) sign(state byte) string {
	if p.conn == nil || p.conn.IsClosed() {
		return "!> "
	}
	transaction := map[byte]string{'T': "*", 'E': "!"}[p.conn.TxStatus()]
	return fmt.Sprintf("%s%c%s> ", safe(p.database), state, transaction)
}

// connect replaces the connection, once the new one is there.
func (p *prompt) connect(ctx context.Context, database string) error {
	conn, err := p.Connect(ctx, database, func(config *pgconn.Config) {
		config.RuntimeParams["client_encoding"] = "UTF8"
		if config.RuntimeParams["application_name"] == "" {
			config.RuntimeParams["application_name"] = "gprxy"
		}
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { p.notice((*pgconn.PgError)(n)) }
		config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { p.news = append(p.news, n) }
		database = config.Database
	})
	if err != nil {
		return err
	}
	p.close(ctx)
	p.conn, p.database = conn, database
	return nil
}

const closeTimeout = 2 * time.Second

// close says goodbye to the server, if it is still there.
func (p *prompt) close(ctx context.Context) {
	if p.conn == nil {
		return
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	_ = p.conn.Close(ctx) // there is nobody left to tell
	p.conn = nil
}

func (p *prompt) loop(ctx context.Context) error {
	for {
		p.split.backslashes = p.conn != nil && p.conn.ParameterStatus("standard_conforming_strings") == "off"
		line, err := p.lines.next(p.split.sign())
		switch {
		case errors.Is(err, errInterrupted):
			p.split.reset()
			p.remember()
			continue
		case errors.Is(err, io.EOF):
			return p.end(ctx)
		case err != nil:
			return err
		}
		if err := p.line(ctx, line); err != nil {
			return err
		}
	}
}

// line does what a line completes. In a script the first failure ends it.
func (p *prompt) line(ctx context.Context, line string) error {
	if p.split.text.Len()+len(line) > maxStatement {
		return errTooLong
	}
	if p.interactive() {
		if done, err := p.word(line); done || err != nil {
			return err
		}
	}
	for item := range p.split.line(line) {
		if err := p.settle(p.do(ctx, item), item); err != nil {
			return err
		}
	}
	if p.split.sign() == '=' {
		p.remember()
	}
	return p.out.Flush()
}

// end carries out a script's last statement, which needs no semicolon.
func (p *prompt) end(ctx context.Context) error {
	last, ok := p.split.flush()
	p.remember()
	if !ok || p.interactive() {
		return nil
	}
	return p.settle(p.do(ctx, last), last)
}

func (p *prompt) do(ctx context.Context, i item) error {
	if i.sql == "" {
		return p.command(ctx, i.command)
	}
	return p.query(ctx, i.sql)
}

// settle decides whether an item that went wrong ends the prompt.
func (p *prompt) settle(err error, i item) error {
	failed := errors.Is(err, errFailed) || errors.Is(err, errLost)
	switch {
	case !failed:
		return err
	case !p.interactive():
		if flushed := p.out.Flush(); flushed != nil {
			return flushed
		}
		where := "the script"
		if p.file != "" {
			where = safe(p.file)
		}
		fmt.Fprintf(p.Err, "stopped at line %d of %s\n", i.line, where)
		return err
	case p.conn == nil:
		fmt.Fprintln(p.Err, "The connection was lost; the next statement connects again.")
	}
	return nil
}

// remember keeps the lines typed for the statement that is over.
func (p *prompt) remember() {
	if p.history == nil {
		return
	}
	if err := p.history.settle(); err != nil {
		p.warn(err)
		p.history.path = "" // told once
	}
}
