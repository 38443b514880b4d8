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
}

func (o *auditVerifyOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	p := &progress{call: c}
	defer debug.SetGCPercent(debug.SetGCPercent(verifyGC))
	head, err := r.Verify(ctx, p.show)
	p.clear()
	var broken *store.BrokenError
	if errors.As(err, &broken) && o.json {
		return errors.Join(writeJSON(c.Out, verdict{FirstBadSeq: &broken.Seq, Problem: &broken.What}), err)
	}
	if err != nil {
		return err
	}
	hash := hex.EncodeToString(head.Hash[:])
	if o.json {
		return writeJSON(c.Out, verdict{Intact: true, Events: &head.Events, HeadSeq: &head.Seq, HeadHash: &hash})
	}
	fmt.Fprintf(c.Out, "intact     %s\nhead seq   %d\nhead hash  %s\n", counted(head.Events, "event"), head.Seq, hash)
	return nil
}

// progress shows on a terminal how far the check has come, ten times a second at most.
type progress struct {
	call  *call
	last  time.Time
	shown bool
}

func (p *progress) show(done, total int64) {
	now := p.call.Now()
	if p.call.ErrWidth == 0 || total == 0 || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.call.Err, "\rchecked %d of %d events (%d %%)", done, total, done*100/total)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.call.Err, "\r\x1b[K")
	}
}
