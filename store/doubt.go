// What of retention is possible and unlikely.

package store

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// goneRun is a run of pruned events, and the time of the event that stands before it; 0 if none does.
type goneRun struct {
	span
	after int64
}

// clockSlack is by how much a clock may have been set back without a doubt.
const clockSlack = 24 * time.Hour

// doubtAges doubts that events were given up for their age where the event before them, which is older as
// a rule, is younger than what any log.pruned that tells of them was about. Somebody who takes out
// events of yesterday and appends that retention did it is found so, unless nothing stands before them.
func doubtAges(gone []goneRun, said []PrunedRange) (doubts []Doubt) {
	said = slices.SortedFunc(slices.Values(said), func(a, b PrunedRange) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
	var telling byBefore // of those that begin before the run, the one about the latest day first
	told := map[PrunedRange]bool{}
	for _, g := range gone {
		for len(said) > 0 && said[0].FirstSeq <= g.from {
			heap.Push(&telling, said[0])
			said = said[1:]
		}
		for len(telling) > 0 && telling[0].LastSeq < g.to {
			heap.Pop(&telling)
		}
		if len(telling) == 0 || g.after == 0 {
			continue
		}
		s, before := telling[0], fromMicro(g.after)
		if before.After(s.Before.Add(clockSlack)) && !told[s] {
			told[s] = true
			doubts = append(doubts, Doubt{g.from, fmt.Sprintf("by the log.pruned of %s it was given up as one from before %s, but the event before it is of %s",
				s.At.Format(time.DateOnly), s.Before.Format(time.DateOnly), before.Format(time.DateOnly))})
		}
	}
	return doubts
}

// byBefore is a heap, of which the first is about the latest day.
type byBefore []PrunedRange

func (h byBefore) Len() int           { return len(h) }
func (h byBefore) Less(i, j int) bool { return h[i].Before.After(h[j].Before) }
func (h byBefore) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byBefore) Push(x any)        { *h = append(*h, x.(PrunedRange)) }
func (h *byBefore) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
