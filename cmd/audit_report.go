// gprxy audit report: the compliance review.

package cmd

import (
	"context"
	"encoding/hex"
	"io"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"gprxy/cmd/review"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

func auditReportCommand() command {
	return command{
		name:    "audit report",
		summary: "who used which service account: the compliance review",
		about: "Covers the sessions that began in the time: who used which service account, how often, from where and with what, who did so " +
			"for the first time, " +
			"who was refused and why, what ended abnormally, and how the log itself was kept. It checks the whole chain of the log and says so; " +
			"a broken one is an error. Times are UTC.",
		examples: []example{
			{"gprxy audit report --since 30d", "the last 30 days"},
			{"gprxy audit report --since 2026-01-01 --until 2026-04-01 --html review.html", "a quarter, as a page to keep or print"},
			{"gprxy audit report --since 90d --json", "for a program"},
		},
		options: func() options { return &auditReportOptions{} },
	}
}

type auditReportOptions struct {
	readOptions
	sinceText, untilText string
	since, until         time.Time // complete after validate
	html                 string
	json, unverified     bool

	retentionMin time.Duration // complete after validate
}

func (o *auditReportOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.sinceText, "since", "", "sessions that began from this `TIME` on: 30d ago, a date, or RFC 3339; UTC")
	fs.StringVar(&o.untilText, "until", "", "and before this `TIME`, written like --since; now without it")
	fs.StringVar(&o.html, "html", "", "write a page that needs nothing else to this `FILE`")
	fs.BoolVar(&o.json, "json", false, "print one JSON object")
	fs.BoolVar(&o.unverified, "no-verify", false, "do not check the chain, which takes long on a large log; the report says so")
	o.readOptions.flags(fs)
}

func (o *auditReportOptions) validate(c *call) error {
	if err := noEmptyFlag(c.set); err != nil {
		return err
	}
	if o.json && o.html != "" {
		return usagef("either --json or --html", "--json and --html exclude each other")
	}
	now := c.Now()
	f := filterOptions{sinceText: o.sinceText, untilText: o.untilText}
	var err error
	if o.since, err = moment("since", o.sinceText, now); err != nil {
		return err
	}
	if o.until, err = moment("until", o.untilText, now); err != nil {
		return err
	}
	if o.until.IsZero() {
		o.until = now.UTC()
	}
	if !o.since.IsZero() && !o.since.Before(o.until) {
		return usagef("an earlier --since, or a later --until", "--since %s is not before --until %s", f.sinceText, f.untilText)
	}
	s, warnings, err := settings.LoadOnly(c.sources(), "EVENT_LOG", "RETENTION_MIN")
	c.warn(warnings...)
	o.path, o.retentionMin = s.EventLog, s.Audit.RetentionMin
	return err
}

func (o *auditReportOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	defer debug.SetGCPercent(debug.SetGCPercent(verifyGC))
	made := review.Report{Made: c.Now().UTC(), Log: o.path}
	p := &progress{call: c}
	made.Review, err = r.Review(ctx, o.since, o.until, func(n int64) { p.say("read %s", terminal.Counted(n, "session")) })
	p.clear()
	if err != nil {
		return err
	}
	if !o.unverified {
		if made.Chain, err = o.chain(ctx, c, r); err != nil {
			return err
		}
	}
	switch {
	case o.html != "":
		if err := writeWhole(o.html, o.path, func(w io.Writer) error { return review.Write(w, made) }); err != nil {
			return err
		}
		c.note("wrote %s: open it in a browser", o.html)
		return nil
	case o.json:
		return terminal.WriteJSON(c.Out, made)
	}
	return o.print(c, made)
}

func (o *auditReportOptions) chain(ctx context.Context, c *call, r *store.Reader) (review.Chain, error) {
	began := c.Now()
	head, err := (&auditVerifyOptions{retentionMin: o.retentionMin}).verify(ctx, c, r, nil)
	if err != nil {
		return review.Chain{}, err
	}
	doubts := make([]review.Doubt, len(head.Warnings))
	for i, d := range head.Warnings {
		doubts[i] = review.Doubt(d)
	}
	return review.Chain{
		Verified: true, Events: head.Events, HeadSeq: head.Seq, HeadHash: hex.EncodeToString(head.Hash[:]),
		Seconds: c.Now().Sub(began).Seconds(), Doubts: doubts,
	}, nil
}
