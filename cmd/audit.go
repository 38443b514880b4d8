// gprxy audit: the events.

package cmd

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/cmd/export"
	"gprxy/store"
)

const (
	followLimit = 10                     // events before the live ones, like tail -f
	followEvery = 100 * time.Millisecond // between looks for new events: live is at most 200 ms behind
)

func auditCommand() command {
	return command{
		name:    "audit",
		summary: "the events: logins, refusals, cancels, ends",
		about:   "Oldest first, the newest 1000 unless --limit says otherwise. Reads the event log, while the proxy runs or not. Times are UTC.",
		examples: []example{
			{"gprxy audit --since 1h", "what happened in the last hour"},
			{"gprxy audit --type auth.failed --since 7d", "failed logins of this week"},
			{"gprxy audit --state 42501 --since 7d --full", "what was refused for want of a privilege, nothing cut"},
			{"gprxy audit --text salaries --user alice@example.com", "what alice ran on a table, where AUDIT_STATEMENTS is on"},
			{"gprxy audit --session 06d3k2p8w1zvq4tn", "one session from beginning to end"},
			{"gprxy audit --follow --json", "live, for a program"},
			{"gprxy audit --since 2026-03-01 --until 2026-04-01 --limit 0 --csv > march.csv", "a whole month for a spreadsheet"},
		},
		options: func() options { return &auditOptions{filter: filterOptions{limit: 1000}} },
	}
}

type auditOptions struct {
	readOptions
	filter        filterOptions
	kind, session string
	state, text   string
	follow, full  bool
	json, csv     bool
}

func (o *auditOptions) flags(fs *pflag.FlagSet) {
	o.filter.flags(fs)
	fs.StringVar(&o.kind, "type", "", "only events of this `TYPE`, such as auth.failed")
	fs.StringVar(&o.session, "session", "", "only events of this session `ID`")
	fs.StringVar(&o.state, "state", "", "only refusals and statements that ended with this `SQLSTATE`, such as 42501")
	fs.StringVar(&o.text, "text", "", "only statements with this `TEXT` in theirs, as recorded; letters of either case")
	fs.BoolVar(&o.full, "full", false, "cut nothing on a narrow terminal: long values are wrapped, and columns without room stand below")
	fs.BoolVar(&o.follow, "follow", false, "show the newest 10, then new ones as they happen, until Ctrl-C")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line")
	fs.BoolVar(&o.csv, "csv", false, "comma-separated values with a header")
	o.readOptions.flags(fs)
}

func (o *auditOptions) validate(c *call) error {
	if err := o.filter.validate(c); err != nil {
		return err
	}
	switch {
	case o.json && o.csv:
		return usagef("either --json or --csv", "--json and --csv exclude each other")
	case o.follow && o.filter.untilText != "":
		return usagef("either --follow or --until", "--follow goes on for ever, --until does not")
	case o.kind != "" && !slices.Contains(export.Types(), o.kind):
		return unknownType(o.kind)
	case o.state != "" && !isSQLState(strings.ToUpper(o.state)):
		return usagef("--state with five letters and digits, such as 42501", "%s is no SQLSTATE", quoted(o.state))
	}
	o.state = strings.ToUpper(o.state)
	if o.follow && !c.set.Changed("limit") && o.filter.since.IsZero() {
		o.filter.limit = followLimit
	}
	return o.readOptions.validate(c)
}

func isSQLState(s string) bool {
	return len(s) == 5 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func unknownType(kind string) error {
	if near := nearestCommand(kind, export.Types()); near != "" {
		return usagef("--type "+near, "there is no event type %s", quoted(kind))
	}
	return usagef("--type with one of "+strings.Join(export.Types(), ", "), "there is no event type %s", quoted(kind))
}

func (o *auditOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	show, err := o.printer(c)
	if err != nil {
		return err
	}
	shown, err := o.print(o.events(ctx, r), show)
	if closed := show.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	switch {
	case o.follow:
	case shown == 0:
		c.note("no events match; %s is the log", o.path)
	case o.filter.limit > 0 && shown == int(o.filter.limit):
		c.note("the newest %d events; there may be more: --limit 0 shows all", shown)
	}
	return nil
}

func (o *auditOptions) events(ctx context.Context, r *store.Reader) iter.Seq2[store.Record, error] {
	f := store.EventFilter{
		Since:          o.filter.since,
		Until:          o.filter.until,
		User:           o.filter.user,
		AlsoUser:       auth.FoldUser(o.filter.user),
		ServiceAccount: o.filter.serviceAccount,
		Database:       o.filter.database,
		RequestedUser:  o.filter.requestedUser,
		SQLState:       o.state,
		Text:           o.text,
		Type:           o.kind,
		Session:        o.session,
		Limit:          int(o.filter.limit),
	}
	if o.follow { // Ctrl-C ends it, and is no error
		return r.Follow(ctx, f, followEvery)
	}
	return r.Events(ctx, f)
}

// print hands each event to show; while following, one at a time as it happens.
func (o *auditOptions) print(events iter.Seq2[store.Record, error], show export.Printer) (shown int, err error) {
	for e, err := range events {
		if err != nil {
			return shown, err
		}
		if err := show.Event(e); err != nil {
			return shown, err
		}
		if o.follow {
			if err := show.Flush(); err != nil {
				return shown, err
			}
		}
		shown++
	}
	return shown, nil
}
