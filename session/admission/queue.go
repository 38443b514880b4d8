package admission

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
)

// A FairQueue hands out a number of turns. When all are taken, the origins that wait
// get the next ones in rotation, so that an origin which wants many does not hold up
// another that wants one. It is safe for concurrent use.
type FairQueue struct {
	mu    sync.Mutex // guards all below, and the fields of lines and waiters
	free  int
	lines map[netip.Prefix]*originLine // of origins that wait
	next  list.List                    // of these lines, in the order of their turn
}

// originLine is who waits of one origin, in the order of arrival.
type originLine struct {
	from    netip.Prefix
	waiting list.List // of *waiter
	place   *list.Element
}

type waiter struct {
	line  *originLine
	place *list.Element // in line.waiting; nil once it has its turn
	ready chan struct{} // closed when it has its turn
}

// NewFairQueue gives a queue for n turns at a time.
func NewFairQueue(n int) *FairQueue { return &FairQueue{free: n} }

// Acquire waits for a turn, until ctx ends. release gives it back.
func (q *FairQueue) Acquire(ctx context.Context, from netip.Prefix) (release func(), err error) {
	w := q.arrive(from)
	if w == nil {
		return q.release, nil
	}
	select {
	case <-w.ready:
		return q.release, nil
	case <-ctx.Done():
		if !q.leave(w) {
			q.release() // its turn came just now
		}
		return nil, context.Cause(ctx)
	}
}

// arrive takes a turn that is free, or else a place in line.
func (q *FairQueue) arrive(from netip.Prefix) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		return nil
	}
	line := q.lines[from]
	if line == nil {
		if q.lines == nil {
			q.lines = make(map[netip.Prefix]*originLine)
		}
		line = &originLine{from: from}
		line.place = q.next.PushBack(line)
		q.lines[from] = line
	}
	w := &waiter{line: line, ready: make(chan struct{})}
	w.place = line.waiting.PushBack(w)
	return w
}

// release hands a turn to who is next.
func (q *FairQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.next.Front()
	if first == nil {
		q.free++
		return
	}
	line := first.Value.(*originLine)
	q.next.MoveToBack(first)
	w := line.waiting.Front().Value.(*waiter)
	q.remove(w)
	close(w.ready)
}

// leave gives up waiting. It fails when the turn has come.
func (q *FairQueue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.place == nil {
		return false
	}
	q.remove(w)
	return true
}

func (q *FairQueue) remove(w *waiter) {
	w.line.waiting.Remove(w.place)
	w.place = nil
	if w.line.waiting.Len() == 0 {
		q.next.Remove(w.line.place)
		delete(q.lines, w.line.from)
	}
}

// Waiting is how many wait for their turn.
func (q *FairQueue) Waiting() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.lines {
		n += line.waiting.Len()
	}
	return n
}
