package admission

import (
	"container/list"
	"time"
)

// LRU is a table of bounded size that forgets what was not asked for longest.
// What strangers can fill is kept in one.
type LRU[K comparable, V any] struct {
	Most  int
	byKey map[K]*list.Element
	order list.List // of *lruEntry, the latest first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

// Find returns what is known of key, nil if nothing is.
func (r *LRU[K, V]) Find(key K) *V {
	element := r.byKey[key]
	if element == nil {
		return nil
	}
	r.order.MoveToFront(element)
	return &element.Value.(*lruEntry[K, V]).value
}

// Entry is Find that begins with the zero value where nothing is known.
func (r *LRU[K, V]) Entry(key K) *V {
	if known := r.Find(key); known != nil {
		return known
	}
	if r.byKey == nil {
		r.byKey = make(map[K]*list.Element)
	}
	if len(r.byKey) >= r.Most {
		last := r.order.Back()
		delete(r.byKey, last.Value.(*lruEntry[K, V]).key)
		r.order.Remove(last)
	}
	fresh := &lruEntry[K, V]{key: key}
	r.byKey[key] = r.order.PushFront(fresh)
	return &fresh.value
}

// A LeakyBucket fills with what happens, and drains with time. The zero value is empty.
type LeakyBucket struct {
	Level float64
	at    time.Time // when it had that level
}

// Fill adds n, may be 0, to what perSecond has left of the level, and returns it.
func (b *LeakyBucket) Fill(n float64, now time.Time, perSecond float64) float64 {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.Level = max(0, b.Level-passed*perSecond)
	}
	b.Level += n
	b.at = now
	return b.Level
}
