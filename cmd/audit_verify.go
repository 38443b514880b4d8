// gprxy audit verify: is the log complete and unaltered?

package cmd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

func auditVerifyCommand() command {
	return command{
		name:    "audit verify",
		summary: "check the hash chain of all events",
		about: "Finds an event that was changed, removed, inserted or moved, and exits with 1 and the first bad one. " +
			"What it cannot see from the file alone shows against a checkpoint that was kept elsewhere: a log whose end was cut off, " +
			"that was replaced by an older copy, or whose past was written anew.",
		examples: []example{
			{"gprxy audit verify", "check the log of this machine's proxy"},
			{"gprxy audit verify --checkpoint kept/checkpoint --key kept/gprxy.pub", "and that it goes on from what was signed then"},
			{"gprxy audit verify --indexes --event-log copy.db", "and that what people are shown is all that is there"},
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
	checkpoint, key string
	json, indexes   bool
	retentionMin    time.Duration // complete after validate
}

func (o *auditVerifyOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.checkpoint, "checkpoint", "", "check against this `FILE` too, a checkpoint that was kept elsewhere")
	fs.StringVar(&o.key, "key", "", "the `KEY` of the checkpoint, or its file; else the one beside the log")
	fs.BoolVar(&o.indexes, "indexes", false, "compare each index with its table too, which takes about as long again")
	fs.BoolVar(&o.json, "json", false, "print one JSON object")
	o.readOptions.flags(fs)
}

func (o *auditVerifyOptions) validate(c *call) error {
	if err := noEmptyFlag(c.set); err != nil {
		return err
	}
	if o.key != "" && o.checkpoint == "" {
		return usagef("--checkpoint FILE as well, or no --key", "--key is for --checkpoint")
	}
	s, warnings, err := settings.LoadOnly(c.sources(), "EVENT_LOG", "RETENTION_MIN")
	c.warn(warnings...)
	o.path, o.retentionMin = s.EventLog, s.Audit.RetentionMin
	return err
}

// verdict is the object of --json; stable.
type verdict struct {
	Intact bool `json:"intact"`
	// File is the one that was checked.
	File        checkedFile `json:"file"`
	Events      *int64      `json:"events"`
	FirstSeq    *int64      `json:"first_seq"`
	HeadSeq     *int64      `json:"head_seq"`
	HeadHash    *string     `json:"head_hash"`
	FirstBadSeq *int64      `json:"first_bad_seq"`
	Problem     *string     `json:"problem"`
	// Pruned is what retention gave up of the verified events.
	Pruned []prunedRange `json:"pruned"`
	// Doubts are what is possible and unlikely, and should be looked into.
	Doubts []doubt `json:"doubts"`
	// Checkpoint is the one of --checkpoint, which the log goes on from.
	Checkpoint *keptHead `json:"checkpoint"`
}

type checkedFile struct {
	Path string `json:"path"`
	Size int64  `json:"bytes"`
	WAL  int64  `json:"wal_bytes"`
}

type keptHead struct {
	Seq  int64   `json:"seq"`
	Hash string  `json:"hash"`
	Time *string `json:"time"`
	Key  string  `json:"key"`
}

type doubt struct {
	Seq  int64  `json:"seq"`
	What string `json:"what"`
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
	kept, err := o.kept()
	if err != nil {
		return err
	}
	file, err := r.File()
	if err != nil {
		return err
	}
	head, err := o.verify(ctx, c, r, kept)
	var broken *store.BrokenError
	if errors.As(err, &broken) && o.json {
		return errors.Join(terminal.WriteJSON(c.Out, verdict{File: checkedFile(file), FirstBadSeq: &broken.Seq, Problem: &broken.What}), err)
	}
	if broken != nil {
		c.note("file       %s", fileWords(file))
	}
	if err != nil {
		return err
	}
	return o.print(c, file, head, kept)
}

// fileWords names the file, and the write-ahead log beside it that was read with it.
func fileWords(f store.LogFile) string {
	words := fmt.Sprintf("%s, %d bytes", terminal.Printable(f.Path), f.Size)
	if f.WAL > 0 {
		words += fmt.Sprintf(", and %d in its -wal", f.WAL)
	}
	return words
}

// signedHead is a checkpoint, and who signed it.
type signedHead struct {
	store.Checkpoint
	by store.VerifierKey
}

// signedAt is the checkpoint's time; nil if it has none.
func (h *signedHead) signedAt() *string {
	if h.Time.IsZero() {
		return nil
	}
	at := h.Time.Format(store.TimeFormat)
	return &at
}

// kept reads the checkpoint; nil without one.
func (o *auditVerifyOptions) kept() (*signedHead, error) {
	if o.checkpoint == "" {
		return nil, nil
	}
	note, err := os.ReadFile(o.checkpoint)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	key := givenKey
	if o.key == "" {
		key = func(string) (store.VerifierKey, error) { return publicKey(o.path) }
	}
	by, err := key(o.key)
	if err != nil {
		return nil, err
	}
	c, err := store.OpenCheckpoint(note, by)
	if err != nil {
		return nil, err
	}
	return &signedHead{c, by}, nil
}

func (o *auditVerifyOptions) verify(ctx context.Context, c *call, r *store.Reader, kept *signedHead) (store.Head, error) {
	p := &progress{call: c}
	defer p.clear()
	defer debug.SetGCPercent(debug.SetGCPercent(verifyGC))
	against := store.Expected{RetentionMin: o.retentionMin, Now: c.Now()}
	if kept != nil {
		against.Checkpoint = &kept.Checkpoint
	}
	head, err := r.VerifyAgainst(ctx, against, func(done, total int64) {
		p.say("checked %d of %d events (%d %%)", done, total, done*100/max(total, 1))
	})
	if err == nil && o.indexes {
		p.say("comparing the indexes with their tables")
		err = r.VerifyIndexes(ctx)
	}
	return head, err
}

func (o *auditVerifyOptions) print(c *call, file store.LogFile, head store.Head, kept *signedHead) error {
	hash := hex.EncodeToString(head.Hash[:])
	ranges := make([]prunedRange, len(head.Pruned))
	for i, p := range head.Pruned {
		ranges[i] = prunedRange{p.Events, p.Before.Format(time.RFC3339), p.By, p.At.Format(store.TimeFormat), p.FirstSeq, p.LastSeq}
	}
	doubts := make([]doubt, len(head.Warnings))
	for i, d := range head.Warnings {
		doubts[i] = doubt(d)
	}
	if o.json {
		v := verdict{Intact: true, File: checkedFile(file), Events: &head.Events, FirstSeq: &head.First, HeadSeq: &head.Seq, HeadHash: &hash,
			Pruned: ranges, Doubts: doubts}
		if kept != nil {
			v.Checkpoint = &keptHead{kept.Seq, hex.EncodeToString(kept.Hash[:]), kept.signedAt(), kept.by.String()}
		}
		return terminal.WriteJSON(c.Out, v)
	}
	fmt.Fprintf(c.Out, "intact     %s\nhead seq   %d\nhead hash  %s\n", terminal.Counted(head.Events, "event"), head.Seq, hash)
	fmt.Fprintf(c.Out, "first seq  %d\nfile       %s\n", head.First, fileWords(file))
	if kept != nil {
		at := ""
		if t := kept.signedAt(); t != nil {
			at = " at " + *t
		}
		fmt.Fprintf(c.Out, "checkpoint seq %d of %s, signed with %s%s, is in it\n", kept.Seq, terminal.Printable(kept.Origin), kept.by.ID(), at)
		if at == "" {
			c.note("the checkpoint is one of an older gprxy and has no time: what it says of the times of events is not known")
		}
		if o.key == "" {
			c.note("the key was taken from beside the log; who can change the log may have changed it too: --key names one that was kept elsewhere")
		}
	}
	for _, p := range head.Pruned {
		fmt.Fprintf(c.Out, "pruned     %s from before %s, by %s at %s\n", terminal.Counted(p.Events, "event"), p.Before.Format(time.DateOnly),
			terminal.Printable(p.By), terminal.ShortTime(p.At))
	}
	for _, d := range doubts {
		c.note("doubtful   seq %d: %s", d.Seq, d.What)
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
