// Backends that die while idle or in the reset, and the end of the pools.
package pool_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"gprxy/pool"
)

func TestABackendThatPostgreSQLEndedWhileIdleIsReplaced(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	ends := map[string]func(pid string){"pg_terminate_backend": func(pid string) { terminate(t, pid) }}
	if version(t, server) >= 14 {
		ends["idle_session_timeout"] = func(string) {}
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			if name == "idle_session_timeout" {
				admin(t, server, "postgres", "ALTER ROLE other SET idle_session_timeout = '30ms'")
			}
			l := acquire(t, p, request(user("other")))
			pid := itoa(l.PID())
			release(t, l)
			end(pid)
			eventually(t, "the backend is gone", func() bool {
				return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE pid = "+pid) == "0"
			})
			admin(t, server, "postgres", "ALTER ROLE other RESET ALL")
			next := acquire(t, p, request(user("other")))
			if next.Reused() || ask(t, next, "SELECT 1") != "1" {
				t.Error("the dead backend was handed out")
			}
			next.Discard()
		})
	}
}

// terminate ends a backend and waits for its end.
func terminate(t *testing.T, pid string) {
	t.Helper()
	admin(t, server, "postgres", "SELECT pg_terminate_backend("+pid+")")
	eventually(t, "the backend is gone", func() bool {
		return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE pid = "+pid) == "0"
	})
}

// idle_session_timeout counts from the last answer. A session must not inherit what the idle backend has left of it, also
// when there is nothing to set.
func TestIdleTimeBeginsAnewWithTheLease(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	release(t, acquire(t, p, request()))
	last := func(pid uint32) string {
		return admin(t, server, "postgres", "SELECT state_change FROM pg_stat_activity WHERE state = 'idle' AND pid = "+itoa(pid))
	}
	l := acquire(t, p, request())
	before := last(l.PID())
	release(t, l)
	between := last(l.PID())
	if again := acquire(t, p, request()); !again.Reused() || before == "" || last(again.PID()) == between {
		t.Errorf("idle since %s before the lease and after it", between)
	}
}

func TestAConnectionLostInTheResetIsCountedOnce(t *testing.T) {
	p, f := forwarded(t, maxConns(2))
	acquire(t, p, request())
	for range 3 {
		l := acquire(t, p, request())
		f.cutOnce.Store(true)
		if err := l.Release(t.Context(), false); err == nil {
			t.Error("the backend went back over a lost connection")
		}
		// pgconn closes a lost connection in the background, and dials to cancel what it ran.
		eventually(t, "pgconn is done", func() bool { return f.open.Load() == 1 })
		if s := stat(p, request().Key); s.Open != 1 || s.Leased != 1 {
			t.Errorf("state %+v", s)
		}
	}
}

// The idle backend looks alive and is not: the loss shows when the settings are sent.
func TestALossNoticedWithTheSettingsIsNotTheClients(t *testing.T) {
	p, f := forwarded(t, maxConns(1))
	release(t, acquire(t, p, request()))
	f.cutOnce.Store(true)
	l := acquire(t, p, request(setting("gprxy.user", "ann")))
	if l.Reused() || ask(t, l, `SHOW gprxy."user"`) != "ann" {
		t.Error("the lost backend was handed out")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	p, err := pool.New(config(maxConns(2)))
	if err != nil {
		t.Fatal(err)
	}
	release(t, acquire(t, p, request(parameter("application_name", "closing"))))
	out := acquire(t, p, request(parameter("application_name", "closing1")))
	other := acquire(t, p, request(parameter("application_name", "closing2")))
	waiting := make(chan error, 1)
	go func() { _, err := p.Acquire(t.Context(), request()); waiting <- err }()
	eventually(t, "the request waits", func() bool { return stat(p, request().Key).Waiting == 1 })
	for range 2 { // twice is fine
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waiting; !errors.Is(err, pool.ErrClosed) {
		t.Errorf("the waiting request got %v", err)
	}
	for _, l := range []*pool.Lease{out, other} {
		if _, err := l.Conn().Write([]byte{'X', 0, 0, 0, 4}); err == nil {
			t.Error("a lease's connection is still open")
		}
		l.Discard()
	}
	if _, err := p.Acquire(t.Context(), request()); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("Acquire after Close: %v", err)
	}
	if err := p.CheckLogin(t.Context(), request()); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("CheckLogin after Close: %v", err)
	}
	eventually(t, "the backends are gone", func() bool {
		return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'closing%'") == "0"
	})
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
}

// Startup parameters are the client's choice: none of them may leave a goroutine or a timer behind.
func TestParametersLeaveNoGoroutines(t *testing.T) {
	p := newPools(t, config(maxConns(2)))
	release(t, acquire(t, p, request()))
	before := runtime.NumGoroutine()
	for i := range 30 {
		l := acquire(t, p, request(parameter("application_name", strings.Repeat("x", i+1))))
		release(t, l)
	}
	eventually(t, "the goroutines of closed subpools are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestCloseIsBoundByItsContext(t *testing.T) {
	p, f, letGo := holding(t)
	l := acquire(t, p, request())
	done := make(chan error, 1)
	go func() { done <- l.Cancel(context.WithoutCancel(t.Context())) }()
	<-f.held
	released := make(chan error, 1)
	go func() { released <- l.Release(t.Context(), false) }()
	eventually(t, "the release has begun", l.HasEnded)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := p.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) { // nil: all had ended by then
		t.Errorf("got %v", err)
	}
	letGo()
	<-done
	<-released
}
