// After the story, on a terminal: everything stays up for the person to try.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// stayLimit ends a demo that was forgotten; the tokens it handed out expire then.
const stayLimit = time.Hour

// stay prints what to paste into another terminal and waits for Enter, Ctrl-C or stayLimit.
func (d *demo) stay(ctx context.Context) error {
	fmt.Fprintln(d.screen.out)
	d.screen.heading("Everything is still up. Paste into another terminal:")
	for _, p := range []person{d.alice(), d.bob()} {
		if err := d.offerPSQL(p); err != nil {
			return err
		}
	}
	for _, offer := range []struct{ what, args string }{
		{"who is connected now", "sessions --active"},
		{"events as they happen", "audit --follow"},
	} {
		d.offer(offer.what, fmt.Sprintf("EVENT_LOG=%s %s %s", d.eventLog(), d.gprxy, offer.args))
	}
	fmt.Fprintf(d.screen.out, "\ngprxy's log is %s\nPress Enter to stop it all and clean up; Ctrl-C does so too, and in an hour it ends "+
		"by itself.\n", d.logPath())
	ctx, done := context.WithTimeout(ctx, stayLimit)
	defer done()
	select {
	case <-d.entered():
	case <-ctx.Done():
	case <-d.proxy.ended:
		return errors.New("gprxy has ended, though nobody here asked it to")
	}
	return nil
}

// offerPSQL puts the person's token into a file that only this user can read, and shows how to use it.
func (d *demo) offerPSQL(p person) error {
	file := filepath.Join(d.dir, p.name+".token")
	if err := os.WriteFile(file, []byte(p.secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the token of %s: %w", p.name, err)
	}
	psql := d.psqlPath()
	if _, err := exec.LookPath("psql"); err == nil {
		psql = "psql"
	}
	d.offer("psql as "+p.identity, fmt.Sprintf(
		`PGPASSWORD=$(cat %s) %s "host=localhost port=%s dbname=%s user=%s sslmode=verify-full sslrootcert=%s"`,
		file, psql, d.port, database, p.name, d.rootCert()))
	return nil
}

// offer shows a command line without a prompt, ready to be copied.
func (d *demo) offer(what, line string) {
	fmt.Fprintf(d.screen.out, "\n# %s\n", what)
	for _, l := range breakCommand(line, d.screen.width) {
		fmt.Fprintln(d.screen.out, d.screen.paint(cyan, l))
	}
}

// entered is closed when a line, or the end, came from the person. Nothing can interrupt a read from a terminal, so
// this one goroutine may outlive stay; it ends with the process, which is what follows.
func (d *demo) entered() <-chan struct{} {
	pressed := make(chan struct{})
	go func() {
		defer close(pressed)
		_, _ = bufio.NewReader(d.in).ReadString('\n') // the end of input ends the demo too
	}()
	return pressed
}
