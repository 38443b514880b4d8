// psql as a child that has the terminal, Ctrl-C and the exit code to itself.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

const (
	psqlVersionTimeout = 5 * time.Second
	psqlGrace          = 5 * time.Second  // between SIGTERM and SIGKILL
	psqlLoginTime      = 90 * time.Second // a psql that ends with 2 later than this had logged in
)

// runPsql waits for psql and returns its exit code as an exitCode.
func (o *connectOptions) runPsql(ctx context.Context, c *call, tokens sso.Tokens) error {
	if err := o.meetFirst(ctx); err != nil {
		fmt.Fprintf(c.Err, "gprxy: %s\n", terminal.Printable(err.Error()))
		return exitCode(2) // as psql when there is no connection
	}
	environ, err := o.psqlEnvironment(ctx, c, tokens)
	if err != nil {
		return err
	}
	passfile, err := o.writePassfile(c, tokens)
	if err != nil {
		return err
	}
	defer os.Remove(passfile)
	environ = append(environ, "PGPASSFILE="+passfile)
	child := exec.Command(o.psql, o.psqlArguments(c)...)
	child.Env, child.Dir = environ, c.Dir
	child.Stdin, child.Stdout, child.Stderr = c.In, bare(c.Out), c.Err
	child.WaitDelay = time.Second // for an input that nobody closes
	began := time.Now()
	code, err := o.waitForPsql(ctx, child)
	switch {
	case err != nil:
		return fmt.Errorf("run psql (gprxy connect --no-psql works without): %w", err)
	case code == 0:
		return nil
	case code == 2:
		o.explainPsql(ctx, c, time.Since(began))
	}
	return exitCode(code)
}

// meetFirst looks at a certificate that only gprxy itself can know again, before psql has the token. psql connects right
// afterwards, over TLS. That nobody is there is for psql to tell.
func (o *connectOptions) meetFirst(ctx context.Context) error {
	if o.target.known == nil {
		return nil
	}
	err := o.target.probe(ctx)
	_, changed := errors.AsType[*changedError](err)
	met, broken := o.target.known.met(o.target.address())
	switch {
	case changed:
		return err
	case broken != nil:
		return broken
	case err == nil && len(met) > 0:
		o.target.sslMode = sslRequire // psql must not do without what has just been looked at
	case err != nil && errors.Is(err, errNoTLS):
		return err
	}
	return nil
}

// waitForPsql leaves Ctrl-C and Ctrl-\ to psql, which the terminal sends them to as well, and passes on
// what was meant for gprxy.
func (o *connectOptions) waitForPsql(ctx context.Context, child *exec.Cmd) (int, error) {
	own, done := outliveSignals(ctx)
	defer done()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }() // waited for below
	var kill <-chan time.Time
	told := own.Done()
	for {
		select {
		case err := <-ended:
			return exitStatus(child, err)
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = child.Process.Signal(s) // gone already: Wait tells
			}
		case <-told:
			told, kill = nil, time.After(psqlGrace)
			_ = child.Process.Signal(syscall.SIGTERM)
		case <-kill:
			kill = nil
			_ = child.Process.Kill()
		}
	}
}

// exitStatus is the code a shell would have: 128 and the signal for a child that was killed.
func exitStatus(child *exec.Cmd, err error) (int, error) {
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !errors.Is(err, exec.ErrWaitDelay) {
		return 0, err
	}
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return child.ProcessState.ExitCode(), nil
}

// redirecting are libpq's variables that could lead the token elsewhere, or weaken how it travels.
var redirecting = []string{
	"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE",
	"PGSSLMODE", "PGREQUIRESSL", "PGSSLROOTCERT", "PGSSLNEGOTIATION", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGGSSENCMODE",
	"PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGREQUIREPEER", settings.TokenVariable,
}

