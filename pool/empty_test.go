// Idle backends do not stand in the way of who wants a database for himself.
package pool_test

import (
	"testing"
	"time"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

func emptyTime(d time.Duration) func(*pool.Config) {
	return func(c *pool.Config) { c.MaxEmptyTime = d }
}

// Nobody asks the pools: the statement goes to PostgreSQL past them, which waits for 5 s.
func TestADatabaseThatNobodyIsLeftInCanBeDropped(t *testing.T) {
	t.Parallel()
	admin(t, server, "postgres", "CREATE DATABASE left_by_all")
	p := newPools(t, config(emptyTime(100*time.Millisecond)))
	for _, account := range []string{"app", "other"} {
		release(t, acquire(t, p, request(database("left_by_all"), user(account))))
	}
	admin(t, server, "postgres", "DROP DATABASE left_by_all")
}

// A database with a session keeps its idle backends, whoever the session's account is.
func TestADatabaseWithASessionKeepsItsIdleBackends(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(emptyTime(50*time.Millisecond)))
	acquire(t, p, request(user("other")))
	kept := request()
	pid := acquire(t, p, kept)
	release(t, pid)
	clock := request(database("second")) // its time begins later and is as long
	release(t, acquire(t, p, clock))
	eventually(t, "the other database is left", func() bool { return stat(p, clock.Key).Open == 0 })
	if next := acquire(t, p, kept); next.PID() != pid.PID() {
		t.Error("the idle backend was closed")
	}
}

func TestIdleBackendsOfADatabaseAreClosedWhenAskedFor(t *testing.T) {
	t.Parallel()
	p := newPools(t, config())
	r, out := request(), request(database("second"))
	idle, busy, elsewhere := acquire(t, p, r), acquire(t, p, r), acquire(t, p, out)
	release(t, idle)
	release(t, elsewhere)
	p.CloseIdle(func(database string) bool { return database == "postgres" })
	eventually(t, "the idle backend is closed", func() bool { return stat(p, r.Key).Open == 1 })
	if ask(t, busy, "SELECT 1") != "1" {
		t.Error("a session was disturbed")
	}
	release(t, busy)
	eventually(t, "the other one is closed after its session", func() bool { return stat(p, r.Key).Open == 0 })
	if next := acquire(t, p, out); next.PID() != elsewhere.PID() {
		t.Error("a backend of another database was closed")
	}
}

// CREATE DATABASE copies template1.
func TestATemplateHasNoIdleBackends(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		p := newPools(t, config(at(s)))
		release(t, acquire(t, p, request(database("template1"))))
		admin(t, s, "postgres", "CREATE DATABASE copied_at_once")
	})
}
