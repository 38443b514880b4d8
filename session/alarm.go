package session

import (
	"sync"
	"time"
)

// How soon a clock that was set, or a machine that slept, is noticed.
const lookAtClock = 15 * time.Second

// alarms run functions at times of the wall clock, as tokens have them. A timer
// alone counts the time that passes, which is another once the clock is set.
type alarms struct {
	now   func() time.Time
	every time.Duration // looks at the clock

	mu      sync.Mutex // guards what follows
	stopped bool
	timers  []*time.Timer
	running sync.WaitGroup
}

// at runs f, in a goroutine of its own, once the clock shows t.
func (a *alarms) at(t time.Time, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(a.until(t), func() {
		a.mu.Lock()
		if a.stopped {
			a.mu.Unlock()
			return
		}
		if left := a.until(t); left > 0 {
			timer.Reset(left)
			a.mu.Unlock()
			return
		}
		a.running.Add(1)
		a.mu.Unlock()
		defer a.running.Done()
		f()
	})
	a.timers = append(a.timers, timer)
}

// each runs f again and again, with so long a pause before it.
func (a *alarms) each(pause time.Duration, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		a.mu.Lock()
		if a.stopped {
			a.mu.Unlock()
			return
		}
		a.running.Add(1)
		a.mu.Unlock()
		defer a.running.Done()
		f()
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.stopped {
			timer.Reset(pause)
		}
	})
	a.timers = append(a.timers, timer)
}

// until is how long to wait before the next look.
func (a *alarms) until(t time.Time) time.Duration { return min(a.every, max(0, t.Sub(a.now()))) }

// stop lets none begin any more; wait returns when those that run have ended.
func (a *alarms) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for _, timer := range a.timers {
		timer.Stop()
	}
}

func (a *alarms) wait() { a.running.Wait() }
