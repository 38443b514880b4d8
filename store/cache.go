// A bounded memory of what was looked up.

package store

// cache keeps values up to a limit of bytes, and then forgets about half of them, those that were not
// asked for lately. The zero value with a limit is ready; it is not safe for concurrent use.
type cache[K comparable, V any] struct {
	limit      int
	size       int // of young
	young, old map[K]cached[V]
}

type cached[V any] struct {
	value V
	size  int
}

func (c *cache[K, V]) get(k K) (V, bool) {
	if v, ok := c.young[k]; ok {
		return v.value, true
	}
	v, ok := c.old[k]
	if ok {
		c.put(k, v.value, v.size)
	}
	return v.value, ok
}

// put keeps a value that takes about size bytes, its key included.
func (c *cache[K, V]) put(k K, v V, size int) {
	if _, known := c.young[k]; !known {
		if c.size+size > c.limit/2 || c.young == nil {
			c.old, c.young, c.size = c.young, map[K]cached[V]{}, 0
		}
		c.size += size
	}
	c.young[k] = cached[V]{v, size}
}

func (c *cache[K, V]) forget() { c.young, c.old, c.size = nil, nil, 0 }
