// Single sign-on: erin goes from nothing to a query with the company login, on a machine without a browser.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"gprxy/auth/authtest"
)

const erin = "erin"

// demoUsers are who can log in at the issuer's page.
func demoUsers() map[string]authtest.Person {
	users := authtest.DefaultUsers()
	users[erin] = authtest.Person{Name: "Erin Eng", Roles: []string{"reader"}}
	return users
}

// codeShown finds the code that a person is to enter, in what gprxy login or a notice says.
var codeShown = regexp.MustCompile(`(?:enter the code\s+)([A-Z0-9]+-[A-Z0-9]+)`)

// browser watches what a program prints and does what a person would do elsewhere: open the address, enter the code, log
// in and approve.
type browser struct {
	issuer *authtest.Issuer
	login  string
	output bytes.Buffer // to be read after the program has ended
	done   bool
	err    error
}

func (b *browser) Write(p []byte) (int, error) {
	b.output.Write(p)
	if found := codeShown.FindSubmatch(b.output.Bytes()); found != nil && !b.done {
		b.done = true
		b.err = b.issuer.Approve(string(found[1]), b.login)
	}
	return len(p), nil
}

func (d *demo) signOnSettings() []string {
	return []string{"OIDC_ISSUER=" + d.issuer.URL(), "AUDIENCE=" + d.issuer.Audience(), "OIDC_CLIENT_ID=" + authtest.DefaultClient}
}

// cli runs gprxy as erin types it, and approves at the issuer what it asks for. args are for people with blanks as
// they would quote them.
func (d *demo) cli(ctx context.Context, args ...string) (output string, err error) {
	shown := "gprxy"
	for _, a := range args {
		if strings.ContainsAny(a, " *") {
			a = `"` + a + `"`
		}
		shown += " " + a
	}
	d.screen.command(shown)
	c := exec.CommandContext(ctx, d.gprxy, args...)
	c.Dir = d.dir
	c.Env = append(d.signOnSettings(), "PATH="+d.postgres.BinDir()+":"+os.Getenv("PATH"), "HOME="+d.dir, "LC_ALL=C", "NO_COLOR=1")
	return d.attended(c)
}

// attended runs a program to its end, with erin at a browser beside it.
func (d *demo) attended(c *exec.Cmd) (string, error) {
	b := &browser{issuer: d.issuer, login: erin}
	c.Stdout, c.Stderr = b, b
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a person's Ctrl-C is for the demo
	c.WaitDelay = time.Second
	err := c.Run()
	d.screen.output(b.output.String())
	if b.done && b.err == nil {
		d.screen.say("(in a browser, erin opens the address, enters the code and approves)")
	}
	return b.output.String(), errors.Join(err, b.err)
}

func erinLogsIn(ctx context.Context, d *demo) error {
	d.screen.command("export " + strings.Join(d.signOnSettings(), " "))
	if _, err := d.cli(ctx, "login", "--device"); err != nil {
		return err
	}
	out, err := d.cli(ctx, "whoami")
	if err == nil && !strings.Contains(out, erin+mail) {
		err = fmt.Errorf("whoami does not tell %s", erin+mail)
	}
	return err
}

func erinConnects(ctx context.Context, d *demo) error {
	out, err := d.cli(ctx, "connect", "-s", "localhost", "-p", d.port, "-d", database, "--", "-c", askWho)
	if err != nil {
		return err
	}
	v := visit{step: d.step, person: person{name: erin + mail, identity: erin + mail}, output: out, said: readIdentity(out)}
	d.visits = append(d.visits, v)
	if err := v.servedBy(reader); err != nil {
		return err
	}
	d.screen.ok("no database password, no token pasted: gprxy connect brought it, and renews it")
	return nil
}

// erinUsesPlainPsql shows the way for programs that know nothing of tokens: gprxy itself runs the login.
func erinUsesPlainPsql(ctx context.Context, d *demo) error {
	const options = "-c gprxy.auth=device"
	d.screen.command(fmt.Sprintf(`PGUSER=%s PGOPTIONS="%s" psql -c "%s"`, erin, options, askWho))
	c := exec.CommandContext(ctx, d.psqlPath(), "-c", askWho)
	c.Dir = d.dir
	c.Env = append(d.psqlEnv(person{name: erin}), "PGOPTIONS="+options)
	out, err := d.attended(c)
	if err != nil {
		return err
	}
	v := visit{step: d.step, person: person{name: erin, identity: erin + mail}, output: out, said: readIdentity(out)}
	d.visits = append(d.visits, v)
	return v.servedBy(reader)
}
