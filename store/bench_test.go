// What an event, a login and a verification cost.

package store

import (
	"fmt"
	"slices"
	"sync"
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

// BenchmarkLogins is by how much the log makes a login longer: people log in and leave, so many at once, and
// each waits for the log once, as a login does for which a backend is idle.
func BenchmarkLogins(b *testing.B) {
	for _, people := range []int{1, 8, 32} {
		b.Run(fmt.Sprint("people=", people), func(b *testing.B) {
			d := open(b, logPath(b), Options{})
			var mu sync.Mutex // guards waits
			var waits []time.Duration
			var all sync.WaitGroup
			for range people {
				all.Go(func() {
					for range b.N {
						id, began := NewSessionID(time.Now()), time.Now()
						mustAppend(b, d, login(id, "ann", "app_reader", began)...)
						took := time.Since(began)
						d.Enqueue(end(id, time.Now()))
						mu.Lock()
						waits = append(waits, took)
						mu.Unlock()
					}
				})
			}
			all.Wait()
			slices.Sort(waits)
			b.ReportMetric(float64(b.N*people)/b.Elapsed().Seconds(), "logins/s")
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
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
