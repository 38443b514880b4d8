package session

import (
	"container/list"
	"time"
)

// recent is a table of bounded size that forgets what was not asked for longest.
// What strangers can fill is kept in one.
type recent[K comparable, V any] struct {
	most  int
	byKey map[K]*list.Element
	order list.List // of *recentEntry, the latest first
}

type recentEntry[K comparable, V any] struct {
	key   K
	value V
}

// find returns what is known of key, nil if nothing is.
func (r *recent[K, V]) find(key K) *V {
	element := r.byKey[key]
	if element == nil {
		return nil
	}
	r.order.MoveToFront(element)
	return &element.Value.(*recentEntry[K, V]).value
}

// entry is find that begins with the zero value where nothing is known.
func (r *recent[K, V]) entry(key K) *V {
	if known := r.find(key); known != nil {
		return known
	}
	if r.byKey == nil {
		r.byKey = make(map[K]*list.Element)
	}
	if len(r.byKey) >= r.most {
		last := r.order.Back()
		delete(r.byKey, last.Value.(*recentEntry[K, V]).key)
		r.order.Remove(last)
	}
	fresh := &recentEntry[K, V]{key: key}
	r.byKey[key] = r.order.PushFront(fresh)
	return &fresh.value
}

// A bucket fills with what happens, and drains with time. The zero value is empty.
type bucket struct {
	level float64
	at    time.Time // when it had that level
}

// fill adds n, may be 0, to what perSecond has left of the level, and returns it.
func (b *bucket) fill(n float64, now time.Time, perSecond float64) float64 {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.level = max(0, b.level-passed*perSecond)
	}
	b.level += n
	b.at = now
	return b.level
}
