// PostgreSQL's own limits, which others share.
package pool_test

import (
	"testing"
	"time"

	"gprxy/pool"
)

// limited sets a CONNECTION LIMIT until the end of the test.
func limited(t *testing.T, what, limit string) {
	t.Helper()
	admin(t, server, "postgres", "ALTER "+what+" CONNECTION LIMIT "+limit)
	t.Cleanup(func() { admin(t, server, "postgres", "ALTER "+what+" CONNECTION LIMIT -1") })
}

func TestAnIdleBackendMakesRoomInAFullServer(t *testing.T) {
	for name, row := range map[string]struct {
		limited      string
		idle, wanted pool.Request
	}{
		"of the role, other parameters": {"ROLE other", request(user("other"), parameter("application_name", "a")), request(user("other"))},
		"of the role, another database": {"ROLE other", request(user("other"), database("second")), request(user("other"))},
		"of the database, another role": {"DATABASE second", request(database("second")), request(user("other"), database("second"))},
		"of the database, another's too": {"DATABASE second", request(database("second"), person("ann")),
			request(user("other"), database("second"), person("bob"))},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPools(t, config())
			bystander := acquire(t, p, request())
			release(t, bystander)
			release(t, acquire(t, p, row.idle))
			limited(t, row.limited, "1")
			acquire(t, p, row.wanted)
			if again := acquire(t, p, request()); again.PID() != bystander.PID() {
				t.Error("an idle backend had to go that was not in the way")
			}
		})
	}
}

func TestACheckOfAPasswordFindsRoomInAFullServer(t *testing.T) {
	p := newPools(t, config())
	release(t, acquire(t, p, request(user("other"))))
	limited(t, "ROLE other", "1")
	if err := p.CheckLogin(t.Context(), request(user("other"))); err != nil {
		t.Error(err)
	}
}

// The account's own sessions will end, so a request waits for one as it does for POOL_MAX_CONNS, without asking
// PostgreSQL all the time.
func TestAFullServerIsWaitedForWhileTheAccountHasSessions(t *testing.T) {
	p, f := forwarded(t, acquireTimeout(10*time.Second))
	first := acquire(t, p, request(user("other")))
	limited(t, "ROLE other", "1")
	before := f.opened.Load()
	served := make(chan *pool.Lease, 3)
	began := time.Now()
	for range 3 {
		go func() {
			l, err := p.Acquire(t.Context(), request(user("other")))
			if err != nil {
				t.Error(err)
			}
			served <- l
		}()
	}
	eventually(t, "PostgreSQL was asked three times by each", func() bool { return f.opened.Load() >= before+9 })
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("PostgreSQL was asked nine times within %v", took)
	}
	release(t, first)
	for range 3 {
		l := <-served
		if l == nil {
			t.FailNow()
		}
		if !l.Reused() {
			t.Error("it was not the backend that was given back")
		}
		release(t, l)
	}
}

// The session that ends may leave a backend of other parameters.
func TestAFullServerHasRoomWhenAnotherKindOfSessionEnds(t *testing.T) {
	p, f := forwarded(t)
	first := acquire(t, p, request(user("other"), parameter("application_name", "a")))
	limited(t, "ROLE other", "1")
	before := f.opened.Load()
	served := make(chan error, 1)
	go func() {
		l, err := p.Acquire(t.Context(), request(user("other")))
		if err == nil {
			l.Discard()
		}
		served <- err
	}()
	eventually(t, "PostgreSQL was asked", func() bool { return f.opened.Load() > before })
	release(t, first)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAFullServerIsToldInItsOwnWords(t *testing.T) {
	t.Run("at once, if nothing is to be expected", func(t *testing.T) {
		p := newPools(t, config())
		limited(t, "ROLE other", "0")
		began := time.Now()
		_, err := p.Acquire(t.Context(), request(user("other")))
		wantCode(t, err, "53300")
		wantCode(t, p.CheckLogin(t.Context(), request(user("other"))), "53300")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v to say so", took)
		}
	})
	t.Run("at the end of the wait", func(t *testing.T) {
		p := newPools(t, config(acquireTimeout(400*time.Millisecond)))
		acquire(t, p, request(user("other")))
		limited(t, "ROLE other", "1")
		began := time.Now()
		_, err := p.Acquire(t.Context(), request(user("other")))
		wantCode(t, err, "53300")
		if took := time.Since(began); took < 400*time.Millisecond {
			t.Errorf("it was given up after %v", took)
		}
	})
}
