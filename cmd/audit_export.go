// gprxy audit export: the events for other systems.

package cmd

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/cmd/export"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

// exportFormats are the values of --format.
var exportFormats = []string{"jsonl", "csv", "ocsf"}

func auditExportCommand() command {
	return command{
		name:    "audit export",
		summary: "all events of a time, for other systems",
		about: "Oldest first, whatever their number, in constant memory: jsonl has the objects of `gprxy audit --json`, csv the same fields, " +
			"and ocsf events of the Open Cybersecurity Schema Framework " + export.OCSFVersion +
			" (Account Change 3001, Authentication 3002, Datastore Activity 6005), one JSON object a line.",
		examples: []example{
			{"gprxy audit export --since 2026-03-01 --until 2026-04-01 --output march.jsonl", "a month"},
			{"gprxy audit export --format ocsf --since 1h", "the last hour, for a SIEM"},
		},
		options: func() options { return &auditExportOptions{} },
	}
}

type auditExportOptions struct {
	readOptions
	filter         filterOptions
	format, output string
}

func (o *auditExportOptions) flags(fs *pflag.FlagSet) {
	o.filter.flags(fs)
	fs.Lookup("limit").Usage = "at most `N`, the newest; all without it"
	fs.StringVar(&o.format, "format", exportFormats[0], "jsonl, csv or ocsf")
	fs.StringVarP(&o.output, "output", "o", "", "write to this `FILE`, whole or not at all, instead of the standard output")
	o.readOptions.flags(fs)
}

func (o *auditExportOptions) validate(c *call) error {
	if !slices.Contains(exportFormats, o.format) {
		return wrongValue("format", o.format, "--format with one of "+strings.Join(exportFormats, ", "))
	}
	if err := o.filter.validate(c); err != nil {
		return err
	}
	return o.readOptions.validate(c)
}

func (o *auditExportOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	write := func(w io.Writer) error { return o.export(ctx, c, r, w) }
	if o.output == "" {
		return write(c.Out)
	}
	return writeWhole(o.output, o.path, write)
}

func (o *auditExportOptions) export(ctx context.Context, c *call, r *store.Reader, w io.Writer) error {
	f := store.EventFilter{
		Since: o.filter.since, Until: o.filter.until, Limit: int(o.filter.limit),
		User: o.filter.user, AlsoUser: auth.FoldUser(o.filter.user), ServiceAccount: o.filter.serviceAccount, Database: o.filter.database,
		RequestedUser: o.filter.requestedUser,
	}
	out, err := o.printer(w, c.OutWidth > 0)
	if err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(verifyGC))
	p := &progress{call: c}
	defer p.clear()
	n := int64(0)
	for e, err := range readAhead(r.Events(ctx, f)) {
		if err == nil {
			err = out.Event(e)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
		if n++; n%10_000 == 0 {
			p.say("exported %s, up to %s", terminal.Counted(n, "event"), terminal.ShortTime(e.Time))
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	p.clear()
	if c.ErrWidth > 0 || o.output != "" {
		c.note("exported %s", terminal.Counted(n, "event"))
	}
	return nil
}

func (o *auditExportOptions) printer(w io.Writer, toTerminal bool) (export.Printer, error) {
	switch o.format {
	case "csv":
		return export.NewCSV(w, o.output == "" && toTerminal)
	case "ocsf":
		return export.NewOCSF(w, thisBuild().Version), nil
	}
	return export.NewLines(w), nil
}

// readAhead reads events on a goroutine of its own while those before are written. It ends, and is waited
// for, when the caller stops.
func readAhead(events iter.Seq2[store.Record, error]) iter.Seq2[store.Record, error] {
	type read struct {
		event store.Record
		err   error
	}
	const batch = 500
	return func(yield func(store.Record, error) bool) {
		batches, stop := make(chan []read, 4), make(chan struct{})
		var reading sync.WaitGroup
		defer reading.Wait()
		defer close(stop)
		reading.Go(func() {
			defer close(batches)
			all := make([]read, 0, batch)
			give := func() bool {
				select {
				case batches <- all:
					all = make([]read, 0, batch)
					return true
				case <-stop:
					return false
				}
			}
			for e, err := range events {
				if all = append(all, read{e, err}); len(all) == batch && !give() {
					return
				}
			}
			give()
		})
		for all := range batches {
			for _, r := range all {
				if !yield(r.event, r.err) {
					return
				}
			}
		}
	}
}
