// The limit of one person.
package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"gprxy/pool"
)

func maxPerPerson(n int) func(*pool.Config) { return func(c *pool.Config) { c.MaxPerPerson = n } }

func TestAPersonHoldsNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(maxConns(30), maxPerPerson(3)))
	requests := []pool.Request{request(), request(user("other")), request(database("second"))} // the limit is over all of them
	var all sync.WaitGroup
	var served, refused atomic.Int32
	leases := make(chan *pool.Lease, 20)
	for i := range 20 {
		all.Go(func() {
			l, err := p.Acquire(t.Context(), requests[i%3])
			limit, ok := errors.AsType[*pool.PersonError](err)
			switch {
			case err == nil:
				served.Add(1)
				leases <- l
			case ok && limit.Allowed == 3:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if served.Load() != 3 || refused.Load() != 17 {
		t.Errorf("%d got a backend, %d were refused", served.Load(), refused.Load())
	}
	acquire(t, p, request(person("bob")))
	(<-leases).Discard()
	leases <- acquire(t, p, request())
	if _, err := p.Acquire(t.Context(), request()); err == nil {
		t.Error("the end of one made room for two")
	}
	(<-leases).Discard()
	(<-leases).Release(t.Context(), false)
	(<-leases).Abandon(t.Context())
	for range 3 {
		acquire(t, p, request())
	}
	if _, err := p.Acquire(t.Context(), request()); err == nil {
		t.Error("a fourth")
	}
}

// Every way a request or a lease can end gives its place back, once.
func TestAPlaceOfAPersonComesBack(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(maxConns(1), maxPerPerson(1)))
	for name, end := range map[string]func(){
		"a wrong password": func() {
			if _, err := p.Acquire(t.Context(), request(password("wrong"))); codeOf(err) != "28P01" {
				t.Error(err)
			}
		},
		"a wrong setting": func() {
			if _, err := p.Acquire(t.Context(), request(setting("work_mem", "x"))); codeOf(err) != "22023" {
				t.Error(err)
			}
		},
		"a caller who gives up": func() {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := p.Acquire(ctx, request()); err == nil {
				t.Error("served")
			}
		},
		"two ends":       func() { l := acquire(t, p, request()); release(t, l); l.Discard(); release(t, l) },
		"an unclean end": func() { l := acquire(t, p, request()); ask(t, l, "BEGIN"); l.Release(t.Context(), false) },
		"a refused parameter": func() {
			if _, err := p.Acquire(t.Context(), request(parameter("no_such", "x"))); codeOf(err) != "42704" {
				t.Error(err)
			}
		},
	} {
		end()
		l := acquire(t, p, request())
		if _, err := p.Acquire(t.Context(), request()); err == nil {
			t.Errorf("after %s: more than one", name)
		}
		l.Discard()
	}
}

// A person who waits counts: who fills the line keeps others from it.
func TestWaitingCountsForThePerson(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(maxConns(1), maxPerPerson(1)))
	bobs := acquire(t, p, request(person("bob")))
	served := make(chan error, 1)
	go func() {
		l, err := p.Acquire(t.Context(), request())
		if err == nil {
			l.Discard()
		}
		served <- err
	}()
	eventually(t, "ann waits", func() bool { return stat(p, request().Key).Waiting == 1 })
	if _, err := p.Acquire(t.Context(), request()); err == nil || stat(p, request().Key).Waiting != 1 {
		t.Errorf("got %v", err)
	}
	release(t, bobs)
	if err := <-served; err != nil {
		t.Error(err)
	}
}
