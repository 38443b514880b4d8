// Command demo tells gprxy's main job as a story on the terminal, with real parts on this machine: a throwaway
// PostgreSQL, an OpenID Connect issuer, gprxy itself, and people who come with psql. It is what `make demo` runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

const exitInterrupted = 130 // what a shell says of a program that Ctrl-C ended

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, func() {
		signal.Ignore(syscall.SIGHUP) // the terminal may close before all is cleaned up
		stop()                        // from then on a second signal ends the process at once
	})
	// With SIGPIPE taken, a write to a closed pipe fails, and the demo still stops what it started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	w := audience()
	flag.StringVar(&w.keep, "keep", "", "leave what the demo writes, such as its event log, in this new `FOLDER`")
	flag.Parse()
	os.Exit(exitCode(ctx, run(ctx, w)))
}

// audience is who watches: this process's terminal, if it has one.
func audience() watcher {
	w := watcher{screen: newScreen(os.Stdout)}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		w.in = os.Stdin
	}
	return w
}

func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; what it had started is stopped and removed")
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "\ndemo:", err)
	return 1
}
