// A server that is away: a restart, an outage, and the first moment after it.
package pool_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// One server that the tests take down and up again.
func TestAServerThatGoesAway(t *testing.T) {
	s := pooltest.New(t, pooltest.Options{TLS: true})
	if err := s.CreateUser(t.Context(), "app", "right"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T, *pooltest.Server){
		"a restart is not noticed by the next logins":                 aRestartIsNotNoticedByTheNextLogins,
		"a restart is waited for":                                     aRestartIsWaitedFor,
		"an outage is no longer waited for than a restart takes":      anOutageIsNoLongerWaitedForThanARestartTakes,
		"an outage is told at once, and asked about by one at a time": anOutageIsToldAtOnceAndAskedAboutByOne,
		"a wait in an outage ends with its cause":                     aWaitInAnOutageEndsWithItsCause,
	} {
		t.Run(name, func(t *testing.T) {
			down(t, s) // the last test may have left it either way
			up(t, s)
			test(t, s)
		})
	}
}

func down(t *testing.T, s *pooltest.Server) {
	t.Helper()
	if err := s.Down(); err != nil {
		t.Fatal(err)
	}
}

func up(t *testing.T, s *pooltest.Server) {
	t.Helper()
	if err := s.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func restartWait(d time.Duration) func(*pool.Config) {
	return func(c *pool.Config) { c.RestartWait = d }
}

// known returns pools that have met the server, and nothing idle.
func known(t *testing.T, c pool.Config) *pool.Pools {
	t.Helper()
	p := newPools(t, c)
	acquire(t, p, request()).Discard()
	return p
}

// crowd sends many requests at once, each as Acquire and every fifth as CheckLogin too, and returns the errors.
func crowd(t *testing.T, p *pool.Pools, n int) (failed []error) {
	t.Helper()
	results := make(chan error, 2*n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			l, err := p.Acquire(t.Context(), request())
			if err == nil {
				l.Discard()
			}
			results <- err
		})
		if i%5 == 0 {
			all.Go(func() { results <- p.CheckLogin(t.Context(), request()) })
		}
	}
	all.Wait()
	close(results)
	for err := range results {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// pretender takes a server's place: it counts connections, reads what they begin with, and says something.
func pretender(t *testing.T, address string, says []byte) (count *atomic.Int32, leave func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	count = new(atomic.Int32)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			all.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := conn.Read(make([]byte, 1024)); err == nil {
					conn.Write(says)
				}
			})
		}
	})
	leave = sync.OnceFunc(func() { l.Close(); all.Wait() })
	t.Cleanup(leave)
	return count, leave
}

// However many want in, a server that is away is asked a few times a second, everyone is told why at once, and the first
// one that comes when it is back gets in.
func anOutageIsToldAtOnceAndAskedAboutByOne(t *testing.T, s *pooltest.Server) {
	startingUp, err := (&pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P03", Message: "the database system is starting up",
	}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		says []byte
		is   func(error) bool
	}{
		"it closes the connection": {nil, func(err error) bool {
			_, ok := errors.AsType[*pool.UnreachableError](err)
			return ok
		}},
		"it starts up": {startingUp, func(err error) bool { return codeOf(err) == "57P03" }},
	} {
		t.Run(name, func(t *testing.T) {
			p := known(t, pool.Config{Host: "127.0.0.1", Port: s.Port, SSLMode: "disable", MaxConns: 5})
			down(t, s)
			asked, leave := pretender(t, s.Addr(), row.says)
			began := time.Now()
			failed := crowd(t, p, 500)
			took := time.Since(began)
			for _, err := range failed {
				if !row.is(err) {
					t.Fatalf("told %v", err)
				}
			}
			// Those who were under way before the first one knew: a pool's worth and the login checks'.
			if len(failed) != 600 || took > 3*time.Second || int(asked.Load()) > 5+16+1+int(took/(100*time.Millisecond)) {
				t.Errorf("%d of 600 were told so within %v, by %d connections", len(failed), took, asked.Load())
			}
			t.Logf("%d told so within %v, by %d connections", len(failed), took, asked.Load())
			before := asked.Load()
			if failed := crowd(t, p, 100); len(failed) != 120 || asked.Load() > before+10 {
				t.Errorf("%d of 120 more were told so, by %d connections", len(failed), asked.Load()-before)
			}

			leave()
			up(t, s)
			began = time.Now()
			if failed := crowd(t, p, 20); len(failed) > 0 {
				t.Errorf("with the server back %d were told %v", len(failed), failed[0])
			}
			t.Logf("with the server back 24 requests took %v", time.Since(began))
		})
	}
}

