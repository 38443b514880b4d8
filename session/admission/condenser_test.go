package admission

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"gprxy/store"
)

// named is an origin as the tests write it.
func named(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.Addr().String()
}

// kept is a condenser whose reports are kept.
func kept() (*Condenser, *[]store.LogCondensed) {
	var mu sync.Mutex
	all := new([]store.LogCondensed)
	t := NewCondenser(named, func(facts []Condensed) {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range facts {
			*all = append(*all, f.LogCondensed)
		}
	})
	return t, all
}

// Nothing is lost: what is not recorded by itself is counted, with its kind, its
// origin and its time.
func TestCondenserLosesNothing(t *testing.T) {
	c, reports := kept()
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	single := 0
	const each = 500
	for i := range each {
		for _, what := range []string{"session.refused", "cancel.rejected"} {
			if c.Admit(what, "why", from("192.0.2.1"), start.Add(time.Duration(i)*time.Millisecond)) {
				single++
			}
		}
	}
	c.Close()
	if single != recordedPerOrigin {
		t.Errorf("%d were recorded one by one, want %d", single, recordedPerOrigin)
	}
	counted := 0
	for _, r := range *reports {
		counted += int(r.Count)
		if r.Client != "192.0.2.1" || r.Reason != "why" || r.First.Before(start) || r.Last.Sub(start) != (each-1)*time.Millisecond {
			t.Errorf("report %+v", r)
		}
	}
	if len(*reports) != 2 || single+counted != 2*each {
		t.Errorf("%d single and %d counted are not %d: %+v", single, counted, 2*each, *reports)
	}
}

// A clock that is set back under what is counted makes no time run back.
func TestCondenserUnderAClockThatIsSetBack(t *testing.T) {
	c, reports := kept()
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for range recordedPerOrigin + 1 {
		c.Admit("session.refused", "why", from("192.0.2.1"), start)
	}
	if c.Admit("session.refused", "why", from("192.0.2.1"), start.Add(-5*time.Hour)) {
		t.Error("a clock that is set back made room")
	}
	c.Close()
	if r := (*reports)[0]; r.Count != 2 || !r.First.Equal(start) || r.Last.Before(r.First) {
		t.Errorf("report %+v", r)
	}
}

// One noisy origin does not use up what others may have recorded; all together
// they are bounded too, and so is what is remembered and reported of them.
func TestCondenserBounds(t *testing.T) {
	c, reports := kept()
	now := time.Now()
	for range 10_000 {
		c.Admit("session.refused", "why", from("192.0.2.1"), now)
	}
	if !c.Admit("session.refused", "why", from("192.0.2.2"), now) {
		t.Error("a quiet origin is not recorded because another is noisy")
	}
	single := 0
	for i := range 100_000 {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if c.Admit("session.refused", "why", netip.PrefixFrom(address, 32), now) {
			single++
		}
	}
	if want := recordedInAll - recordedPerOrigin - 1; single != want {
		t.Errorf("of 100,000 origins %d were recorded one by one, want %d", single, want)
	}
	if n := len(c.origins.byKey); n > condensedOrigins {
		t.Errorf("%d origins are remembered", n)
	}
	c.Close()
	counted := int64(0)
	for _, r := range *reports {
		counted += r.Count
	}
	if len(*reports) > namedOrigins+1 || counted != 10_000-recordedPerOrigin+100_000-int64(single) {
		t.Errorf("%d counted in %d reports", counted, len(*reports))
	}
}

// With time there is room again.
func TestCondenserRecovers(t *testing.T) {
	c, _ := kept()
	defer c.Close()
	now := time.Now()
	for range 2 * recordedPerOrigin {
		c.Admit("session.ended", "why", from("192.0.2.1"), now)
	}
	if c.Admit("session.ended", "why", from("192.0.2.1"), now.Add(4*time.Second)) {
		t.Error("recorded after 4 s")
	}
	if !c.Admit("session.ended", "why", from("192.0.2.1"), now.Add(6*time.Second)) {
		t.Error("not recorded after 6 s")
	}
}

// The report comes by itself, again and again.
func TestCondenserReportsInTime(t *testing.T) {
	reported := make(chan int64, 10)
	c := NewCondenser(named, func(facts []Condensed) { reported <- facts[0].Count })
	c.every = 10 * time.Millisecond
	defer c.Close()
	for range recordedPerOrigin {
		c.Admit("session.ended", "why", from("192.0.2.1"), time.Now())
	}
	for range 3 {
		c.Admit("session.ended", "why", from("192.0.2.1"), time.Now())
		if n := <-reported; n != 1 {
			t.Errorf("reported %d", n)
		}
	}
}

func TestLRUForgetsWhatWasNotAskedForLongest(t *testing.T) {
	r := LRU[string, int]{Most: 3}
	for _, key := range []string{"a", "b", "c"} {
		*r.Entry(key) = len(key)
	}
	r.Find("a")
	r.Entry("d")
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := r.Find(key) != nil; got != want {
			t.Errorf("%s is known: %v", key, got)
		}
	}
}

func BenchmarkCondenser(b *testing.B) {
	c, _ := kept()
	defer c.Close()
	for i := range b.N {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		c.Admit("session.refused", "why", netip.PrefixFrom(address, 32), time.Now())
	}
}
