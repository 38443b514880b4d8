// Visits: a person runs psql against gprxy, and what PostgreSQL said is kept to compare it with the record.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// askWho asks PostgreSQL for whom it takes the session.
const askWho = "select * from whoami"

// identity is the answer to askWho.
type identity struct{ account, person, backend string }

// person is somebody who visits.
type person struct {
	name       string // what psql sends as user
	identity   string // who gprxy must find out it is
	secret     string // token or password
	secretName string // the shell variable that stands for it on the screen
}

// visit is one run of psql, one session for gprxy.
type visit struct {
	step   int // in which it happened
	person person
	said   identity // zero: psql could not ask
	output string
	exit   int // psql's exit code; -1: a signal ended it

	refusal string // the reason that must be on record for not letting it in; "": it was to be let in
}

// psqlRun is a psql that runs. wait must be called.
type psqlRun struct {
	demo    *demo
	person  person
	command *exec.Cmd
	output  bytes.Buffer // to be read after wait
}

// psql starts psql with one statement after another, and shows the command line. It is ended with ctx.
func (d *demo) psql(ctx context.Context, p person, statements ...string) (*psqlRun, error) {
	var args []string
	line := fmt.Sprintf("PGUSER=%s PGPASSWORD=$%s psql", p.name, p.secretName)
	for _, sql := range statements {
		args = append(args, "-c", sql)
		line += ` -c "` + sql + `"`
	}
	d.screen.command(line)
	r := &psqlRun{demo: d, person: p, command: exec.CommandContext(ctx, d.psqlPath(), args...)}
	r.command.Dir = d.dir
	r.command.Env = append(d.psqlEnv(p), "PGPASSWORD="+p.secret)
	r.command.Stdout, r.command.Stderr = &r.output, &r.output
	r.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a person's Ctrl-C is for the demo
	r.command.WaitDelay = time.Second
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start psql: %w", err)
	}
	return r, nil
}

// psqlEnv is the environment of a person's psql, without a secret.
func (d *demo) psqlEnv(p person) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "LC_ALL=C",
		"PGHOST=localhost", "PGHOSTADDR=127.0.0.1", "PGPORT=" + d.port, "PGDATABASE=" + database,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + d.rootCert(), "PGUSER=" + p.name,
	}
}

// psqlPath is the psql beside the server's programs, else the one in PATH.
func (d *demo) psqlPath() string {
	path := filepath.Join(d.postgres.BinDir(), "psql")
	if _, err := os.Stat(path); err != nil {
		return "psql"
	}
	return path
}

// wait waits for psql's end, shows what it printed, and keeps the visit.
func (r *psqlRun) wait(ctx context.Context) (visit, error) {
	err := r.command.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended || ctx.Err() != nil {
		return visit{}, fmt.Errorf("run psql: %w", errors.Join(err, ctx.Err()))
	}
	v := visit{step: r.demo.step, person: r.person, output: r.output.String(), exit: r.command.ProcessState.ExitCode()}
	v.said = readIdentity(v.output)
	r.demo.visits = append(r.demo.visits, v)
	r.demo.screen.output(v.output)
	return v, nil
}

// visit runs psql to its end.
func (d *demo) visit(ctx context.Context, p person, statements ...string) (visit, error) {
	r, err := d.psql(ctx, p, statements...)
	if err != nil {
		return visit{}, err
	}
	return r.wait(ctx)
}

// readIdentity finds the answer to askWho in psql's output: titles, a rule, the row.
func readIdentity(output string) identity {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "|")
		if strings.TrimSpace(cells[0]) != "current_user" || i+2 >= len(lines) {
			continue
		}
		if row := strings.Split(lines[i+2], "|"); len(row) == 3 {
			return identity{strings.TrimSpace(row[0]), strings.TrimSpace(row[1]), strings.TrimSpace(row[2])}
		}
	}
	return identity{}
}

// must says what is wrong with the visit: its exit code, or a text that its output should hold.
func (v visit) must(exit int, texts ...string) error {
	if v.exit != exit {
		return fmt.Errorf("psql of %s ended with exit code %d, not %d", v.person.name, v.exit, exit)
	}
	for _, text := range texts {
		if !strings.Contains(v.output, text) {
			return fmt.Errorf("psql of %s did not print %q", v.person.name, text)
		}
	}
	return nil
}

// servedBy says what is wrong with whom PostgreSQL took the visit for.
func (v visit) servedBy(account string) error {
	if v.said.account != account || v.said.person != v.person.identity {
		return fmt.Errorf("PostgreSQL took %s for %q on behalf of %q, not for %q on behalf of %q",
			v.person.name, v.said.account, v.said.person, account, v.person.identity)
	}
	return nil
}
