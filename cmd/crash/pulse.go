// The pulse of the machine: how late it runs what is due.
package main

import (
	"context"
	"sync"
	"time"
)

const (
	pulseBeat   = 2 * time.Millisecond
	pulseMemory = 500 // beats
)

// pulse measures by how much timers are late. What gprxy promises to have done within a time is late by as much: a promise
// to the millisecond cannot be tested where a program is not given a processor for longer.
type pulse struct {
	mu    sync.Mutex // guards what follows
	late  [pulseMemory]time.Duration
	count int
}

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	beats := time.NewTimer(pulseBeat)
	defer beats.Stop()
	for due := time.Now().Add(pulseBeat); ; due = time.Now().Add(pulseBeat) {
		beats.Reset(pulseBeat)
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
			p.beat(time.Since(due))
		}
	}
}

func (p *pulse) beat(late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late[p.count%pulseMemory] = max(0, late)
	p.count++
}

// worst is the longest delay of the last second or so.
func (p *pulse) worst() (worst time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, late := range p.late {
		worst = max(worst, late)
	}
	return worst
}
