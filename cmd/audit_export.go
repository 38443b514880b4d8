// gprxy audit export: the events for other systems.

package cmd

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/store"
)

// exportFormats are the values of --format.
var exportFormats = []string{"jsonl", "csv", "ocsf"}

func auditExportCommand() command {
	return command{
		name:    "audit export",
		summary: "all events of a time, for other systems",
		about: "Oldest first, whatever their number, in constant memory: jsonl has the objects of `gprxy audit --json`, csv the same fields, " +
			"and ocsf events of the Open Cybersecurity Schema Framework " + ocsfVersion + " (Account Change 3001, Authentication 3002, Datastore Activity 6005), one JSON object a line.",
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
			err = out.event(e)
		}
		if err != nil {
			return errors.Join(err, out.close())
		}
		if n++; n%10_000 == 0 {
			p.say("exported %s, up to %s", counted(n, "event"), shortTime(e.Time))
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	p.clear()
	if c.ErrWidth > 0 || o.output != "" {
		c.note("exported %s", counted(n, "event"))
	}
	return nil
}

func (o *auditExportOptions) printer(w io.Writer, terminal bool) (eventPrinter, error) {
	switch o.format {
	case "csv":
		p := &eventCSV{csv.NewWriter(w), o.output == "" && terminal}
		return p, p.out.Write(eventFields)
	case "ocsf":
		out := bufio.NewWriterSize(w, exportBuffer)
		return &ocsfLines{out: out, json: newJSONWriter(out)}, nil
	}
	return &eventLines{out: bufio.NewWriterSize(w, exportBuffer)}, nil
}

const exportBuffer = 64 << 10

// The machine's name, as far as it is known, and the program's version: the same in every event of OCSF.
var (
	exportName, _ = os.Hostname()
	exportVersion = sync.OnceValue(func() string { return thisBuild().Version })
)

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

// ocsfLines writes what has a class in OCSF, and leaves the rest out.
type ocsfLines struct {
	out    *bufio.Writer
	json   *jsonWriter // to out
	wishes wishes
}

func (p *ocsfLines) event(e store.Record) error {
	event, err := toOCSF(e, &p.wishes)
	if err != nil {
		return fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if event == nil {
		return nil
	}
	return p.json.write(event)
}

func (p *ocsfLines) flush() error { return p.out.Flush() }
func (p *ocsfLines) close() error { return p.out.Flush() }
