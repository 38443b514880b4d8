// Command gprxy is a PostgreSQL proxy that knows who is behind every connection.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"gprxy/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the process at once, but for `gprxy start`, which records its end
	// With SIGPIPE taken, a write to a closed pipe fails with EPIPE: `gprxy audit | head` ends quietly, and
	// the proxy outlives the program that collects its log.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(cmd.Run(ctx, os.Args[1:], cmd.StandardIO(), cmd.ProcessEnvironment()))
}
