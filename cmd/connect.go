// gprxy connect: an SQL session with the company login, in psql or the built-in prompt.

package cmd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gprxy/cmd/settings"

	"github.com/spf13/pflag"
)

func connectCommand() command {
	return command{
		name:    "connect",
		summary: "an SQL session, in psql or a built-in prompt",
		about: "Runs psql if it is installed, else a built-in prompt. What stands after -- goes to psql: gprxy connect -s HOST -d DB -- -c " +
			"'select 1'. Input that is no terminal is run as a script; the built-in prompt stops at its first error.\n" +
			"Exit codes are psql's: 1 its own failure, 2 no connection or a lost one, 3 a script that failed. Wrong usage is 2, nobody logged in 1.",
		examples: []example{
			{"gprxy connect -s proxy.example.com -d app", "over TLS that is verified, as whoever gprxy login logged in"},
			{"gprxy connect -d app -U app_reader", "where PROXY_URL says, with one of several accounts you may use"},
			{"gprxy connect -s localhost:7777 -d app --no-psql", "the built-in prompt"},
		},
		options: func() options { return &connectOptions{} },
	}
}

type connectOptions struct {
	targetOptions
	noPsql bool
	args   []string // for psql

	sso    *ssoSettings
	target target
	psql   string // path; "" for the built-in prompt
}

func (o *connectOptions) flags(fs *pflag.FlagSet) {
	o.targetOptions.flags(fs)
	fs.BoolVar(&o.noPsql, "no-psql", false, "the built-in prompt even if psql is installed")
	settings.AddPersonFlags(fs, settings.WhichLogin...)
}

// takeArguments is given what stands after --.
func (o *connectOptions) takeArguments(words []string) { o.args = words }

func (o *connectOptions) validate(c *call) (err error) {
	if o.sso, err = loadSSO(c); err != nil {
		return err
	}
	if o.target, err = o.targetOptions.target(c, o.sso.proxyURL); err != nil {
		return err
	}
	if err := o.checkOrigin(c, o.sso, o.target); err != nil {
		return err
	}
	if o.target.known != nil {
		o.target.known.tell = c.note
	}
	if risk := o.target.strangersMayListen(); risk != "" {
		c.warn(risk)
	}
	if !o.noPsql {
		o.psql = c.lookPath("psql")
	}
	if o.psql == "" && len(o.args) > 0 {
		return usagef("gprxy connect without what stands after --, or install psql", "what stands after -- is for psql, which is not used here")
	}
	return nil
}

func (o *connectOptions) run(ctx context.Context, c *call) error {
	tokens, err := o.sso.tokens(ctx)
	if err != nil {
		return err
	}
	if o.psql != "" {
		return o.runPsql(ctx, c, tokens)
	}
	return o.runPrompt(ctx, c)
}

// exitCode is a failure that was told already; the process ends with it.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// startupUser is the user that is sent along: an account that is asked for, or the person for the log.
func (t target) startupUser(person string) string {
	switch {
	case t.account != "":
		return t.account
	case person != "" && !strings.ContainsRune(person, 0):
		return person
	}
	return "token"
}

// outliveSignals returns a ctx that a signal does not end: Ctrl-C is for psql or the statement. It ends
// with ctx if the caller ends that for another reason.
func outliveSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !endedBySignal(ctx) {
			cancel()
		}
	})
	return own, func() { stop(); cancel() }
}

// endedBySignal tells by the cause that signal.NotifyContext gives: it has a type of its own, though it
// passes for context.Canceled with errors.Is.
func endedBySignal(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause != nil && cause != context.Canceled && cause != context.DeadlineExceeded
}

// bare is the writer below Run's own, which a child process can be handed if it is a file.
func bare(w io.Writer) io.Writer {
	if s, ok := w.(*stickyWriter); ok {
		return s.to
	}
	return w
}
