// Backends that are replaced because they are old: what was changed in PostgreSQL takes effect.
package pool_test

import (
	"sync"
	"testing"
	"time"

	"gprxy/pool"
)

func TestReconnectReplacesWhatWasOpenedBefore(t *testing.T) {
	p := newPools(t, config(maxConns(2)))
	held, idle := acquire(t, p, request(user("other"))), acquire(t, p, request(user("other")))
	heldPID, idlePID := itoa(held.PID()), itoa(idle.PID())
	release(t, idle)
	admin(t, server, "postgres", "ALTER ROLE other SET work_mem = '3MB'")
	t.Cleanup(func() { admin(t, server, "postgres", "ALTER ROLE other RESET work_mem") })
	alive := func(pid string) bool {
		return admin(t, server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE pid = "+pid) == "1"
	}

	p.Reconnect()
	eventually(t, "the idle backend is closed", func() bool { return !alive(idlePID) })
	if ask(t, held, "SHOW work_mem") != "4MB" {
		t.Error("the session that goes on has another setting")
	}
	release(t, held)
	eventually(t, "the other one is closed when it is given back", func() bool { return !alive(heldPID) })
	next := acquire(t, p, request(user("other")))
	if next.Reused() || ask(t, next, "SHOW work_mem") != "3MB" {
		t.Error("what ALTER ROLE set has no effect")
	}
	release(t, next)
	if again := acquire(t, p, request(user("other"))); !again.Reused() {
		t.Error("what was opened afterwards is not reused")
	}
}

// Reconnect at any moment: no request fails, and the books come out even.
func TestReconnectUnderLoad(t *testing.T) {
	p := newPools(t, config(maxConns(3)))
	end := time.Now().Add(300 * time.Millisecond)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for time.Now().Before(end) {
				l, err := p.Acquire(t.Context(), request())
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Release(t.Context(), false); err != nil {
					t.Error(err)
				}
				p.Reconnect()
			}
		})
	}
	all.Wait()
	p.Reconnect()
	eventually(t, "nothing is left", func() bool { return stat(p, request().Key) == pool.Stat{Key: request().Key} })
}
