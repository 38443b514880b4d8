package session

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
)

// turns hands out a number of turns. When all are taken, the origins that wait
// get the next ones in rotation, so that one which wants many does not hold up
// another that wants one.
type turns struct {
	mu    sync.Mutex // guards all below, and the fields of lines and turnWaiters
	free  int
	lines map[netip.Prefix]*turnLine // of origins that wait
	next  list.List                  // of these lines, in the order of their turn
}

// turnLine is who waits of one origin, in the order of arrival.
type turnLine struct {
	from    netip.Prefix
	waiting list.List // of *turnWaiter
	place   *list.Element
}

type turnWaiter struct {
	line  *turnLine
	place *list.Element // in line.waiting; nil once it has its turn
	ready chan struct{} // closed when it has its turn
}

func newTurns(n int) *turns { return &turns{free: n} }

// take waits for a turn. done gives it back.
func (t *turns) take(ctx context.Context, from netip.Prefix) (done func(), err error) {
	w := t.arrive(from)
	if w == nil {
		return t.giveBack, nil
	}
	select {
	case <-w.ready:
		return t.giveBack, nil
	case <-ctx.Done():
		if !t.leave(w) {
			t.giveBack() // its turn came just now
		}
		return nil, context.Cause(ctx)
	}
}

// arrive takes a turn that is free, or else a place in line.
func (t *turns) arrive(from netip.Prefix) *turnWaiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return nil
	}
	line := t.lines[from]
	if line == nil {
		if t.lines == nil {
			t.lines = make(map[netip.Prefix]*turnLine)
		}
		line = &turnLine{from: from}
		line.place = t.next.PushBack(line)
		t.lines[from] = line
	}
	w := &turnWaiter{line: line, ready: make(chan struct{})}
	w.place = line.waiting.PushBack(w)
	return w
}

// giveBack hands a turn to who is next.
func (t *turns) giveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.next.Front()
	if first == nil {
		t.free++
		return
	}
	line := first.Value.(*turnLine)
	t.next.MoveToBack(first)
	w := line.waiting.Front().Value.(*turnWaiter)
	t.remove(w)
	close(w.ready)
}

// leave gives up waiting. It fails when the turn has come.
func (t *turns) leave(w *turnWaiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.place == nil {
		return false
	}
	t.remove(w)
	return true
}

func (t *turns) remove(w *turnWaiter) {
	w.line.waiting.Remove(w.place)
	w.place = nil
	if w.line.waiting.Len() == 0 {
		t.next.Remove(w.line.place)
		delete(t.lines, w.line.from)
	}
}
