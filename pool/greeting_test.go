// What PostgreSQL says at a backend's login, and who hears it.
package pool_test

import (
	"errors"
	"strings"
	"testing"

	"gprxy/pool"
)

// kinds are the types of a greeting, repeated ones once.
func kinds(greeting []pool.Message) string {
	all := ""
	for _, m := range greeting {
		if kind := string(m.Kind); !strings.HasSuffix(all, kind) {
			all += kind
		}
	}
	return all
}

func notices(greeting []pool.Message) string {
	all := ""
	for _, m := range greeting {
		all += string(m.Notice)
	}
	return all
}

func TestNoticesOfTheLoginAreHeardByEverySession(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	long := request(parameter("application_name", strings.Repeat("n", 70)))
	for _, reused := range []bool{false, true, true} {
		l := acquire(t, p, long)
		greeting := l.Greeting()
		if kinds(greeting) != "NSK" || strings.Count(notices(greeting), "will be truncated") != 1 || l.Reused() != reused {
			t.Errorf("heard %s %q of a backend reused %t", kinds(greeting), notices(greeting), l.Reused())
		}
		if pid := greeting[len(greeting)-1].PID; pid != l.PID() {
			t.Errorf("the pid is %d, then %d", l.PID(), pid)
		}
		// What a session hears later is its own.
		ask(t, l, "DO $$ BEGIN RAISE NOTICE 'private'; END $$")
		release(t, l)
	}
	if l := acquire(t, p, request()); kinds(l.Greeting()) != "SK" {
		t.Errorf("a login without notices: %s", kinds(l.Greeting()))
	}
}

func TestNoticesOfOurOwnStatementsAreNotHeard(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	for range 2 {
		l := acquire(t, p, request(parameter("client_min_messages", "debug5"), setting("gprxy.user", "ann")))
		if got := notices(l.Greeting()); strings.Count(got, "CommitTransaction") != 1 { // the login's
			t.Errorf("heard %q", got)
		}
		release(t, l)
	}
}

func TestARefusalSaysWhetherTheLoginHadBeenAccepted(t *testing.T) {
	p := newPools(t, config())
	long := parameter("application_name", strings.Repeat("n", 70))
	_, err := p.Acquire(t.Context(), request(long, parameter("work_mem", "much")))
	wantCode(t, err, "22023")
	late, ok := errors.AsType[*pool.LoginError](err)
	if !ok || kinds(late.Greeting) != "N" {
		t.Errorf("got %T %v, want the notice before it", err, err)
	}
	_, err = p.Acquire(t.Context(), request(password("wrong")))
	wantCode(t, err, "28P01")
	if _, ok := errors.AsType[*pool.LoginError](err); ok {
		t.Error("a wrong password was accepted at first")
	}
	err = p.CheckLogin(t.Context(), request(database("nowhere")))
	wantCode(t, err, "3D000")
	if _, ok := errors.AsType[*pool.LoginError](err); !ok {
		t.Errorf("got %T, want a right password to be told from a wrong one", err)
	}
}
