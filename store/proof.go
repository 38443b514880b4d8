// What the segments found, put together in the order of the log.

package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// proof is the log as far as it was verified.
type proof struct {
	against Expected
	signed  signedTime

	head    Head
	left    map[string]comparison // open sessions
	texts   map[int64]int64       // ids of texts that events vouch for, with the seq of one
	pruned  []prunedRun
	claimed []PrunedRange
	noted   []notedHead
	time    int64        // of the last event
	stray   *BrokenError // of the last segment with events
}

func newProof(against Expected) *proof {
	return &proof{against: against, signed: newSignedTime(against.Checkpoint), left: map[string]comparison{}, texts: map[int64]int64{}}
}

// add goes on with the next segment. All of its late facts stand before what it found.
func (p *proof) add(st *segment) error {
	for _, f := range st.projection.late {
		c, open := p.left[f.session]
		if !open {
			continue
		}
		if err := foldInto(p.left, c, f); err != nil {
			return err
		}
	}
	p.head.Seq, p.head.Hash = st.chain.head.seq, st.chain.head.hash
	p.head.Events += st.chain.events
	switch {
	case st.found != nil && (p.stray == nil || st.found.Seq <= p.stray.Seq):
		return st.found
	case p.stray != nil && st.chain.events > 0:
		return p.stray
	case p.stray == nil:
		p.stray = st.stray
	}
	maps.Copy(p.left, st.projection.left)
	for id, v := range st.texts {
		p.texts[id] = v.seq
	}
	p.addPrunes(st)
	p.signed.late.add(st.signed.late)
	p.signed.early.add(st.signed.early)
	p.noted = append(p.noted, st.noted...)
	return nil
}

// addPrunes goes on with what the segment has of prunes, and with the times of the events around them.
func (p *proof) addPrunes(st *segment) {
	if p.head.First == 0 {
		p.head.First = st.first
	}
	if n := len(p.pruned) - 1; n >= 0 && p.pruned[n].next == 0 {
		p.pruned[n].next = st.next
	}
	if n := len(p.claimed) - 1; n >= 0 && p.claimed[n].after == 0 {
		p.claimed[n].after = st.firstTime
	}
	for _, g := range st.pruned {
		if g.after == 0 {
			g.after = p.time
		}
		p.pruned = append(p.pruned, g)
	}
	for _, s := range st.claimed {
		if s.before == 0 {
			s.before = p.time
		}
		p.claimed = append(p.claimed, s)
	}
	if st.first != 0 {
		p.time = st.time
	}
}

// end checks what only the whole log tells.
func (p *proof) end(ctx context.Context, conn *sql.Conn) error {
	if p.stray != nil {
		return p.stray
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.left), p.byBegin) {
		if err := p.left[id].compare(); err != nil {
			return err
		}
	}
	if err := p.checkPrunes(); err != nil {
		return err
	}
	if err := onRaw(ctx, conn, func(c rawConn) error { return p.checkTexts(ctx, c) }); err != nil {
		return err
	}
	noted, err := warnNoted(ctx, conn, p.noted)
	if err != nil {
		return err
	}
	p.head.Warnings = append(p.head.Warnings, noted...)
	if c := p.against.Checkpoint; c != nil {
		return checkHeld(ctx, conn, p.head.Seq, *c)
	}
	return nil
}

// checkPrunes checks what is gone, and what is said of it.
func (p *proof) checkPrunes() error {
	if err := checkGone(p.pruned, p.claimed); err != nil {
		return err
	}
	if err := checkFuture(p.claimed, p.against.Now); err != nil {
		return err
	}
	warnings, err := p.signed.check(p.pruned, p.claimed)
	if err != nil {
		return err
	}
	p.head.Pruned = joined(p.claimed)
	p.head.Warnings = append(warnPrunes(p.pruned, p.claimed, p.against), warnings...)
	return nil
}

func (p *proof) byBegin(a, b string) int {
	return cmp.Compare(seqOf(p.left[a].stored), seqOf(p.left[b].stored))
}

// checkTexts checks that each text is what its row says, and that an event vouches for the row.
func (p *proof) checkTexts(ctx context.Context, conn rawConn) error {
	rows, err := conn.query(`SELECT id, sha256, bytes, text, packed, packed IS NULL FROM texts NOT INDEXED ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.close()
	for {
		more, err := rows.next()
		if err != nil || !more {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		id := rows.int(0)
		seq, named := p.texts[id]
		if !named {
			return &BrokenError{Seq: p.head.Seq, What: fmt.Sprintf("the table texts has the text %d, which no event names", id)}
		}
		shown := rows.text(3)
		packed := rows.blobOrNull(4)
		whole, err := unpack(shown, packed, rows.int(2))
		sum := sha256.Sum256([]byte(whole))
		if err != nil || string(sum[:]) != string(rows.blob(1)) || int64(len(whole)) != rows.int(2) ||
			shown != whole && shown != beginning(whole) || (packed == nil) != (rows.int(5) == 1) {
			return &BrokenError{Seq: seq, What: fmt.Sprintf("the text %d, which it names, is not the one that was written", id)}
		}
	}
}
