// Limits, order, eviction and the end of idle backends.
package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gprxy/pool"
)

func TestWaitingEndsWithTheLimitThatWasReached(t *testing.T) {
	for _, row := range []struct {
		limit  string
		config pool.Config
		second pool.Request
	}{
		{"POOL_MAX_CONNS", config(maxConns(1), acquireTimeout(50*time.Millisecond)), request()},
		{"POOL_MAX_TOTAL", config(maxConns(1), maxTotal(1), acquireTimeout(50*time.Millisecond)), request(user("other"))},
	} {
		t.Run(row.limit, func(t *testing.T) {
			p := newPools(t, row.config)
			first := acquire(t, p, request())
			_, err := p.Acquire(t.Context(), row.second)
			timeout, ok := errors.AsType[*pool.TimeoutError](err)
			if !ok || timeout.Limit != row.limit || timeout.Waited < 50*time.Millisecond {
				t.Fatalf("got %v", err)
			}
			release(t, first)
			eventually(t, "there is a place", func() bool { return served(t, p, row.second) })
		})
	}
}

func TestWaitingForTheTotalLeavesNoPlaceOfTheKeyTaken(t *testing.T) {
	p := newPools(t, config(maxConns(2), maxTotal(2), acquireTimeout(50*time.Millisecond)))
	first := acquire(t, p, request())
	acquire(t, p, request(user("other")))
	for range 3 {
		if _, err := p.Acquire(t.Context(), request(user("other"))); err == nil {
			t.Fatal("the limit was not kept")
		}
	}
	release(t, first)
	eventually(t, "there is a place", func() bool { return served(t, p, request(user("other"))) })
}

// served tells whether a request found a place before its time was over, which a busy machine may need for the login alone.
func served(t *testing.T, p *pool.Pools, r pool.Request) bool {
	t.Helper()
	l, err := p.Acquire(t.Context(), r)
	if err != nil {
		return false
	}
	t.Cleanup(l.Discard)
	return true
}

func TestACallerThatGivesUpLeavesNoPlaceTaken(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	first := acquire(t, p, request())
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := p.Acquire(ctx, request()); result <- err }()
	eventually(t, "the request waits", func() bool { return stat(p, request().Key).Waiting == 1 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release(t, first)
	release(t, acquire(t, p, request()))
	if s := stat(p, request().Key); s.Leased != 0 || s.Waiting != 0 || s.Open != 1 {
		t.Errorf("state %+v", s)
	}
}

func TestWhoWaitsLongIsToldOnceAndBeforeItGoesOn(t *testing.T) {
	p := newPools(t, config(maxConns(1), acquireTimeout(time.Minute)))
	first := acquire(t, p, request())
	told, mayGoOn := make(chan pool.Wait, 2), make(chan struct{})
	tell := func(r *pool.Request) {
		r.TellAfter = 20 * time.Millisecond
		r.Tell = func(w pool.Wait) { told <- w; <-mayGoOn }
	}
	served := make(chan *pool.Lease, 1)
	go func() {
		l, err := p.Acquire(t.Context(), request(tell))
		if err != nil {
			t.Error(err)
		}
		served <- l
	}()
	w := <-told
	if w.Limit != "POOL_MAX_CONNS" || w.Allowed != 1 || w.Waiting != 1 || w.Left < 50*time.Second || w.Left > time.Minute {
		t.Errorf("told %+v", w)
	}
	release(t, first)
	eventually(t, "the request has its place", func() bool { return stat(p, request().Key).Waiting == 0 })
	select {
	case <-served:
		t.Error("the request went on while it was being told")
	case <-time.After(50 * time.Millisecond):
	}
	close(mayGoOn)
	if l := <-served; l != nil {
		l.Discard()
	}
	acquire(t, p, request(tell, func(r *pool.Request) { r.TellAfter = 10 * time.Second })) // served at once
	if len(told) > 0 {
		t.Error("told twice, or without waiting")
	}
}

func TestRequestsAreServedInArrivalOrder(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	first := acquire(t, p, request())
	const n = 5
	order := make(chan int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			l, err := p.Acquire(t.Context(), request(person(fmt.Sprint(i))))
			if err != nil {
				t.Error(err)
				return
			}
			order <- i
			release(t, l)
		})
		eventually(t, "the request waits", func() bool { return stat(p, request().Key).Waiting == i+1 })
	}
	release(t, first)
	all.Wait()
	for want := range n {
		if got := <-order; got != want {
			t.Errorf("request %d was served as number %d", got, want)
		}
	}
}

