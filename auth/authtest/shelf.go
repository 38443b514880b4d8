// Where things lie that wait for a second request.

package authtest

import "time"

// maxShelf bounds how many things of a kind wait.
const maxShelf = 50_000

// shelf keeps things by a key until a time, and not too many. The zero value is
// empty. The issuer's mutex guards it.
type shelf[V any] struct {
	items map[string]shelved[V]
}

type shelved[V any] struct {
	value V
	until time.Time
}

func (s *shelf[V]) get(key string, now time.Time) (V, bool) {
	item, ok := s.items[key]
	if !ok || !now.Before(item.until) {
		var none V
		return none, false
	}
	return item.value, true
}

// put reports false if there is no room.
func (s *shelf[V]) put(key string, value V, now, until time.Time) bool {
	if s.items == nil {
		s.items = map[string]shelved[V]{}
	}
	if len(s.items) >= maxShelf {
		s.sweep(now)
	}
	if len(s.items) >= maxShelf {
		return false
	}
	s.items[key] = shelved[V]{value, until}
	return true
}

func (s *shelf[V]) remove(key string) { delete(s.items, key) }

func (s *shelf[V]) sweep(now time.Time) {
	for key, item := range s.items {
		if !now.Before(item.until) {
			delete(s.items, key)
		}
	}
}
