// gprxy audit verify: is the log complete and unaltered?

package cmd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"gprxy/store"
)

func auditVerifyCommand() command {
	return command{
		name:    "audit verify",
		summary: "check the hash chain of all events",
		about: "Finds an event that was changed, removed, inserted or moved, and exits with 1 and the first bad one. " +
			"It prints the head of the chain: kept elsewhere, it also shows later whether the end of the log was cut off.",
		examples: []example{
			{"gprxy audit verify", "check the log of this machine's proxy"},
			{"gprxy audit verify --json --event-log copy.db", "check a copy, for a program"},
		},
		options: func() options { return &auditVerifyOptions{} },
	}
}

// verifyGC lets memory grow tenfold before it is collected: reading millions of rows leaves much
// behind and keeps little.
const verifyGC = 900

type auditVerifyOptions struct {
	readOptions
	json bool
}

func (o *auditVerifyOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.json, "json", false, "print one JSON object")
	o.readOptions.flags(fs)
}

func (o *auditVerifyOptions) validate(c *call) error { return o.readOptions.validate(c) }

// verdict is the object of --json; stable.
type verdict struct {
	Intact      bool    `json:"intact"`
	Events      *int64  `json:"events"`
	HeadSeq     *int64  `json:"head_seq"`
	HeadHash    *string `json:"head_hash"`
	FirstBadSeq *int64  `json:"first_bad_seq"`
	Problem     *string `json:"problem"`
	// Pruned is what retention gave up of the verified events.
	Pruned []prunedRange `json:"pruned"`
}

type prunedRange struct {
	Events   int64  `json:"events"`
	Before   string `json:"before"`
	By       string `json:"by"`
	Time     string `json:"time"`
	FirstSeq int64  `json:"first_seq"`
	LastSeq  int64  `json:"last_seq"`
}

func (o *auditVerifyOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	p := &progress{call: c}
	defer debug.SetGCPercent(debug.SetGCPercent(verifyGC))
	head, err := r.Verify(ctx, func(done, total int64) {
		p.say("checked %d of %d events (%d %%)", done, total, done*100/max(total, 1))
	})
	p.clear()
	var broken *store.BrokenError
	if errors.As(err, &broken) && o.json {
		return errors.Join(writeJSON(c.Out, verdict{FirstBadSeq: &broken.Seq, Problem: &broken.What}), err)
	}
	if err != nil {
		return err
	}
	return o.print(c, head)
}

func (o *auditVerifyOptions) print(c *call, head store.Head) error {
	hash := hex.EncodeToString(head.Hash[:])
	ranges := make([]prunedRange, len(head.Pruned))
	for i, p := range head.Pruned {
		ranges[i] = prunedRange{p.Events, p.Before.Format(time.RFC3339), p.By, p.At.Format(store.TimeFormat), p.FirstSeq, p.LastSeq}
	}
	if o.json {
		return writeJSON(c.Out, verdict{Intact: true, Events: &head.Events, HeadSeq: &head.Seq, HeadHash: &hash, Pruned: ranges})
	}
	fmt.Fprintf(c.Out, "intact     %s\nhead seq   %d\nhead hash  %s\n", counted(head.Events, "event"), head.Seq, hash)
	for _, p := range head.Pruned {
		fmt.Fprintf(c.Out, "pruned     %s from before %s, by %s at %s\n", counted(p.Events, "event"), p.Before.Format(time.DateOnly), printable(p.By), shortTime(p.At))
	}
	return nil
}

// progress shows on a terminal how far a long command has come, ten times a second at most.
type progress struct {
	call  *call
	last  time.Time
	shown bool
}

func (p *progress) say(format string, args ...any) {
	now := p.call.Now()
	if p.call.ErrWidth == 0 || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.call.Err, "\r"+format, args...)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.call.Err, "\r\x1b[K")
	}
}
