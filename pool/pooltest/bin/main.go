// Command bin prints the folder with the programs of a major version of PostgreSQL, fetched if need be. `make versions` hands it
// to the tests as PG_BIN.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"

	"gprxy/pool/pooltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := show(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bin:", err)
		os.Exit(1)
	}
}

func show(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: bin MAJOR, such as %d or %d", pooltest.OldestMajor, pooltest.NewestMajor)
	}
	major, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%q is no number: give a major version, such as %d", args[0], pooltest.NewestMajor)
	}
	dir, err := pooltest.Release(ctx, major, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
