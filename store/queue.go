// The events that wait to be written, in the order they were handed over.

package store

// limits bound what waits in memory, by count and by bytes of payload. Statements that nobody waits for
// are counted apart: none is refused, but sessions do not go on while there are more than these bytes (DB.WaitForSpace).
type limits struct {
	events     int
	bytes      int
	statements int
}

var backlogLimits = limits{events: 100_000, bytes: 64 << 20, statements: 32 << 20}

// item is what one call handed over: its events stay together.
type item struct {
	events []encoded
	result chan error // nil if nobody waits; else has room for one and gets one
	last   *int64     // nil, or where the seq of the last event goes before the result
	bytes  int        // of payload; set by push

	deferredStatements bool // statements that nobody waits for; set by push
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
	limits     limits
	items      []item
	events     int
	bytes      int
	statements int           // bytes of deferred statements
	room       chan struct{} // closed when there is room for statements again; nil if nobody asked
	lost       int           // events that found no room since the last outage began
}

func (q *queue) push(it item) bool {
	for i := range it.events {
		it.bytes += it.events[i].size()
	}
	it.deferredStatements = it.result == nil && it.events[0].statements != nil
	if it.deferredStatements {
		q.items = append(q.items, it)
		q.statements += it.bytes
		return true
	}
	max := q.limits
	if it.result != nil {
		max = limits{events: max.events / 2, bytes: max.bytes / 2}
	}
	if q.events+len(it.events) > max.events || q.bytes+it.bytes > max.bytes {
		q.lost += len(it.events)
		return false
	}
	q.items = append(q.items, it)
	q.events += len(it.events)
	q.bytes += it.bytes
	return true
}

// A batch ends with the item that brings it to so many events or bytes.
const (
	maxBatch      = 1000
	maxBatchBytes = 16 << 20
)

// peek gives the first items, of about one batch together; they stay queued.
func (q *queue) peek() []item {
	events, bytes := 0, 0
	for i, it := range q.items {
		events += len(it.events)
		bytes += it.bytes
		if events >= maxBatch || bytes >= maxBatchBytes {
			return q.items[: i+1 : i+1]
		}
	}
	return q.items[:len(q.items):len(q.items)]
}

// drop removes the first n items.
func (q *queue) drop(n int) {
	for _, it := range q.items[:n] {
		if it.deferredStatements {
			q.statements -= it.bytes
			continue
		}
		q.events -= len(it.events)
		q.bytes -= it.bytes
	}
	clear(q.items[:n])
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil // let the memory of a long backlog go
	}
	if q.room != nil && !q.full() {
		close(q.room)
		q.room = nil
	}
}

// waiting counts the events, each statement for itself.
func (q *queue) waiting() (n int64) {
	for _, it := range q.items {
		for i := range it.events {
			n += it.events[i].count()
		}
	}
	return n
}

// full reports whether sessions have to wait before they run more statements.
func (q *queue) full() bool { return q.statements > q.limits.statements }

// whenRoom gives what is closed when the queue is no longer full.
func (q *queue) whenRoom() <-chan struct{} {
	if q.room == nil {
		q.room = make(chan struct{})
	}
	return q.room
}
