// The pulse of the machine: how late it runs what is due, and how long its disk takes.
package main

import (
	"context"
	"os"
	"sync"
	"time"
)

const (
	timerBeat   = 2 * time.Millisecond
	diskBeat    = 20 * time.Millisecond
	pulseMemory = time.Second
	handOvers   = 2 // of a statement on its way into the file: from its session to the writer, from the writer to SQLite
)

// pulse measures by how much timers are late, and how long a page takes to the disk of the event log. What gprxy promises to
// have done within a time is late by as much: a promise to the millisecond cannot be tested where a program is not given a
// processor for longer, or stands in line for the disk.
type pulse struct {
	timers, disk longest
}

// run beats until ctx ends. The disk is that of dir.
func (p *pulse) run(ctx context.Context, dir string) {
	var beating sync.WaitGroup
	defer beating.Wait()
	beating.Go(func() { p.beatDisk(ctx, dir) })
	beats := time.NewTimer(timerBeat)
	defer beats.Stop()
	for due := time.Now().Add(timerBeat); ; due = time.Now().Add(timerBeat) {
		beats.Reset(timerBeat)
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
			p.timers.add(time.Since(due))
		}
	}
}

func (p *pulse) beatDisk(ctx context.Context, dir string) {
	f, err := os.CreateTemp(dir, "pulse-*")
	if err != nil {
		return // then nothing is forgiven
	}
	defer os.Remove(f.Name())
	defer f.Close()
	beats := time.NewTicker(diskBeat)
	defer beats.Stop()
	for page := make([]byte, 4096); ; {
		select {
		case <-ctx.Done():
			return
		case began := <-beats.C:
			if _, err := f.WriteAt(page, 0); err == nil && f.Sync() == nil {
				p.disk.add(time.Since(began))
			}
		}
	}
}

// late is by how much a statement may have come later to the file about now than gprxy promises.
func (p *pulse) late() time.Duration { return handOvers*p.timers.worst() + p.disk.worst() }

// longest is the longest of the last second's times. The zero value is ready; safe for concurrent use.
type longest struct {
	mu    sync.Mutex // guards what follows
	times []timeAt
}

type timeAt struct {
	at   time.Time
	took time.Duration
}

func (l *longest) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.times) > 0 && now.Sub(l.times[0].at) > pulseMemory {
		l.times = l.times[1:]
	}
	l.times = append(l.times, timeAt{now, took})
}

func (l *longest) worst() (worst time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.times {
		worst = max(worst, t.took)
	}
	return worst
}
