package session

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

	// With so many, or so many bytes, they are handed over at once.
	fullBlock      = 500
	fullBlockBytes = 1 << 20
)

var firstBeat = time.Now()

// A block gathers the statements that a session has finished: the log stores many of
// them for little more than one. It is guarded by the mu that it is given.
type block struct {
	mu      *sync.Mutex
	deliver func([]store.Statement)

	done  []store.Statement
	bytes int
	timer *time.Timer
	armed sync.WaitGroup
}

func newBlock(mu *sync.Mutex, deliver func([]store.Statement)) *block {
	b := &block{mu: mu, deliver: deliver}
	b.timer = time.AfterFunc(time.Hour, b.onTimer)
	b.timer.Stop() // until there is something to hand over
	return b
}

// add takes a statement. Called with mu held, as all but close.
func (b *block) add(s *store.Statement) {
	if len(b.done) == 0 {
		b.armed.Add(1)
		b.timer.Reset(handOver - time.Since(firstBeat)%handOver)
		b.done = store.Block()
	}
	b.done = append(b.done, *s)
	b.bytes += len(s.SQL) + len(s.Message)
	for _, p := range s.Params {
		b.bytes += len(p.Text)
	}
	if len(b.done) >= fullBlock || b.bytes >= fullBlockBytes {
		b.flush()
	}
}

// amend changes the last statement, unless it has been handed over.
func (b *block) amend(change func(*store.Statement)) bool {
	if len(b.done) == 0 {
		return false
	}
	change(&b.done[len(b.done)-1])
	return true
}

// flush hands over what there is.
func (b *block) flush() {
	if b.timer.Stop() {
		b.armed.Done()
	}
	if len(b.done) == 0 {
		return
	}
	b.deliver(b.done)
	b.done, b.bytes = nil, 0
}

func (b *block) onTimer() {
	defer b.armed.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

// close hands over the rest, and waits for the timer.
func (b *block) close() {
	b.mu.Lock()
	b.flush()
	b.mu.Unlock()
	b.armed.Wait()
}
