// What goes wrong in the middle: Ctrl-C, a killed client, and who gets its connection next.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gprxy/store"
)

const longQuery = "select pg_sleep(60)"

func aliceCancels(ctx context.Context, d *demo) error {
	r, err := d.psql(ctx, d.alice(), askWho, longQuery)
	if err != nil {
		return err
	}
	account, err := d.interrupt(ctx, r, os.Interrupt)
	if err != nil {
		return err
	}
	began := time.Now()
	v, err := r.wait(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(v.must(1, "ERROR:  canceling statement due to user request"), v.servedBy(account)); err != nil {
		return err
	}
	d.screen.ok("the query of 60 s ended %s after Ctrl-C; gprxy passed on this session's cancel, and no other's", milliseconds(began))
	return d.atRest(ctx)
}

func bobIsKilled(ctx context.Context, d *demo) error {
	r, err := d.psql(ctx, d.bob(), askWho, "begin", "set work_mem = '64MB'",
		"insert into orders (customer, item, price) values ('Ghost', 'sheet', 1.00)", longQuery)
	if err != nil {
		return err
	}
	account, err := d.interrupt(ctx, r, os.Kill)
	if err != nil {
		return err
	}
	began := time.Now()
	v, err := r.wait(ctx)
	if err != nil {
		return err
	}
	d.screen.command(fmt.Sprintf("kill -9 %d", r.command.Process.Pid))
	if err := errors.Join(v.must(-1, "INSERT 0 1"), v.servedBy(account)); err != nil {
		return err
	}
	gone := func() (bool, error) {
		busy, err := d.ask(ctx, "SELECT 1 FROM pg_stat_activity WHERE pid = "+v.said.backend+" AND (state <> 'idle' OR xact_start IS NOT NULL)")
		return busy == "", err
	}
	if err := until(ctx, "PostgreSQL has ended what bob left", gone); err != nil {
		return err
	}
	d.screen.ok("%s later PostgreSQL had stopped his query and rolled back", milliseconds(began))
	return d.atRest(ctx)
}

func daveFindsNothing(ctx context.Context, d *demo) error {
	bob := d.visits[len(d.visits)-1]
	v, err := d.visit(ctx, d.dave(), askWho,
		"select count(*) as ghosts, current_setting('work_mem') as work_mem from orders where customer = 'Ghost'")
	if err != nil {
		return err
	}
	if err := errors.Join(v.must(0), v.servedBy(writer)); err != nil {
		return err
	}
	if v.said.backend != bob.said.backend {
		return fmt.Errorf("dave was given backend %s, not %s, which bob had", v.said.backend, bob.said.backend)
	}
	if !hasRow(v.output, "0", "4MB") {
		return errors.New("dave sees something of bob's: his row or his work_mem")
	}
	d.screen.ok("the same backend %s: bob's row is not there, his setting is gone", v.said.backend)
	return nil
}

// interrupt waits until PostgreSQL runs the long query of r, sends psql a signal, and returns the account that ran
// the query. If that fails, psql has ended and was waited for.
func (d *demo) interrupt(ctx context.Context, r *psqlRun, signal os.Signal) (string, error) {
	account := ""
	err := until(ctx, "PostgreSQL runs the long query", func() (running bool, err error) {
		account, err = d.ask(ctx, "SELECT usename FROM pg_stat_activity WHERE state = 'active' AND query = '"+longQuery+"'")
		return account != "", err
	})
	if err == nil {
		d.screen.say("PostgreSQL runs it as %s", account)
		err = r.command.Process.Signal(signal)
	}
	if err != nil {
		_ = r.command.Process.Kill() // it may have ended by itself; wait shows what it said
		_, failed := r.wait(ctx)
		return "", errors.Join(fmt.Errorf("interrupt psql: %w", err), failed)
	}
	return account, nil
}

// atRest waits until the end of every session is on record: then its backend is clean and may be used again.
func (d *demo) atRest(ctx context.Context) error {
	log, err := store.OpenReader(ctx, d.eventLog())
	if err != nil {
		return fmt.Errorf("look into the event log: %w", err)
	}
	defer log.Close()
	return until(ctx, "the session has ended", func() (bool, error) {
		for _, err := range log.Sessions(ctx, store.SessionFilter{Active: true, Limit: 1}) {
			return false, err
		}
		return true, nil
	})
}

// hasRow reports whether psql printed a row of these values.
func hasRow(output string, values ...string) bool {
	for line := range strings.Lines(output) {
		cells := strings.Split(line, "|")
		same := len(cells) == len(values)
		for i := 0; same && i < len(cells); i++ {
			same = strings.TrimSpace(cells[i]) == values[i]
		}
		if same {
			return true
		}
	}
	return false
}

func milliseconds(since time.Time) string {
	return fmt.Sprintf("%d ms", time.Since(since).Milliseconds())
}
