// Command bench measures what gprxy costs: the same work through PostgreSQL
// directly, through PgBouncer and through gprxy, in interleaved rounds on one
// machine, so that ratios hold although the machine is noisy.
//
// `make bench` runs it. It installs PgBouncer if there is none, starts its own
// servers, and touches no other.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what to measure, and for how long.
type plan struct {
	rounds  int
	seconds int
	clients []int
	only    []string // names of parts; none: all
	json    string   // file for the figures as JSON
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parts are the measurements in the order of the report.
var parts = []struct {
	name, title string
	measure     func(context.Context, *lab) ([]row, error)
}{
	{"select", "pgbench select-only, transactions a second", measureSelect},
	{"tls", "the same inside TLS, prepared", measureTLS},
	{"latency", "one client, one statement at a time", measureLatency},
	{"login", "logins", measureLogins},
	{"copy", "COPY", measureCopy},
	{"idle", "memory of idle sessions", measureIdle},
	{"record", "statements recorded, prepared", measureRecording},
	{"cancel", "from cancel request to 57014", measureCancel},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	p, err := readPlan(args)
	if err != nil {
		return err
	}
	l, err := openLab(ctx, p)
	if err != nil {
		return err
	}
	defer l.close()
	began := time.Now()
	say(fmt.Sprintf("this will take about %s", p.estimate().Round(time.Minute)))
	figures := map[string][]row{}
	for _, part := range parts {
		if !p.wants(part.name) {
			continue
		}
		say(fmt.Sprintf("%s, after %s", part.title, time.Since(began).Round(time.Second)))
		rows, err := part.measure(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		printTable(out, part.title, rows)
		figures[part.name] = rows
	}
	fmt.Fprintf(out, "\n%d rounds of %d s, %s in all; %s\n", p.rounds, p.seconds, time.Since(began).Round(time.Second), l.machine())
	if p.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.json, append(text, '\n'), 0o644)
}

func readPlan(args []string) (plan, error) {
	p := plan{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&p.rounds, "rounds", 3, "interleaved rounds; medians are shown")
	fs.IntVar(&p.seconds, "seconds", 3, "length of each pgbench run")
	clients := fs.String("clients", "1,8,32", "clients at once")
	only := fs.String("only", "", "parts to measure, with commas: select, tls, latency, login, copy, idle, record, cancel")
	fs.StringVar(&p.json, "json", "", "also write the figures to this file")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	for text := range strings.SplitSeq(*clients, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, fmt.Errorf("--clients %q is no list of numbers such as 1,8,32", *clients)
		}
		p.clients = append(p.clients, n)
	}
	p.only = strings.FieldsFunc(*only, func(c rune) bool { return c == ',' })
	return p, nil
}

// estimate is about how long all will take: mostly pgbench's runs, each with its logins.
func (p plan) estimate() time.Duration {
	runs := 0
	for part, each := range map[string]int{"select": 9 * len(p.clients), "tls": 2 * len(p.clients), "login": 6, "record": 4 * len(p.clients),
		"copy": 6, "cancel": 3, "latency": 1} {
		if p.wants(part) {
			runs += each
		}
	}
	return time.Duration(runs*p.rounds*(p.seconds+2)) * time.Second
}

func (p plan) wants(part string) bool {
	return len(p.only) == 0 || slices.Contains(p.only, part)
}