// psqlArguments makes a script stop at its first error with exit code 3, as the built-in prompt does. What the
// person says comes later and wins.
func (o *connectOptions) psqlArguments(c *call) []string {
	if f, ok := c.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return o.args
	}
	for _, arg := range o.args {
		for _, own := range []string{"-c", "-f", "--command", "--file"} {
			if strings.HasPrefix(arg, own) {
				return o.args
			}
		}
	}
	return append([]string{"-v", "ON_ERROR_STOP=1"}, o.args...)
}

// writePassfile puts the token where psql looks for it, for this one server: in PGPASSWORD it would go to any server
// that \c names, and in an argument other people of the machine could read it. The caller removes the file.
func (o *connectOptions) writePassfile(c *call, tokens sso.Tokens) (path string, err error) {
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace
	dir := filepath.Join(c.home(), ".gprxy")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for psql's password file: %w", err)
	}
	f, err := os.CreateTemp(dir, "passfile-*") // 0600
	if err != nil {
		return "", fmt.Errorf("write psql's password file: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s:%s:*:*:%s\n", escape(o.target.libpqHost()), o.target.port, escape(tokens.Password().Reveal()))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write psql's password file: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// psqlEnvironment is how psql learns where to go.
func (o *connectOptions) psqlEnvironment(ctx context.Context, c *call, tokens sso.Tokens) ([]string, error) {
	t := o.target
	environ := append(without(c.Variables, redirecting...),
		"PGHOST="+t.libpqHost(), "PGPORT="+t.port, "PGDATABASE="+t.database, "PGUSER="+t.startupUser(tokens.User),
		"PGSSLMODE="+t.sslMode, "PGGSSENCMODE=disable")
	if t.sslMode != sslVerifyCA && t.sslMode != sslVerifyFull {
		return environ, nil
	}
	root := t.rootCert
	if root == rootSystem && (t.sslMode == sslVerifyCA || psqlMajor(ctx, o.psql, c.Variables) < 16) {
		if root = systemBundle(c.variable("SSL_CERT_FILE")); root == "" {
			return nil, errors.New("this psql cannot use the CAs of the machine: name the CA of gprxy's certificate with --sslrootcert FILE, or " +
				"use --no-psql")
		}
	}
	if root != rootSystem && !isFile(root) {
		return nil, fmt.Errorf("there is no file %s: name the CA of gprxy's certificate with --sslrootcert", root)
	}
	return append(environ, "PGSSLROOTCERT="+root), nil
}

// bundles are where systems keep the CAs they trust, for a libpq before 16, which does not look there.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/usr/local/etc/ssl/cert.pem", "/opt/homebrew/etc/ca-certificates/cert.pem",
}

func systemBundle(preferred string) string {
	for _, path := range append([]string{preferred}, bundles...) {
		if path != "" && isFile(path) {
			return path
		}
	}
	return ""
}

var psqlVersion = regexp.MustCompile(`^psql \(PostgreSQL\) (\d{1,3})`)

// psqlMajor is psql's major version, 0 if it does not say.
func psqlMajor(ctx context.Context, psql string, environ []string) int {
	ctx, done := context.WithTimeout(ctx, psqlVersionTimeout)
	defer done()
	ask := exec.CommandContext(ctx, psql, "--version")
	ask.Env = without(environ, settings.TokenVariable)
	said, err := ask.Output()
	m := psqlVersion.FindSubmatch(said)
	if err != nil || m == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(m[1])) // digits, by the pattern
	return major
}

// explainPsql says what psql's own words, which the person has seen, mean here. Only what can be found
// out without another login is looked at: a refused one stands in the log, and one is enough.
func (o *connectOptions) explainPsql(ctx context.Context, c *call, took time.Duration) {
	ctx, done := outliveSignals(ctx)
	defer done()
	if err := o.target.probe(ctx); err != nil {
		fmt.Fprintf(c.Err, "gprxy: %s\n", terminal.Printable(err.Error()))
		return
	}
	if took < psqlLoginTime {
		c.note("gprxy: if psql was refused, gprxy whoami shows who you are and which roles you have; gprxy login gives a fresh token")
	}
}
