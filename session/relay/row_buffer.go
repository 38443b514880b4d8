package relay

import (
	"sync"
	"time"

	"gprxy/store"
)

const (
	// A statement is handed over to the log at most so long after it was done: what the
	// log adds until it is on disk fits into store.AsyncWindow. All sessions do it at the
	// same beat, so that one commit serves them all.
	handOver = 40 * time.Millisecond

	// What the Sync will make of the last statement of a batch is mostly known so soon. A beat that comes earlier leaves it.
	leastOpen = handOver / 2

	// With so many, or so many bytes, they are handed over at once.
	fullRows  = 500
	fullBytes = 1 << 20
)

var firstBeat = time.Now()

// A rowBuffer gathers the statements that a session has finished: the log stores many of
// them for little more than one. It is guarded by the mu that it is given.
type rowBuffer struct {
	mu      *sync.Mutex
	deliver func([]store.Statement)

	done  []store.Statement
	open  int       // the place in done, from 1 on, of the last statement whose ReadyForQuery has yet to come; 0: none is here
	since time.Time // when that was done
	bytes int
	timer *time.Timer
	armed sync.WaitGroup
}

func newRowBuffer(mu *sync.Mutex, deliver func([]store.Statement)) *rowBuffer {
	b := &rowBuffer{mu: mu, deliver: deliver}
	b.timer = time.AfterFunc(time.Hour, b.onTimer)
	b.timer.Stop() // until there is something to hand over
	return b
}

// bytesOf is about what a statement takes.
func bytesOf(s *store.Statement) int {
	n := len(s.SQL) + len(s.Message)
	for _, p := range s.Params {
		n += len(p.Text)
	}
	return n
}

// addOpen takes a statement of which more may be known by the next ReadyForQuery.
func (b *rowBuffer) addOpen(s *store.Statement, at time.Time) {
	b.add(s)
	b.open, b.since = len(b.done), at // 0 if it was handed over at once
}

// add takes a statement. Called with mu held, as all but close.
func (b *rowBuffer) add(s *store.Statement) {
	if len(b.done) == 0 {
		b.armed.Add(1)
		b.timer.Reset(handOver - time.Since(firstBeat)%handOver)
		b.done = store.Block()
	}
	b.done = append(b.done, *s)
	b.bytes += bytesOf(s)
	if len(b.done) >= fullRows || b.bytes >= fullBytes {
		b.flush()
	}
}

// pending is the last statement that is open and those behind it, none if it has been handed over.
func (b *rowBuffer) pending() []store.Statement {
	if b.open == 0 {
		return nil
	}
	return b.done[b.open-1:]
}

// settle: nothing more will be known of what is open.
func (b *rowBuffer) settle() { b.open = 0 }

// flush hands over what there is.
func (b *rowBuffer) flush() {
	if b.timer.Stop() {
		b.armed.Done()
	}
	if len(b.done) == 0 {
		return
	}
	b.deliver(b.done)
	b.done, b.bytes, b.open = nil, 0, 0
}

func (b *rowBuffer) onTimer() {
	defer b.armed.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if young := leastOpen - time.Since(b.since); b.open > 0 && young > 0 {
		b.flushSettled()
		if !b.timer.Reset(young) {
			b.armed.Add(1)
		}
		return
	}
	b.flush()
}

// flushSettled hands over what stands before the statement that is open.
func (b *rowBuffer) flushSettled() {
	settled, kept := b.done[:b.open-1], b.done[b.open-1:]
	if len(settled) == 0 {
		return
	}
	b.done, b.bytes, b.open = append(store.Block(), kept...), 0, 1
	for i := range b.done {
		b.bytes += bytesOf(&b.done[i])
	}
	clear(kept)
	b.deliver(settled)
}

// close hands over the rest, and waits for the timer.
func (b *rowBuffer) close() {
	b.mu.Lock()
	b.flush()
	b.mu.Unlock()
	b.armed.Wait()
}
