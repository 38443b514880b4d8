package session

import (
	"sync/atomic"
	"testing"
	"time"
)

// An alarm goes off by the clock, wherever that is set to meanwhile.
func TestAlarmsFollowTheClock(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	var clock atomic.Int64 // since start
	a := &alarms{every: time.Millisecond, now: func() time.Time { return start.Add(time.Duration(clock.Load())) }}
	rang := make(chan string, 3)
	a.at(start.Add(time.Hour), func() { rang <- "in an hour" })
	a.at(start.Add(10*time.Hour), func() { rang <- "in ten hours" })
	clock.Store(int64(-5 * time.Hour)) // set back
	select {
	case what := <-rang:
		t.Errorf("%s: rang before its time", what)
	case <-time.After(20 * time.Millisecond): // some looks
	}
	clock.Store(int64(2 * time.Hour))
	select {
	case what := <-rang:
		if what != "in an hour" {
			t.Errorf("%s rang", what)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the clock was set forward, and nothing rang")
	}
	a.stop()
	a.wait()
	clock.Store(int64(20 * time.Hour))
	select {
	case what := <-rang:
		t.Errorf("%s: rang after the end", what)
	case <-time.After(20 * time.Millisecond):
	}
}