// Every client brings parameters of its own, so that no backend fits the next one: idle ones have to go.
func TestOpenBackendsNeverExceedTheLimits(t *testing.T) {
	p := newPools(t, config(maxConns(3), maxTotal(4)))
	keys := []pool.Request{request(), request(user("other")), request(database("second"))}
	count := "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'limit%' AND "
	stop := make(chan struct{})
	var watcher, clients sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// The server counts too: a closed backend may take its time to leave.
			rows, err := server.Query(t.Context(), "postgres", count+"true")
			if err != nil || len(rows[0][0]) > 1 || rows[0][0] > "4" {
				t.Errorf("%v backends of 4, %v", rows, err)
			}
			open := 0
			for _, s := range p.Stats() {
				open += s.Open
				if s.Open > 3 || s.Leased > 3 {
					t.Errorf("too many of one key: %+v", s)
				}
			}
			if open > 4 {
				t.Errorf("%d backends are counted as open", open)
			}
		}
	})
	for client := range 8 {
		clients.Go(func() {
			for round := range 10 {
				r := keys[(client+round)%len(keys)]
				r.Parameters = []pool.Parameter{{Name: "application_name", Value: fmt.Sprintf("limit%d", (client*7+round)%5)}}
				l, err := p.Acquire(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Release(t.Context(), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	watcher.Wait()
}

func TestAnIdleBackendOfAnotherAccountMakesRoom(t *testing.T) {
	p := newPools(t, config(maxConns(1), maxTotal(1), acquireTimeout(2*time.Second)))
	for range 10 {
		first := acquire(t, p, request())
		release(t, first)
		second := acquire(t, p, request(user("other")))
		if s := stat(p, request().Key); s.Open != 0 {
			t.Errorf("the idle backend is still there: %+v", s)
		}
		// Not even PostgreSQL has it any more, which is what max_connections counts.
		gone := "SELECT count(*) FROM pg_stat_activity WHERE pid = " + itoa(first.PID())
		if got := ask(t, second, gone); got != "0" {
			t.Error("PostgreSQL still has the evicted backend")
		}
		release(t, second)
	}
}

func TestIdleBackendsGoAfterTheirTimeAndNothingIsLeft(t *testing.T) {
	p := newPools(t, config(func(c *pool.Config) { c.MaxIdleTime = 50 * time.Millisecond }))
	for i := range 5 {
		release(t, acquire(t, p, request(parameter("application_name", fmt.Sprint("idle", i)))))
	}
	eventually(t, "no key is left", func() bool { return len(p.Stats()) == 0 })
	eventually(t, "no backend is left", func() bool {
		return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'idle%'") == "0"
	})
}

func TestABackendIsClosedAtTheEndOfItsLifetime(t *testing.T) {
	p := newPools(t, config(maxConns(1), func(c *pool.Config) { c.MaxLifetime = 30 * time.Millisecond }))
	l := acquire(t, p, request())
	ask(t, l, "SELECT pg_sleep(0.05)")
	release(t, l)
	if next := acquire(t, p, request()); next.Reused() {
		t.Error("a backend was reused after its lifetime")
	}
}

func TestTheMostRecentlyUsedBackendIsReusedFirst(t *testing.T) {
	p := newPools(t, config(maxConns(3)))
	a, b := acquire(t, p, request()), acquire(t, p, request())
	warm := b.PID()
	release(t, a)
	release(t, b)
	if next := acquire(t, p, request()); next.PID() != warm {
		t.Error("a colder backend was taken")
	}
}
