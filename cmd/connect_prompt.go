// The built-in prompt, given a token for each connection it makes.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/term"

	"gprxy/cmd/prompt"
	"gprxy/cmd/terminal"
)

const promptLoginTimeout = 90 * time.Second // longer than gprxy's own LOGIN_TIMEOUT by default

// runPrompt returns the prompt's exit code as an exitCode.
func (o *connectOptions) runPrompt(ctx context.Context, c *call) error {
	config := prompt.Config{In: c.In, Out: c.Out, Err: c.Err, Connect: o.login}
	if terminal, ok := c.In.(*os.File); ok && c.OutWidth > 0 && term.IsTerminal(int(terminal.Fd())) {
		own, done := outliveSignals(ctx)
		defer done()
		ctx = own
		config.Terminal = terminal
		config.Pager = c.pager()
		config.History = filepath.Join(c.home(), ".gprxy", "history")
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		defer signal.Stop(interrupts)
		config.Interrupts = interrupts
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		c.note(`gprxy's own prompt, database %s at %s. \? helps, \q ends.`, o.target.database, o.target.address())
	}
	code, err := prompt.Run(ctx, config)
	var refused *loginError
	switch {
	case errors.As(err, &refused):
		fmt.Fprintf(c.Err, "gprxy: %s\n", terminal.PrintableLines(refused.Error()))
	case err != nil || code == prompt.Done:
		return err
	}
	return exitCode(code)
}

// pager is the shell command for long results: psql's own setting, that of the machine, or what there is. One that is set and
// blank means none, as for psql.
func (e Environment) pager() string {
	for _, name := range []string{"PSQL_PAGER", "PAGER"} {
		for _, line := range e.Variables {
			if n, value, _ := strings.Cut(line, "="); n == name {
				return strings.TrimSpace(value)
			}
		}
	}
	for _, name := range []string{"less", "more"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}

// loginError is a login at gprxy that failed, in words for the person.
type loginError struct{ err error }

func (e *loginError) Error() string { return e.err.Error() }

func (e *loginError) Unwrap() error { return e.err }

// login is the prompt's way to gprxy. A token may have expired since the last time: each login gets one
// that holds.
func (o *connectOptions) login(ctx context.Context, database string, prepare func(*pgconn.Config)) (*pgconn.PgConn, error) {
	tokens, err := o.sso.tokens(ctx)
	if err != nil {
		return nil, &loginError{err}
	}
	t := o.target
	t.database = first(database, t.database)
	config, err := t.config()
	if err != nil {
		return nil, &loginError{err}
	}
	config.User, config.Password = t.startupUser(tokens.User), tokens.Password().Reveal()
	prepare(config)
	ctx, done := context.WithTimeout(ctx, promptLoginTimeout)
	defer done()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, &loginError{t.explain(err)}
	}
	return conn, nil
}

// config is everything but who and with what. The fixed text names all that libpq's variables could
// redirect; nothing from outside is parsed as a connection string.
func (t target) config() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig("host=localhost port=5432 user=nobody password=none dbname=none sslmode=disable " +
		"target_session_attrs=any")
	if err != nil {
		return nil, errors.New("the PG* variables of this shell cannot be understood; unset PGSERVICE and the like")
	}
	config.ChannelBinding, config.RequireAuth, config.SSLNegotiation = "prefer", "", "postgres"
	port, err := strconv.ParseUint(t.port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port %q is none", t.port)
	}
	config.Host, config.Port, config.Database = t.host, uint16(port), t.database
	if config.TLSConfig, err = t.tlsConfig(); err != nil {
		return nil, err
	}
	config.Fallbacks = nil
	if t.isUnix() {
		config.DialFunc = t.dial
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	}
	if t.orPlain() {
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: t.host, Port: uint16(port)}}
	}
	return config, nil
}
