// What a request is told before it waits, and before PostgreSQL hears of it.
package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"gprxy/pool"
)

// announced notes what a request is told: the pid of the backend it is to get, or "wait".
func announced(told *[]string, err error) func(*pool.Request) {
	return func(r *pool.Request) {
		r.Announce = func(_ context.Context, l *pool.Lease) error {
			what := "wait"
			if l != nil {
				what = itoa(l.PID())
			}
			*told = append(*told, what)
			return err
		}
	}
}

func TestARequestIsToldWhatComesNext(t *testing.T) {
	p, f := forwarded(t, maxConns(1))
	for _, row := range []struct {
		what    string
		prepare func()
		want    func(pid string, before string) []string
	}{
		{"no backend yet", func() {}, func(pid, _ string) []string { return []string{"wait", pid} }},
		{"an idle one", func() {}, func(pid, _ string) []string { return []string{pid} }},
		{"an idle one that is dead", func() { f.cutOnce.Store(true) },
			func(pid, before string) []string { return []string{before, "wait", pid} }},
	} {
		t.Run(row.what, func(t *testing.T) {
			before := lastPID(t, p, row.what != "no backend yet")
			row.prepare()
			var told []string
			l := acquire(t, p, request(setting("gprxy.user", "ann"), announced(&told, nil)))
			if want := row.want(itoa(l.PID()), before); !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			release(t, l)
		})
	}
}

// lastPID is the idle backend's, if there is one.
func lastPID(t *testing.T, p *pool.Pools, there bool) string {
	if !there {
		return ""
	}
	l := acquire(t, p, request())
	defer release(t, l)
	return itoa(l.PID())
}

func TestARequestIsToldBeforeItWaitsInLine(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	first := acquire(t, p, request())
	told := make(chan bool, 9)
	r := request()
	r.Announce = func(_ context.Context, l *pool.Lease) error { told <- l == nil; return nil }
	got := make(chan *pool.Lease)
	go func() { l, _ := p.Acquire(t.Context(), r); got <- l }()
	if waits := <-told; !waits { // while first is out
		t.Error("told of a backend that is not free")
	}
	release(t, first)
	release(t, <-got)
	if waits := <-told; waits || len(told) > 0 {
		t.Error("not told, once, which backend it is")
	}
}

// A request that may not go on leaves an idle backend as it was: it heard nothing, and serves the next.
func TestARequestThatMayNotGoOnReachesNothing(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	refused := errors.New("not recorded")
	var told []string
	if _, err := p.Acquire(t.Context(), request(announced(&told, refused))); err != refused {
		t.Errorf("got %v, want the announcement's own error", err)
	}
	if s := stat(p, request().Key); s != (pool.Stat{Key: request().Key}) || len(told) != 1 {
		t.Errorf("state %+v after %q", s, told)
	}
	l := acquire(t, p, request())
	pid := l.PID()
	release(t, l)
	heard := func() string {
		return admin(t, server, "postgres", fmt.Sprintf("SELECT state_change FROM pg_stat_activity WHERE pid = %d", pid))
	}
	before := heard()
	for range 3 {
		if _, err := p.Acquire(t.Context(), request(setting("gprxy.user", "ann"), announced(&told, refused))); err != refused {
			t.Errorf("got %v, want the announcement's own error", err)
		}
	}
	if after := heard(); after != before {
		t.Errorf("the backend heard of a refused request: state changed at %q, then at %q", before, after)
	}
	if next := acquire(t, p, request()); next.PID() != pid {
		t.Error("the idle backend was not kept")
	}
}

// What an idle backend has said before it is lent is seen without asking it: nobody is told that it would serve them.
func TestARequestIsNotToldOfABackendThatHasEnded(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request())
	release(t, l)
	terminate(t, itoa(l.PID()))
	var told []string
	next := acquire(t, p, request(announced(&told, nil)))
	if slices.Contains(told, itoa(l.PID())) || !slices.Contains(told, itoa(next.PID())) {
		t.Errorf("told %q of the backend %d that has ended, and of %d", told, l.PID(), next.PID())
	}
}
