package admission

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gprxy/store"
)

// A Condenser bounds how fast strangers can make the log grow. What they cause is
// recorded one by one while it is little, which is enough to see who it is; what
// is more is counted, and the counts are recorded. Logins that were judged are
// never counted here: each stands in the log.
type Condenser struct {
	name   func(netip.Prefix) string // an origin as people write it
	every  time.Duration             // from the first thing counted to the report
	report func([]Condensed)

	mu      sync.Mutex // guards all below
	total   LeakyBucket
	origins LRU[netip.Prefix, LeakyBucket]
	counts  map[kind]*counted
	timer   *time.Timer // to the report, nil when nothing is counted
	closed  bool

	reports sync.WaitGroup // timers that are set
}

// kind is what counts as the same thing.
type kind struct {
	of, reason string
	from       netip.Prefix // the zero value: of several or unknown origins
}

type counted struct {
	n, logged   int64 // logged: of them had a line of the log each
	first, last time.Time
}

// Condensed is what is reported: things of one kind and origin that were counted together.
type Condensed struct {
	store.LogCondensed
	Logged int64 // so many of them had a line of the log each
}

const (
	// Recorded one by one: this many at once, and then as many per second.
	recordedPerOrigin       = 60
	recordedPerOriginSecond = 0.2
	recordedInAll           = 1000
	recordedInAllSecond     = 2

	// How many origins are remembered, and how many are named in one report.
	condensedOrigins = 4096
	namedOrigins     = 16

	reportEvery = 30 * time.Second
)

// NewCondenser gives one that has report write down, every half minute, what was only counted. name gives an origin as
// people write it, "" for the zero value. Close ends it.
func NewCondenser(name func(netip.Prefix) string, report func([]Condensed)) *Condenser {
	return &Condenser{name: name, every: reportEvery, report: report, origins: LRU[netip.Prefix, LeakyBucket]{Most: condensedOrigins}}
}

// Admit tells whether something is to be recorded by itself. If not it has been
// counted.
func (c *Condenser) Admit(of, reason string, from netip.Prefix, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.take(from, now) {
		c.count(kind{of, reason, from}, now)
		return false
	}
	return true
}

// AdmitLine counts something that is no event by itself, in any case, and tells whether it may have a line of the log.
func (c *Condenser) AdmitLine(of, reason string, from netip.Prefix, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.count(kind{of, reason, from}, now)
	if !c.take(from, now) {
		return false
	}
	n.logged++
	return true
}

// Spend takes note of something that had to be recorded by itself.
func (c *Condenser) Spend(from netip.Prefix, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(from, now)
}

// Spent tells whether Admit would only count what comes from there.
func (c *Condenser) Spent(from netip.Prefix, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.room(from, now)
}

// take uses up room for one thing, if there is any. Called with mu held, as room
// and count.
func (c *Condenser) take(from netip.Prefix, now time.Time) bool {
	if !c.room(from, now) {
		return false
	}
	c.total.Level++
	if from.IsValid() {
		c.origins.Entry(from).Level++
	}
	return true
}

// room tells whether one thing more may be recorded by itself.
func (c *Condenser) room(from netip.Prefix, now time.Time) bool {
	if c.total.Fill(0, now, recordedInAllSecond)+1 > recordedInAll {
		return false
	}
	return !from.IsValid() || c.origins.Entry(from).Fill(0, now, recordedPerOriginSecond)+1 <= recordedPerOrigin
}

func (c *Condenser) count(what kind, now time.Time) *counted {
	n := c.counts[what]
	if n == nil && len(c.counts) >= namedOrigins {
		what.from = netip.Prefix{}
		n = c.counts[what]
	}
	if n == nil {
		if c.counts == nil {
			c.counts = make(map[kind]*counted)
		}
		n = &counted{first: now}
		c.counts[what] = n
	}
	n.n++
	n.last = now
	if c.timer == nil && !c.closed {
		c.reports.Add(1)
		c.timer = time.AfterFunc(c.every, func() { defer c.reports.Done(); c.flush() })
	}
	return n
}

// flush reports what was counted.
func (c *Condenser) flush() {
	c.mu.Lock()
	counts := c.counts
	c.counts, c.timer = nil, nil
	c.mu.Unlock()
	var facts []Condensed
	for _, what := range slices.SortedFunc(maps.Keys(counts), kind.compare) {
		n := counts[what]
		facts = append(facts, Condensed{Logged: n.logged, LogCondensed: store.LogCondensed{
			Of: what.of, Reason: what.reason, Client: c.name(what.from),
			Count: n.n, First: n.first.UTC(), Last: n.first.Add(max(0, n.last.Sub(n.first))).UTC(), // the clock may have been set back
		}})
	}
	if len(facts) > 0 {
		c.report(facts)
	}
}

// Close reports what was counted, and waits for a report that is under way.
func (c *Condenser) Close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil && c.timer.Stop() {
		c.reports.Done()
	}
	c.mu.Unlock()
	c.reports.Wait()
	c.flush()
}

func (w kind) compare(other kind) int {
	return cmp.Or(cmp.Compare(w.of, other.of), cmp.Compare(w.reason, other.reason), w.from.Addr().Compare(other.from.Addr()))
}
