// What an event, a login and a verification cost.

package store

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkAppend is the cost of an event by the size of the call.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("events=", size), func(b *testing.B) {
			d := open(b, logPath(b), Options{})
			batch := make([]Event, size)
			for i := range batch {
				batch[i] = Event{Time: t0, Fact: CancelRejected{Client: "10.0.0.7:50412", BackendPID: 4711, Reason: "unknown_key"}}
			}
			for b.Loop() {
				mustAppend(b, d, batch...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
		})
	}
}

// BenchmarkLogins is the load of many people who log in and leave at once: two waits each.
func BenchmarkLogins(b *testing.B) {
	d := open(b, logPath(b), Options{})
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := NewSessionID(time.Now())
			events := login(id, "ann", "app_reader", time.Now())
			mustAppend(b, d, events[:3]...)
			mustAppend(b, d, events[3])
			d.Defer(end(id, time.Now()))
		}
	})
}

// BenchmarkVerify is the cost of verifying one event.
func BenchmarkVerify(b *testing.B) {
	path := logPath(b)
	d := open(b, path, Options{})
	const sessions = 20_000
	for i := 0; i < sessions; i += 200 {
		var batch []Event
		for j := range 200 {
			batch = append(batch, append(login(sessionID(i+j), "ann", "app_reader", t0), end(sessionID(i+j), t0))...)
		}
		mustAppend(b, d, batch...)
	}
	for b.Loop() {
		verified(b, path)
	}
	b.ReportMetric(float64(5*sessions*b.N)/b.Elapsed().Seconds(), "events/s")
}
