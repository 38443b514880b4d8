// What a checkpoint that was kept elsewhere says of the log: that it goes on from there, and what stood in
// it at that time.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// checkHeld checks that the log, whose chain is intact up to last, goes on from the checkpoint. It gives a
// *BrokenError if the end was cut off, an older copy was put back, or the past was written anew.
func checkHeld(ctx context.Context, conn *sql.Conn, last int64, c Checkpoint) error {
	if last < c.Seq {
		return &BrokenError{Seq: last + 1, What: fmt.Sprintf("the log ends before this event, but a checkpoint says that there are %d: "+
			"its end was cut off, or an older copy stands in its place", c.Seq)}
	}
	held, err := holds(ctx, conn, c)
	if err != nil || held {
		return err
	}
	return &BrokenError{Seq: c.Seq, What: "a checkpoint has another hash for this event: it, or one before it, was written anew"}
}

// holds reports whether the event c.Seq has the hash, also among those that were pruned.
func holds(ctx context.Context, conn *sql.Conn, c Checkpoint) (held bool, err error) {
	if c.Seq == 0 {
		return c.Hash == hash{}, nil
	}
	const here = `SELECT EXISTS (SELECT 1 FROM events NOT INDEXED WHERE seq = ? AND hash = ?)`
	err = conn.QueryRowContext(ctx, here, c.Seq, c.Hash[:]).Scan(&held)
	if err != nil || held {
		return held, err
	}
	err = onRaw(ctx, conn, func(raw rawConn) error {
		runs, err := runsIn(raw, c.Seq-1, math.MaxInt64, 1)
		if err != nil || len(runs) == 0 || runs[0].first > c.Seq {
			return err
		}
		before, err := headBefore(raw, runs[0].first-1)
		held = err == nil && runs[0].has(before.hash, c.Hash)
		return err
	})
	return held, err
}

// signedTime compares the times of events with that of a checkpoint: up to its seq events were written before
// it was signed, the others after.
type signedTime struct {
	seq, at int64 // at is in microseconds; math.MinInt64 if nothing is to be compared

	late, early strange // events up to seq that are younger, and events behind it that are older
}

// strange are events whose times do not fit.
type strange struct {
	count, first int64
	most         int64 // by how much the worst one differs
}

func newSignedTime(c *Checkpoint) signedTime {
	if c == nil || c.Time.IsZero() {
		return signedTime{at: math.MinInt64}
	}
	return signedTime{seq: c.Seq, at: c.Time.UnixMicro()}
}

func (s *signedTime) add(e *event) {
	const slack = int64(lateSlack / time.Microsecond)
	switch {
	case s.at == math.MinInt64:
	case e.seq <= s.seq && e.time > s.at+slack:
		s.late.add(strange{1, e.seq, e.time - s.at})
	case e.seq > s.seq && e.time < s.at-slack:
		s.early.add(strange{1, e.seq, s.at - e.time})
	}
}

func (s *strange) add(more strange) {
	if s.count == 0 {
		s.first = more.first
	}
	s.count += more.count
	s.most = max(s.most, more.most)
}

// check holds the prunes against the signed time. Without one there is nothing to say.
func (s *signedTime) check(gone []prunedRun, said []PrunedRange) (warnings []Warning, err *BrokenError) {
	if s.at == math.MinInt64 {
		return nil, nil
	}
	at := fromMicro(s.at)
	if s.late.count > 0 {
		warnings = append(warnings, Warning{s.late.first, fmt.Sprintf("its time, and that of %d events more, is after %s, "+
			"when the checkpoint was signed over it: the clock was set back, or is not to be trusted", s.late.count-1, shortly(at))})
	}
	if s.early.count > 0 {
		warnings = append(warnings, Warning{s.early.first, fmt.Sprintf("its time, and that of %d events more, is before %s, "+
			"when a checkpoint was signed that does not have it: it waited for a full disk, the clock was set back, or it was made up later",
			s.early.count-1, shortly(at))})
	}
	for _, p := range said {
		if p.seq <= s.seq && p.Before.After(at) {
			return nil, &BrokenError{p.seq, fmt.Sprintf("this log.pruned gave up events from before %s, "+
				"and stood in the log already at %s, when the checkpoint was signed", shortly(p.Before), shortly(at))}
		}
	}
	return warnings, s.checkBehind(gone, said)
}

// checkBehind checks what was pruned behind the checkpoint's head: that was written after the checkpoint was
// signed, and cannot be older, unless the clock was set back by so much, which other events would show.
func (s *signedTime) checkBehind(gone []prunedRun, said []PrunedRange) *BrokenError {
	if s.early.most > int64(clockSlack/time.Microsecond) {
		return nil
	}
	at := fromMicro(s.at)
	for _, g := range gone {
		if before := said[g.teller].Before; g.to > s.seq && before.Before(at.Add(-clockSlack)) {
			return &BrokenError{max(g.from, s.seq+1), fmt.Sprintf("it was given up as one from before %s, "+
				"but it was written after %s, when the checkpoint was signed", shortly(before), shortly(at))}
		}
	}
	return nil
}

// notedHead is what a log.checkpointed says.
type notedHead struct {
	seq int64 // of the log.checkpointed
	Checkpoint
}

// warnNoted warnings the log if a log.checkpointed in it has another hash than the chain: somebody wrote the past
// anew and left the signed hashes as they were, or an outage brought the event into a log that begins anew.
func warnNoted(ctx context.Context, conn *sql.Conn, noted []notedHead) ([]Warning, error) {
	for _, n := range noted {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		held, err := holds(ctx, conn, n.Checkpoint)
		if err != nil {
			return nil, err
		}
		if !held {
			return []Warning{{n.seq, fmt.Sprintf("this log.checkpointed has another hash for the event %d: "+
				"the past was written anew, or the log begun anew under it", n.Seq)}}, nil
		}
	}
	return nil, nil
}

var errNotHead = errors.New("its hash cannot be read")
