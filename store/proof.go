// What the stretches found, put together in the order of the log.

package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PrunedRange is what a log.pruned says, and when it was written.
type PrunedRange struct {
	LogPruned
	At time.Time
}

// proof is the log as far as it was verified.
type proof struct {
	head  Head
	left  map[string]comparison // open sessions
	texts map[int64]int64       // ids of texts that events vouch for, with the seq of one
	gone  []goneRun
	said  []PrunedRange
	time  int64        // of the last event
	stray *BrokenError // of the last stretch with events
}

func newProof() *proof {
	return &proof{left: map[string]comparison{}, texts: map[int64]int64{}}
}

// add goes on with the next stretch. All of its late facts stand before what it found.
func (p *proof) add(st *stretch) error {
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
	for _, g := range st.gone {
		if g.after == 0 {
			g.after = p.time
		}
		p.gone = append(p.gone, g)
	}
	if st.time != 0 {
		p.time = st.time
	}
	p.said = append(p.said, st.said...)
	return nil
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
	if err := p.checkGone(); err != nil {
		return err
	}
	p.head.Pruned = joined(p.said)
	p.head.Doubts = doubtAges(p.gone, p.said)
	return onRaw(ctx, conn, func(c rawConn) error { return p.checkTexts(ctx, c) })
}

func (p *proof) byBegin(a, b string) int {
	return cmp.Compare(seqOf(p.left[a].stored), seqOf(p.left[b].stored))
}

// checkGone checks that log.pruned events tell of all events that are gone, and of no fewer and no more:
// among those that retention left standing, others could have been taken out since.
func (p *proof) checkGone() error {
	told := union(p.said)
	missing := int64(0)
	for _, s := range p.said {
		missing += s.Events
	}
	for _, g := range p.gone {
		missing -= g.to - g.from + 1
		i, _ := slices.BinarySearchFunc(told, g.from, func(t span, seq int64) int { return cmp.Compare(t.to, seq) })
		if i == len(told) || told[i].from > g.from || told[i].to < g.to {
			return &BrokenError{Seq: g.from, What: "this event is gone, and no log.pruned says so"}
		}
	}
	switch {
	case missing < 0 && len(p.gone) > 0:
		return &BrokenError{Seq: p.gone[0].from, What: fmt.Sprintf("from here on %d events more are gone than log.pruned events say", -missing)}
	case missing != 0:
		return &BrokenError{Seq: told[0].from, What: fmt.Sprintf("from here on log.pruned events tell of %d events more than are gone", missing)}
	}
	return nil
}

// union gives the spans that the ranges cover, in order and apart from each other.
func union(ranges []PrunedRange) (all []span) {
	ranges = slices.SortedFunc(slices.Values(ranges), func(a, b PrunedRange) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
	for _, r := range ranges {
		if n := len(all) - 1; n >= 0 && r.FirstSeq <= all[n].to+1 {
			all[n].to = max(all[n].to, r.LastSeq)
			continue
		}
		all = append(all, span{r.FirstSeq, r.LastSeq})
	}
	return all
}

// joined makes one range of those that one run of retention wrote step by step.
func joined(said []PrunedRange) (all []PrunedRange) {
	for _, s := range said {
		if n := len(all) - 1; n >= 0 && all[n].By == s.By && all[n].Before.Equal(s.Before) && s.At.Sub(all[n].At) < 24*time.Hour {
			all[n].FirstSeq = min(all[n].FirstSeq, s.FirstSeq)
			all[n].LastSeq = max(all[n].LastSeq, s.LastSeq)
			all[n].Events += s.Events
			continue
		}
		all = append(all, s)
	}
	return all
}

// checkTexts checks that each text is what its row says, and that an event vouches for the row.
func (p *proof) checkTexts(ctx context.Context, conn rawConn) error {
	rows, err := conn.query(`SELECT id, sha256, bytes, text, packed FROM texts ORDER BY id`)
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
		whole, err := unpack(shown, rows.blob(4), rows.int(2))
		sum := sha256.Sum256([]byte(whole))
		if err != nil || string(sum[:]) != string(rows.blob(1)) || int64(len(whole)) != rows.int(2) || shown != whole && shown != beginning(whole) {
			return &BrokenError{Seq: seq, What: fmt.Sprintf("the text %d, which it names, is not the one that was written", id)}
		}
	}
}
