// The reset: what one session leaves behind never reaches the next.
package pool_test

import (
	"strings"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// Each row leaves something behind in one session; the next one, another person on the same backend, must not see it.
func TestNothingOfASessionReachesTheNext(t *testing.T) {
	t.Parallel()
	onEachRelease(t, nothingReachesTheNext)
}

func nothingReachesTheNext(t *testing.T, s *pooltest.Server) {
	for _, row := range []struct {
		name, leave   string
		inTransaction bool
		look, want    string
	}{
		{"a setting", "SET work_mem = '9MB'", false, "SHOW work_mem", "4MB"},
		{"a setting of its own", "SET my.secret = 'x'", false, "SELECT coalesce(current_setting('my.secret', true), '')", ""},
		{"client_encoding", "SET client_encoding = 'LATIN1'", false, "SHOW client_encoding", "UTF8"},
		{"a role", "SET ROLE other", false, "SELECT current_user", "app"},
		{"a prepared statement", "PREPARE left_behind AS SELECT 1", false, "SELECT count(*) FROM pg_prepared_statements", "0"},
		{"a cursor WITH HOLD", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", false, "SELECT count(*) FROM pg_cursors", "0"},
		{"an advisory lock", "SELECT pg_advisory_lock(42)", false,
			"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "0"},
		{"LISTEN", "LISTEN left_behind", false, "SELECT count(*) FROM pg_listening_channels()", "0"},
		{"an open transaction", "BEGIN; CREATE TEMP TABLE left_behind (a int)", true,
			"SELECT count(*) FROM pg_class WHERE relname = 'left_behind'", "0"},
		{"a failed transaction", "BEGIN; SELECT 1/0", true, "SELECT 'usable'", "usable"},
		{"a setting in a transaction", "BEGIN; SET LOCAL work_mem = '9MB'", true, "SHOW work_mem", "4MB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPools(t, config(maxConns(1), at(s)))
			first := acquire(t, p, request())
			pid := first.PID()
			try(t, first, row.leave) // a failed transaction fails
			if err := first.Release(t.Context(), row.inTransaction); err != nil {
				t.Fatal(err)
			}
			next := acquire(t, p, request(person("bob")))
			if next.PID() != pid || !next.Reused() {
				t.Fatalf("the backend was not reused")
			}
			if got := ask(t, next, row.look); got != row.want {
				t.Errorf("%s gives %q, want %q", row.look, got, row.want)
			}
			release(t, next)
		})
	}
}

func TestABackendThatIsNotCleanIsClosed(t *testing.T) {
	for _, row := range []struct {
		name string
		mess func(*testing.T, *pool.Lease)
		says string
	}{
		{"an unread answer", func(t *testing.T, l *pool.Lease) { send(t, l, "SELECT 1") }, "answer"},
		{"a forgotten transaction", func(t *testing.T, l *pool.Lease) { ask(t, l, "BEGIN") }, "transaction status"},
		{"half a message", func(t *testing.T, l *pool.Lease) { l.Conn().Write([]byte{'Q', 0, 0, 0, 20, 'S'}) }, "resetting"},
		{"a killed backend", func(t *testing.T, l *pool.Lease) {
			terminate(t, ask(t, l, "SELECT pg_backend_pid()"))
		}, "57P01"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPools(t, config(maxConns(1)))
			l := acquire(t, p, request())
			pid := l.PID()
			row.mess(t, l)
			err := l.Release(t.Context(), false)
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("Release said %v, want something about %s", err, row.says)
			}
			if next := acquire(t, p, request()); next.PID() == pid || next.Reused() {
				t.Error("the backend was reused")
			}
		})
	}
}

func TestOnlyTheFirstEndOfALeaseCounts(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request())
	pid := l.PID()
	release(t, l)
	l.Discard()
	release(t, l)
	next := acquire(t, p, request())
	if next.PID() != pid {
		t.Error("Discard after Release closed the backend")
	}
	next.Discard()
	next.Discard()
	if err := next.Release(t.Context(), false); err != nil {
		t.Error(err)
	}
	if s := stat(p, request().Key); s.Leased != 0 {
		t.Errorf("leases counted after their end: %+v", s)
	}
	if third := acquire(t, p, request()); third.Reused() {
		t.Error("a discarded backend was reused")
	}
}
