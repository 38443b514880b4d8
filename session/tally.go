package session

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gprxy/store"
)

// A tally bounds how fast strangers can make the log grow. What they cause is
// recorded one by one while it is little, which is enough to see who it is; what
// is more is counted, and the counts are recorded. Logins that were judged are
// never counted here: each stands in the log.
type tally struct {
	every  time.Duration // from the first thing counted to the report
	report func([]condensed)

	mu      sync.Mutex // guards all below
	total   bucket
	origins recent[netip.Prefix, bucket]
	counts  map[tallied]*tallyCount
	timer   *time.Timer // to the report, nil when nothing is counted
	closed  bool

	reports sync.WaitGroup // timers that are set
}

// tallied is what counts as the same thing.
type tallied struct {
	of, reason string
	from       netip.Prefix // the zero value: of several or unknown origins
}

type tallyCount struct {
	n, logged   int64 // logged: of them had a line of the log each
	first, last time.Time
}

// condensed is what is reported.
type condensed struct {
	store.LogCondensed
	logged int64
}

const (
	// Recorded one by one: this many at once, and then as many per second.
	recordedPerOrigin       = 60
	recordedPerOriginSecond = 0.2
	recordedInAll           = 1000
	recordedInAllSecond     = 2

	// How many origins are remembered, and how many are named in one report.
	tallyOrigins  = 4096
	tallyReported = 16

	tallyEvery = 30 * time.Second
)

func newTally(report func([]condensed)) *tally {
	return &tally{every: tallyEvery, report: report, origins: recent[netip.Prefix, bucket]{most: tallyOrigins}}
}

// admit tells whether something is to be recorded by itself. If not it has been
// counted.
func (t *tally) admit(of, reason string, from netip.Prefix, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.take(from, now) {
		t.count(tallied{of, reason, from}, now)
		return false
	}
	return true
}

// admitLine counts something that is no event by itself, in any case, and tells whether it may have a line of the log.
func (t *tally) admitLine(of, reason string, from netip.Prefix, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.count(tallied{of, reason, from}, now)
	if !t.take(from, now) {
		return false
	}
	c.logged++
	return true
}

// spend takes note of something that had to be recorded by itself.
func (t *tally) spend(from netip.Prefix, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.take(from, now)
}

// spent tells whether admit would only count what comes from there.
func (t *tally) spent(from netip.Prefix, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.room(from, now)
}

// take uses up room for one thing, if there is any. Called with mu held, as room
// and count.
func (t *tally) take(from netip.Prefix, now time.Time) bool {
	if !t.room(from, now) {
		return false
	}
	t.total.level++
	if from.IsValid() {
		t.origins.entry(from).level++
	}
	return true
}

// room tells whether one thing more may be recorded by itself.
func (t *tally) room(from netip.Prefix, now time.Time) bool {
	if t.total.fill(0, now, recordedInAllSecond)+1 > recordedInAll {
		return false
	}
	return !from.IsValid() || t.origins.entry(from).fill(0, now, recordedPerOriginSecond)+1 <= recordedPerOrigin
}

func (t *tally) count(what tallied, now time.Time) *tallyCount {
	c := t.counts[what]
	if c == nil && len(t.counts) >= tallyReported {
		what.from = netip.Prefix{}
		c = t.counts[what]
	}
	if c == nil {
		if t.counts == nil {
			t.counts = make(map[tallied]*tallyCount)
		}
		c = &tallyCount{first: now}
		t.counts[what] = c
	}
	c.n++
	c.last = now
	if t.timer == nil && !t.closed {
		t.reports.Add(1)
		t.timer = time.AfterFunc(t.every, func() { defer t.reports.Done(); t.flush() })
	}
	return c
}

// flush reports what was counted.
func (t *tally) flush() {
	t.mu.Lock()
	counts := t.counts
	t.counts, t.timer = nil, nil
	t.mu.Unlock()
	var facts []condensed
	for _, what := range slices.SortedFunc(maps.Keys(counts), tallied.compare) {
		c := counts[what]
		facts = append(facts, condensed{logged: c.logged, LogCondensed: store.LogCondensed{
			Of: what.of, Reason: what.reason, Client: prefixName(what.from),
			Count: c.n, First: c.first.UTC(), Last: c.first.Add(max(0, c.last.Sub(c.first))).UTC(), // the clock may have been set back
		}})
	}
	if len(facts) > 0 {
		t.report(facts)
	}
}

// close reports what was counted, and waits for a report that is under way.
func (t *tally) close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil && t.timer.Stop() {
		t.reports.Done()
	}
	t.mu.Unlock()
	t.reports.Wait()
	t.flush()
}

func (w tallied) compare(other tallied) int {
	return cmp.Or(cmp.Compare(w.of, other.of), cmp.Compare(w.reason, other.reason), w.from.Addr().Compare(other.from.Addr()))
}

// prefixName is an origin as people write it: an address, or an IPv6 network.
func prefixName(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case peers.Contains(p.Addr()):
		return peerName(p)
	case p.IsSingleIP():
		return p.Addr().String()
	default:
		return p.String()
	}
}
