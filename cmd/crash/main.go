// Command crash kills gprxy with SIGKILL at random moments under a mixed load, again and again, and holds what clients
// were told against the event log and against what PostgreSQL holds. It is what `make crash` runs.
//
// A campaign is a number of rounds. In each, clients log in by token and by password, write, copy, cancel, are refused,
// or leave in the middle, until one of the servers is killed; then it is started again, and everything is compared:
//
//	clients  - who was let in, with which backend; who was refused; which rows they were told are stored
//	the log  - every one of them, complete and in order; the chain; no session left open; the projection
//	statements - with --durability, the statement of every row: all of them (strict), or all but those of the last moments
//	PostgreSQL - every row acknowledged, none taken back, each by a session that the log knows; no backend left behind
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"gprxy/store"
)

const exitInterrupted = 130 // what a shell says of a program that Ctrl-C ended

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the process at once
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
		return
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\ncrash: interrupted; what it had started is stopped and removed")
		os.Exit(exitInterrupted)
	}
	fmt.Fprintln(os.Stderr, "\ncrash:", err)
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	p := plan{postgresEvery: 20}
	fs := flag.NewFlagSet("crash", flag.ContinueOnError)
	fs.IntVar(&p.kills, "kills", 100, "how often gprxy is killed")
	fs.Uint64Var(&p.seed, "seed", rand.Uint64(), "of all random choices; 0 is one too")
	fs.IntVar(&p.clients, "clients", 8, "clients at once")
	fs.StringVar(&p.durability, "durability", "", "async or strict: record statements, and hold them against the rows too")
	fs.BoolVar(&p.race, "race", false, "build gprxy with the race detector")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", store.DurabilityAsync, store.DurabilityStrict}, p.durability) {
		return errors.New("--durability takes async or strict")
	}
	if p.kills < 1 || p.clients < 1 {
		return errors.New("--kills and --clients take a number from 1 on")
	}
	s := newScreen(os.Stdout)
	figures, err := wage(ctx, p, s)
	s.clear()
	if err != nil {
		return fmt.Errorf("%w\nthe same choices again: --seed %d", err, p.seed)
	}
	figures.print(os.Stdout)
	return nil
}
