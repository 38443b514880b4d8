// Walsenders: backends of one request.
package pool_test

import (
	"errors"
	"testing"
	"time"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

func walsender(replication pool.Replication, value string) func(*pool.Request) {
	return func(r *pool.Request) {
		r.Replication = replication
		parameter("replication", value)(r)
		if replication == pool.PhysicalReplication {
			r.Database = ""
		}
	}
}

func TestWalsendersServeOneRequest(t *testing.T) {
	p := newPools(t, config(maxTotal(2), acquireTimeout(50*time.Millisecond)))
	for _, kind := range []struct {
		pool.Replication
		value, database, sql, answer string
	}{
		{pool.PhysicalReplication, "true", "", "SHOW wal_level", "replica"},
		{pool.LogicalReplication, "database", "postgres", "SELECT current_user", "replica"},
	} {
		request := request(user("replica"), walsender(kind.Replication, kind.value))
		first := acquire(t, p, request)
		if first.CurrentUser() != "replica" || !first.Replicates() || first.Reused() {
			t.Errorf("%s: %s, replicates %t, reused %t", kind.value, first.CurrentUser(), first.Replicates(), first.Reused())
		}
		if got := ask(t, first, kind.sql); got != kind.answer {
			t.Errorf("%s: %s gives %q", kind.value, kind.sql, got)
		}
		if got := kinds(first.Greeting()); got != "SK" {
			t.Errorf("%s: the greeting is %s", kind.value, got)
		}
		second := acquire(t, p, request)
		if s := stat(p, pool.Key{User: "replica", Database: kind.database}); s.Open != 2 || s.Leased != 2 {
			t.Errorf("%s: %+v", kind.value, s)
		}
		_, err := p.Acquire(t.Context(), request)
		if full, ok := errors.AsType[*pool.TimeoutError](err); !ok || full.Limit != "POOL_MAX_TOTAL" {
			t.Errorf("%s: a third one: %v, want none", kind.value, err)
		}
		release(t, first)
		second.Discard()
		if s := stat(p, pool.Key{User: "replica", Database: kind.database}); s.Open != 0 || s.Leased != 0 {
			t.Errorf("%s: afterwards %+v", kind.value, s)
		}
	}
	_, err := p.Acquire(t.Context(), request(user("other"), walsender(pool.PhysicalReplication, "on")))
	wantCode(t, err, "42501")
	wantCode(t, p.CheckLogin(t.Context(), request(user("other"), walsender(pool.PhysicalReplication, "on"))), "42501")
	if err := p.CheckLogin(t.Context(), request(user("replica"), walsender(pool.PhysicalReplication, "on"))); err != nil {
		t.Errorf("checking the password of a role that may replicate: %v", err)
	}
}

// A walsender that does not listen, as in the middle of a command, is cancelled.
func TestABusyWalsenderIsEnded(t *testing.T) {
	p := newPools(t, config())
	l := acquire(t, p, request(user("replica"), walsender(pool.LogicalReplication, "database")))
	send(t, l, "SELECT pg_sleep(300)")
	running := "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)' AND pid = " + itoa(l.PID())
	eventually(t, "the walsender runs", func() bool { return admin(t, server, "postgres", running) == "1" })
	release(t, l)
	eventually(t, "the walsender ends", func() bool { return admin(t, server, "postgres", running) == "0" })
}

// A walsender of a database is asked who it is, on the oldest release too, whose grammar for walsenders is another one.
func TestAWalsenderOfADatabaseOnEachRelease(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		p := newPools(t, config(at(s)))
		l := acquire(t, p, request(user("replica"), walsender(pool.LogicalReplication, "database"), setting("gprxy.user", "ann")))
		if got := ask(t, l, "SELECT current_setting('gprxy.user')"); l.CurrentUser() != "replica" || got != "ann" {
			t.Errorf("%s, stamped %q", l.CurrentUser(), got)
		}
		if err := l.Release(t.Context(), false); err != nil {
			t.Error(err)
		}
	})
}