func aRestartIsNotNoticedByTheNextLogins(t *testing.T, s *pooltest.Server) {
	for _, mode := range []string{"disable", "require"} {
		t.Run(mode, func(t *testing.T) {
			p := newPools(t, pool.Config{Host: "127.0.0.1", Port: s.Port, SSLMode: mode})
			const n = 5
			var leases []*pool.Lease
			for range n {
				leases = append(leases, acquire(t, p, request()))
			}
			for _, l := range leases {
				release(t, l)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					l, err := p.Acquire(t.Context(), request(setting("gprxy.user", "ann")))
					if err != nil {
						t.Error(err)
						return
					}
					if l.Reused() {
						t.Error("a dead backend was handed out")
					}
					release(t, l)
				})
			}
			all.Wait()
		})
	}
}

// A restart is waited for, by those who know the server.
func aRestartIsWaitedFor(t *testing.T, s *pooltest.Server) {
	c := pool.Config{
		Host: "127.0.0.1", Port: s.Port, SSLMode: "disable", MaxConns: 5, RestartWait: 20 * time.Second, AcquireTimeout: 20 * time.Second,
	}
	p := known(t, c)
	down(t, s)
	failed := make(chan []error, 1)
	go func() { failed <- crowd(t, p, 20) }()
	eventually(t, "the requests wait", func() bool { return stat(p, request().Key).Waiting > 0 })

	began := time.Now()
	stranger := newPools(t, c)
	if _, err := stranger.Acquire(t.Context(), request()); err == nil || time.Since(began) > time.Second {
		t.Errorf("a server that was never there was waited for %v: %v", time.Since(began), err)
	}
	up(t, s)
	if failed := <-failed; len(failed) > 0 {
		t.Errorf("%d requests failed over a restart, e.g. with %v", len(failed), failed[0])
	}
}

func anOutageIsNoLongerWaitedForThanARestartTakes(t *testing.T, s *pooltest.Server) {
	p := known(t, pool.Config{Host: "127.0.0.1", Port: s.Port, SSLMode: "disable", RestartWait: 500 * time.Millisecond})
	down(t, s)
	for i, limits := range [][2]time.Duration{{500 * time.Millisecond, 2 * time.Second}, {0, 400 * time.Millisecond}} {
		began := time.Now()
		_, err := p.Acquire(t.Context(), request())
		if _, ok := errors.AsType[*pool.UnreachableError](err); !ok {
			t.Errorf("told %v", err)
		}
		if took := time.Since(began); took < limits[0] || took > limits[1] {
			t.Errorf("request %d was told so after %v", i, took)
		}
	}
}

// Who waits in line while the server is away is told that, not that the pool is full.
func aWaitInAnOutageEndsWithItsCause(t *testing.T, s *pooltest.Server) {
	p := known(t, pool.Config{Host: "127.0.0.1", Port: s.Port, SSLMode: "disable", MaxConns: 1,
		RestartWait: time.Minute, AcquireTimeout: 300 * time.Millisecond})
	down(t, s)
	for _, err := range crowd(t, p, 5) {
		if _, ok := errors.AsType[*pool.UnreachableError](err); !ok {
			t.Errorf("told %v", err)
		}
	}
}

// One account whose login hangs, e.g. in the directory its password is checked with, is no outage.
func TestASlowLoginIsNoOutage(t *testing.T) {
	p, f := forwarded(t, func(c *pool.Config) { c.ConnectTimeout = time.Second }, restartWait(time.Minute))
	f.mute = "other"
	began := time.Now()
	_, err := p.Acquire(t.Context(), request(user("other")))
	if _, ok := errors.AsType[*pool.UnreachableError](err); !ok || time.Since(began) > 5*time.Second {
		t.Errorf("told %v after %v", err, time.Since(began))
	}
	began = time.Now()
	acquire(t, p, request())
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("another account waited %v", took)
	}
}

// A host that vanished without a word: the first request finds out, and the other idle backends go without costing
// anybody as much again.
func TestIdleBackendsOnAVanishedHostAreGivenUp(t *testing.T) {
	p, f := forwarded(t, maxConns(3))
	leases := []*pool.Lease{acquire(t, p, request()), acquire(t, p, request()), acquire(t, p, request())}
	for _, l := range leases {
		release(t, l)
	}
	f.vanish()
	for i, limit := range []time.Duration{4 * time.Second, time.Second, time.Second} {
		began := time.Now()
		l := acquire(t, p, request())
		if took := time.Since(began); took > limit || l.Reused() {
			t.Errorf("request %d was served after %v, by an old backend: %v", i, took, l.Reused())
		}
	}
}
