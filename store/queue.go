// The events that wait to be written, in the order they were handed over.

package store

// limits bound what waits in memory, by count and by bytes of payload.
type limits struct {
	events int
	bytes  int
}

var backlogLimits = limits{events: 100_000, bytes: 64 << 20}

// item is what one call handed over: its events stay together.
type item struct {
	events []encoded
	result chan error // nil if nobody waits; else has room for one and gets one
}

func (it item) size() int {
	n := 0
	for _, e := range it.events {
		n += len(e.body)
	}
	return n
}

// tell gives the waiter its result, once.
func (it *item) tell(err error) {
	if it.result != nil {
		it.result <- err
		it.result = nil
	}
}

// queue is a bounded FIFO. Events that somebody waits for may fill half of it: that somebody is
// refused and knows, while deferred events have no second chance.
type queue struct {
	limits limits
	items  []item
	events int
	bytes  int
	lost   int // events that found no room since the last outage began
}

func (q *queue) push(it item) bool {
	max := q.limits
	if it.result != nil {
		max = limits{events: max.events / 2, bytes: max.bytes / 2}
	}
	size := it.size()
	if q.events+len(it.events) > max.events || q.bytes+size > max.bytes {
		q.lost += len(it.events)
		return false
	}
	q.items = append(q.items, it)
	q.events += len(it.events)
	q.bytes += size
	return true
}

// peek gives the first items, of about n events together; they stay queued.
func (q *queue) peek(n int) []item {
	sum := 0
	for i, it := range q.items {
		if sum += len(it.events); sum >= n {
			return q.items[: i+1 : i+1]
		}
	}
	return q.items[:len(q.items):len(q.items)]
}

// drop removes the first n items.
func (q *queue) drop(n int) {
	for _, it := range q.items[:n] {
		q.events -= len(it.events)
		q.bytes -= it.size()
	}
	clear(q.items[:n])
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil // let the memory of a long backlog go
	}
}
