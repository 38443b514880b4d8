// What a log.pruned may say. Whoever owns the file can take events out, append that retention did it and
// compute every hash anew, so what is said must be possible by itself: by its own time, by its neighbours
// in the log, and by a checkpoint that was signed and kept elsewhere.

package store

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// PrunedRange is what a log.pruned says, and when it was written.
type PrunedRange struct {
	LogPruned
	At time.Time

	seq           int64 // of the log.pruned
	before, after int64 // times of the events that stand around it; 0 for none
}

// check says what is wrong with it by itself: a prune of ours gives up whole days that ended a day ago or
// earlier, of events that stand before it.
func (s *PrunedRange) check() *BrokenError {
	broken := func(format string, args ...any) *BrokenError {
		return &BrokenError{s.seq, fmt.Sprintf(format, args...)}
	}
	switch {
	case s.FirstSeq < 1 || s.LastSeq < s.FirstSeq || s.LastSeq >= s.seq:
		return broken("this log.pruned tells of the events %d to %d, which cannot have been pruned before it", s.FirstSeq, s.LastSeq)
	case s.Events < 1 || s.Events > s.LastSeq-s.FirstSeq+1:
		return broken("this log.pruned tells of %d events among %d to %d", s.Events, s.FirstSeq, s.LastSeq)
	case s.Before.After(s.At):
		return broken("this log.pruned gave up events from before %s, which was in the future when it was written, %s",
			shortly(s.Before), shortly(s.At))
	case s.Before.After(s.At.Add(-leastAge)):
		return broken("this log.pruned gave up events from before %s, less than a day before it was written, %s",
			shortly(s.Before), shortly(s.At))
	}
	return nil
}

func shortly(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// goneRun is a run of pruned events, and the times of the events that stand around it; 0 if none does. next
// passes over log.pruned events, which are there only because of the runs.
type prunedRun struct {
	span
	after, next int64
	teller      int // which of the log.pruned tells of it: of several, the one about the latest day
}

// findTellers finds for each run the log.pruned that tells of it. The runs are in order.
func findTellers(gone []prunedRun, said []PrunedRange) *BrokenError {
	order := make([]int, len(said))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(said[a].FirstSeq, said[b].FirstSeq) })
	telling := byBefore{claimed: said} // of those that begin before the run
	for i := range gone {
		g := &gone[i]
		for len(order) > 0 && said[order[0]].FirstSeq <= g.from {
			heap.Push(&telling, order[0])
			order = order[1:]
		}
		for telling.Len() > 0 && said[telling.of[0]].LastSeq < g.to {
			heap.Pop(&telling)
		}
		if telling.Len() == 0 {
			return &BrokenError{Seq: g.from, What: "this event is gone, and no log.pruned says so"}
		}
		g.teller = telling.of[0]
	}
	return nil
}

// byBefore is a heap of which the first is about the latest day.
type byBefore struct {
	claimed []PrunedRange
	of      []int
}

func (h *byBefore) Len() int { return len(h.of) }
func (h *byBefore) Less(i, j int) bool {
	return h.claimed[h.of[i]].Before.After(h.claimed[h.of[j]].Before)
}
func (h *byBefore) Swap(i, j int) { h.of[i], h.of[j] = h.of[j], h.of[i] }
func (h *byBefore) Push(x any)    { h.of = append(h.of, x.(int)) }
func (h *byBefore) Pop() any {
	last := len(h.of) - 1
	x := h.of[last]
	h.of = h.of[:last]
	return x
}

// checkGone checks that log.pruned events tell of all events that are gone, and of no fewer and no more:
// among those that retention left standing, others could have been taken out since.
func checkGone(gone []prunedRun, said []PrunedRange) *BrokenError {
	if err := findTellers(gone, said); err != nil {
		return err
	}
	missing := int64(0)
	for _, s := range said {
		missing += s.Events
	}
	for _, g := range gone {
		missing -= g.to - g.from + 1
	}
	switch {
	case missing < 0 && len(gone) > 0:
		return &BrokenError{Seq: gone[0].from, What: fmt.Sprintf("from here on %d events more are gone than log.pruned events say", -missing)}
	case missing != 0:
		first := slices.MinFunc(said, func(a, b PrunedRange) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
		return &BrokenError{first.FirstSeq, fmt.Sprintf("from here on log.pruned events tell of %d events more than are gone", missing)}
	}
	return nil
}

// checkFuture finds what was given up as older than a day that has not come yet.
func checkFuture(said []PrunedRange, now time.Time) *BrokenError {
	for _, s := range said {
		if s.Before.After(now) {
			return &BrokenError{s.seq, fmt.Sprintf("this log.pruned gave up events from before %s, and by the clock of this machine it is %s now",
				shortly(s.Before), shortly(now))}
		}
	}
	return nil
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
