// gprxy audit prune: give up old events, but not the proof.

package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

func auditPruneCommand() command {
	return command{
		name:    "audit prune",
		summary: "give up old events; the chain still verifies",
		about: "Removes the events from before a day, the sessions that had ended by then and the texts that nobody used since; only digests " +
			"are left, " +
			"with which the chain still verifies. The log says what was pruned, by whom and when. It may run beside the proxy, and be ended at " +
			"any moment. " +
			"Nothing younger than RETENTION_MIN goes; `gprxy start` does the same each day with RETENTION.",
		examples: []example{
			{"gprxy audit prune --before 400d", "keep the last 400 days"},
			{"gprxy audit prune --before 2025-01-01 --json", "keep what happened since then; the result for a program"},
		},
		options: func() options { return &auditPruneOptions{} },
	}
}

type auditPruneOptions struct {
	readOptions
	beforeText string
	before     time.Time // complete after validate
	json       bool
}

func (o *auditPruneOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.beforeText, "before", "", "give up what is older than this `TIME`: 400d ago, a date, or RFC 3339; the day it falls on "+
		"is kept, UTC")
	fs.BoolVar(&o.json, "json", false, "print one JSON object")
	o.readOptions.flags(fs)
}

func (o *auditPruneOptions) validate(c *call) error {
	const example = "--before 400d, or --before with a date"
	if o.beforeText == "" {
		return usagef(example, "--before is missing")
	}
	var err error
	now := c.Now()
	if o.before, err = moment("before", o.beforeText, now); err != nil {
		return err
	}
	s, warnings, err := settings.LoadOnly(c.sources(), "EVENT_LOG", "RETENTION_MIN")
	c.warn(warnings...)
	if err != nil {
		return err
	}
	o.path = s.EventLog
	if least := s.Audit.RetentionMin; o.before.After(now.Add(-least)) {
		return usagef("--before "+settings.InDays(least)+", or an earlier date", "--before %s is less than RETENTION_MIN (%s) ago", o.beforeText,
			settings.InDays(least))
	}
	return nil
}

// pruned is the object of --json; stable.
type pruned struct {
	Before   string `json:"before"`
	Events   int64  `json:"events"`
	Sessions int64  `json:"sessions"`
	Texts    int64  `json:"texts"`
	Bytes    int64  `json:"bytes"`
}

func (o *auditPruneOptions) run(ctx context.Context, c *call) error {
	p := &progress{call: c}
	done, err := store.Prune(ctx, o.path, o.before, c.OSUser, func(d store.Pruned) {
		p.say("pruned %s", terminal.Counted(d.Events, "event"))
	})
	p.clear()
	if err != nil {
		return err
	}
	const page = 4096
	if o.json {
		return terminal.WriteJSON(c.Out, pruned{done.Before.Format(time.RFC3339), done.Events, done.Sessions, done.Texts, done.Pages * page})
	}
	if done.Events == 0 {
		c.note("nothing is from before %s", done.Before.Format(time.DateOnly))
		return nil
	}
	fmt.Fprintf(c.Out, "pruned     %s from before %s, %s, %s\ngiven back %.1f MB\n", terminal.Counted(done.Events, "event"),
		done.Before.Format(time.DateOnly),
		terminal.Counted(done.Sessions, "session"), terminal.Counted(done.Texts, "text"), float64(done.Pages*page)/1e6)
	return nil
}
