// The story: its steps in order, and how they are told and cleaned up after.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gprxy/auth/authtest"
	"gprxy/pool/pooltest"
)

// A step is one thing that happens, told under its title.
type step struct {
	title string
	limit time.Duration // what the step may take
	do    func(ctx context.Context, d *demo) error
}

const (
	installLimit = 12 * time.Minute // PostgreSQL, if this machine has none
	buildLimit   = 10 * time.Minute // the first build compiles every dependency
	stepLimit    = 20 * time.Second
)

// story returns the steps in the order in which they are told.
func story() []step {
	return []step{
		{"A throwaway PostgreSQL with 1,000 orders", installLimit, startPostgreSQL},
		{"The company's login: an OpenID Connect issuer on loopback", stepLimit, startIssuer},
		{"gprxy between the two, with TLS", buildLimit, startProxy},
		{"alice, role reader, comes with her token and no database password", stepLimit, aliceReads},
		{"alice may read only: PostgreSQL itself says so, unchanged", stepLimit, aliceMayNotWrite},
		{"bob, role writer, changes an order", stepLimit, bobWrites},
		{"carol has no token: she logs in with her database password", stepLimit, carolComesWithPassword},
		{"mallory's token is genuine, but no account is mapped to her role", stepLimit, malloryIsRefused},
		{"alice's token of yesterday is refused", stepLimit, expiredTokenIsRefused},
		{"alice presses Ctrl-C while a long query runs", stepLimit, aliceCancels},
		{"bob's psql is killed in the middle of a transaction", stepLimit, bobIsKilled},
		{"dave gets bob's connection to PostgreSQL, and finds nothing of bob's on it", stepLimit, daveFindsNothing},
		{"erin logs in with the company login, on a machine without a browser", stepLimit, erinLogsIn},
		{"erin works: gprxy connect is psql with her token", stepLimit, erinConnects},
		{"erin with plain psql and no token: gprxy tells her where to log in", stepLimit, erinUsesPlainPsql},
		{"Who was connected", stepLimit, showSessions},
		{"What happened", stepLimit, showAudit},
		{"What was run, word for word", stepLimit, showStatements},
		{"Who used which service account: the compliance review", stepLimit, showReport},
		{"The same for a SIEM, in OCSF", stepLimit, exportOCSF},
		{"Is the record complete and unaltered?", stepLimit, verifyAudit},
		{"The account on record is PostgreSQL's own current_user", stepLimit, compareAccounts},
	}
}

// watcher is who watches the demo.
type watcher struct {
	screen *screen
	keep   string    // folder that is made and left behind; "" leaves nothing
	in     io.Reader // a person who will press Enter; nil: nobody is there, and the demo ends by itself
}

// demo is what the steps build up and share.
type demo struct {
	watcher
	dir      string // everything the demo writes, PostgreSQL's data aside
	postgres *pooltest.Server
	issuer   *authtest.Issuer
	accounts accounts
	gprxy    string // the program
	proxy    *process
	port     string // gprxy's, on 127.0.0.1
	step     int    // the number of the step that is told
	visits   []visit
	undo     []func() error // stops or removes one thing each, last first
}

// run tells the story to w and leaves nothing behind. The error says which step went wrong, and how.
func run(ctx context.Context, w watcher) (err error) {
	d := &demo{watcher: w}
	defer func() { err = errors.Join(err, d.clean()) }()
	if err := d.makeFolder(); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	err = d.play(ctx)
	if err != nil && ctx.Err() == nil {
		d.showLog()
	}
	return err
}

func (d *demo) makeFolder() (err error) {
	if d.keep != "" {
		if d.dir, err = filepath.Abs(d.keep); err != nil {
			return err
		}
		return os.Mkdir(d.dir, 0o700)
	}
	d.dir, err = os.MkdirTemp("", "gprxy-demo-")
	d.undo = append(d.undo, func() error { return os.RemoveAll(d.dir) })
	return err
}

// play tells the story, and stays if somebody is there.
func (d *demo) play(ctx context.Context) error {
	d.screen.heading("gprxy demo: people reach PostgreSQL by their company login, and each step is on record")
	began := time.Now()
	steps := story()
	for i, s := range steps {
		if err := d.tell(ctx, i+1, s); err != nil {
			return err
		}
	}
	d.screen.done("All %d steps went as they should, in %.1f s.", len(steps), time.Since(began).Seconds())
	if d.keep != "" {
		d.screen.done("Its event log is kept: ./gprxy audit --event-log %s", d.eventLog())
	}
	if d.in != nil {
		return d.stay(ctx)
	}
	return nil
}

// tell does one step within its limit.
func (d *demo) tell(ctx context.Context, number int, s step) error {
	limited, done := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("not done within %v", s.limit))
	defer done()
	d.step = number
	d.screen.title(number, s.title)
	err := s.do(limited, d)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // what failed, failed because of the interrupt
		return fmt.Errorf("step %d (%s): %w", number, s.title, ctx.Err())
	case limited.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(limited), err)
	}
	return fmt.Errorf("step %d (%s): %w", number, s.title, err)
}

// clean stops and removes whatever was started, last first.
func (d *demo) clean() error {
	var problems []error
	for _, undo := range slices.Backward(d.undo) {
		problems = append(problems, undo())
	}
	d.undo = nil
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// until polls the outside world, which tells nobody when it changes, until check says yes or ctx ends.
func until(ctx context.Context, what string, check func() (bool, error)) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		yes, err := check()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-again.C:
		}
	}
}
