// Command adversary plays random conversations of hostile clients through gprxy and holds what they left behind against
// PostgreSQL's own word. It is what `make adversary` runs.
//
// A conversation has one or two hostile clients and a victim, one after the other on one backend (MaxConns is 1), all of them
// people of one ordinary account. They send every type of message in and out of place, cut anywhere, with timeouts that run
// out in between, slow rollbacks, COPY, cancels, and ends of every kind. Three judges look at each round:
//
//	the logs   - PostgreSQL's (every text, its end, every error) against the event log: texts, outcomes, order; strict: announced
//	the canary - what each client finds on its backend: settings, tables, statements, locks, its own answers, gprxy.user
//	the bytes  - of conversations without timeouts, those of a direct session
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"gprxy/pool/pooltest"
)

const exitInterrupted = 130 // what a shell says of a program that Ctrl-C ended

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the process at once
	err := wage(ctx, os.Args[1:])
	switch {
	case err == nil:
		return
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\nadversary: interrupted; what it had started is stopped and removed")
		os.Exit(exitInterrupted)
	}
	fmt.Fprintln(os.Stderr, "adversary:", err)
	os.Exit(1)
}

// wage reads the options and runs a campaign on each version.
func wage(ctx context.Context, args []string) error {
	p := plan{}
	major := ""
	fs := flag.NewFlagSet("adversary", flag.ContinueOnError)
	fs.DurationVar(&p.lasts, "time", 10*time.Minute, "how long all versions together are played")
	fs.Uint64Var(&p.seed, "seed", rand.Uint64(), "of all random choices; 0 is one too")
	fs.StringVar(&major, "version", "", "major version of PostgreSQL (default the oldest, the one that this machine has, and the newest)")
	fs.IntVar(&p.lanes, "lanes", 4, "conversations at once")
	fs.StringVar(&p.only, "only", "", "play this conversation alone, as a report names it (g17, or a script's name), again and again")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if p.lasts <= 0 || p.lanes < 1 {
		return errors.New("--time and --lanes take more than 0")
	}
	majors := versions
	if major != "" {
		n, err := strconv.Atoi(major)
		if err != nil {
			return errors.New("--version takes a number, such as 15")
		}
		majors = []int{n}
	}
	p.lasts /= time.Duration(len(majors))
	var problems []error
	for _, p.major = range majors {
		if err := p.run(ctx, newScreen(os.Stdout)); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// installed is the version that this machine has.
const installed = 0

// versions of PostgreSQL that conversations are played on.
var versions = []int{pooltest.OldestMajor, installed, pooltest.NewestMajor}
