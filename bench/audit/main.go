// Command audit measures the questions people ask of a large event log: it makes a log of many
// sessions and puts them to the gprxy binary, as somebody at a terminal would.
//
// `make bench-audit` runs it with 20,000 sessions, `make bench-audit N=1000000` with the million (ten million
// events, some minutes and gigabytes) for which the limits are meant.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

// plan is what to measure.
type plan struct {
	sessions int
	file     string // the log; kept and used again if given
	binary   string
	rounds   int
	json     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-audit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	p, err := readPlan(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gprxy-bench-audit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.file == "" {
		p.file = filepath.Join(dir, "events.db")
	}
	if p.binary == "" {
		p.binary = filepath.Join(dir, "gprxy")
		build := exec.CommandContext(ctx, "go", "build", "-o", p.binary, "gprxy")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build gprxy: %w\n%s", err, text)
		}
	}
	if _, err := os.Stat(p.file); err != nil {
		say("making a log of %d sessions", p.sessions)
		began := time.Now()
		if err := makeLog(ctx, p.file, p.sessions, fewStatements, began, days*oneDay); err != nil {
			return err
		}
		say("made in %s", time.Since(began).Round(time.Second))
	}
	figures, err := measure(ctx, p)
	if err != nil {
		return err
	}
	return show(out, figures, p.json)
}

func readPlan(args []string) (p plan, err error) {
	fs := flag.NewFlagSet("bench-audit", flag.ContinueOnError)
	fs.IntVar(&p.sessions, "sessions", 20_000, "sessions in the log, ten events each")
	fs.StringVar(&p.file, "file", "", "keep the log in this file, and use it again if it is there")
	fs.StringVar(&p.binary, "gprxy", "", "the gprxy to ask; else one is built")
	fs.IntVar(&p.rounds, "rounds", 5, "how often each question is put; medians are shown")
	fs.BoolVar(&p.json, "json", false, "print the figures as JSON")
	return p, fs.Parse(args)
}

// figure is one result. Limit is what it should not pass, or reach if it is a rate; 0 for none.
type figure struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Limit float64 `json:"limit,omitempty"`
}

func show(out io.Writer, figures []figure, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(figures)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\tunit\tfor a million sessions\t")
	for _, f := range figures {
		limit := ""
		if f.Limit != 0 {
			limit = fmt.Sprintf("%.0f", f.Limit)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t\n", f.What, f.Value, f.Unit, limit)
	}
	return t.Flush()
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
