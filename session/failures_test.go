package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gprxy/auth"
)

func TestFailures(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	type step struct {
		what, from, user string // what: failed, succeeded, or later
		times            int
		after            time.Duration
	}
	failed := func(from, user string, times int) step { return step{"failed", from, user, times, 0} }
	succeeded := func(from, user string) step { return step{"succeeded", from, user, 1, 0} }
	later := func(d time.Duration) step { return step{what: "later", after: d} }
	tests := []struct {
		name       string
		steps      []step
		from, user string // of the next attempt
		wait       time.Duration
		refused    bool
	}{
		{"the first attempt", nil, a, "alice", 0, false},
		{"one failure is free", []step{failed(a, "alice", 1)}, a, "alice", 0, false},
		{"then it takes longer", []step{failed(a, "alice", 2)}, a, "alice", firstFailureWait, false},
		{"and longer", []step{failed(a, "alice", 3)}, a, "alice", 2 * firstFailureWait, false},
		{"up to a second", []step{failed(a, "alice", 4)}, a, "alice", lastFailureWait, false},
		{"then nobody looks", []step{failed(a, "alice", 5)}, a, "alice", lastFailureWait, true},
		{"other users are not concerned", []step{failed(a, "alice", 5)}, a, "bob", 0, false},
		{"nor is the user elsewhere", []step{failed(a, "alice", 5)}, b, "alice", 0, false},
		{"each minute forgets one", []step{failed(a, "alice", 5), later(time.Minute)}, a, "alice", lastFailureWait, false},
		{"and all are forgotten", []step{failed(a, "alice", 5), later(5 * time.Minute)}, a, "alice", 0, false},
		{"a success clears", []step{failed(a, "alice", 4), succeeded(a, "alice")}, a, "alice", 0, false},
		{"many users of one address", []step{failed(a, "", 50)}, a, "carol", lastFailureWait, true},
		{"who has been in before is spared", []step{succeeded(a, "alice"), failed(a, "", 50)}, a, "alice", 0, false},
		{"but not from the own failures", []step{succeeded(a, "alice"), failed(a, "", 50), failed(a, "alice", 5)}, a, "alice", lastFailureWait, true},
		{"one of its own does not clear an address", []step{failed(a, "", 50), succeeded(a, "mallory")}, a, "carol", lastFailureWait, true},
		{"an address recovers ten times as fast", []step{failed(a, "", 50), later(7 * time.Second)}, a, "carol", 0, false},
		{"a user guessed at from everywhere", []step{failed("*", "alice", 6)}, b, "alice", lastFailureWait, false},
		{"is never locked out", []step{failed("*", "alice", 500)}, b, "alice", lastFailureWait, false},
		{"and not even slowed where it has been in before", []step{succeeded(b, "alice"), failed("*", "alice", 500)}, b, "alice", 0, false},
		{"an unknown origin is one", []step{failed("", "alice", 5)}, "", "alice", lastFailureWait, true},
		{"but no address for all its users", []step{failed("", "", 60)}, "", "alice", 0, false},
		{"clocks that go back forget nothing", []step{later(time.Hour), failed(a, "alice", 5), later(-2 * time.Hour)}, a, "alice", lastFailureWait, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFailures(5, time.Minute)
			now := start
			for _, s := range test.steps {
				now = now.Add(s.after)
				for i := range s.times {
					origin, user := netip.Prefix{}, s.user
					if s.from != "*" {
						origin = from(s.from)
					} else { // all over the world
						origin = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 32)
					}
					if user == "" {
						user = fmt.Sprint("user ", i)
					}
					if s.what == "failed" {
						f.failed(origin, user, now)
					} else {
						f.succeeded(origin, user)
					}
				}
			}
			if wait, refused := f.look(from(test.from), test.user, now); wait != test.wait || refused != test.refused {
				t.Errorf("wait %v, refused %v; want %v, %v", wait, refused, test.wait, test.refused)
			}
		})
	}
	off := newFailures(0, 0)
	for range 100 {
		off.failed(from(a), "alice", start)
	}
	if wait, refused := off.look(from(a), "alice", start); wait != 0 || refused {
		t.Error("failures count although they have no bound")
	}
}

// What is remembered is bounded, and who is under guard is not forgotten for
// others that a guesser makes up.
func TestFailuresRemembered(t *testing.T) {
	f := newFailures(5, time.Minute)
	now := time.Now()
	for range 5 {
		f.failed(from("192.0.2.1"), "alice", now)
	}
	for i := range 3 * failuresKnown {
		f.failed(from("192.0.2.9"), fmt.Sprint(i), now)
		if i%1000 == 0 {
			f.look(from("192.0.2.1"), "alice", now)
		}
	}
	if n := len(f.known.byKey); n > failuresKnown {
		t.Errorf("%d are remembered", n)
	}
	if _, refused := f.look(from("192.0.2.1"), "alice", now); !refused {
		t.Error("the failures that are still asked for were forgotten")
	}
	if _, refused := f.look(from("192.0.2.9"), "new", now); !refused {
		t.Error("the address that fails was forgotten")
	}
}

// Guesses that wait in line for PostgreSQL are looked at again when their turn comes: those
// ahead of them may have been too many by then.
func TestGuessesInLineAreLookedAtAgain(t *testing.T) {
	s := &session{Handler: &Handler{failures: newFailures(2, time.Hour), checks: newTurns(1)}, user: "alice"}
	s.prefix = from("192.0.2.1")
	done, err := s.checks.take(t.Context(), s.prefix)
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error)
	go func() {
		answer <- s.judge(t.Context(), auth.MethodPassword, func() (err error) {
			defer func() {
				if recover() != nil { // there is no pool here
					err = errors.New("PostgreSQL was asked")
				}
			}()
			return s.checkPassword(t.Context(), "a guess")
		})
	}()
	for s.checks.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		s.failures.failed(s.prefix, s.guessedAt(auth.MethodPassword), time.Now())
	}
	done()
	err = <-answer
	if failure, ok := errors.AsType[*authFailure](err); !ok || failure.reason != reasonTooManyFailures {
		t.Errorf("the guess ended with %v", err)
	}
	if s.checks.free != 1 {
		t.Error("its turn is lost")
	}
}

// An origin that wants many turns does not hold up one that wants one.
func TestTurnsRotate(t *testing.T) {
	turns := newTurns(2)
	ctx, stop := context.WithCancel(t.Context())
	order := make(chan string, 20)
	wait := func(origin string) {
		t.Helper()
		waiting := turns.waiting()
		go func() {
			if _, err := turns.take(ctx, from(origin)); err == nil {
				order <- origin
			}
		}()
		for turns.waiting() == waiting {
			time.Sleep(time.Millisecond)
		}
	}
	const many, one, two = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	for range 2 {
		if _, err := turns.take(ctx, from(many)); err != nil {
			t.Fatal(err)
		}
	}
	for _, origin := range []string{many, many, many, one, two, many} {
		wait(origin)
	}
	for _, want := range []string{many, one, two, many} {
		turns.giveBack()
		if got := <-order; got != want {
			t.Errorf("the turn is %s's, want %s's", got, want)
		}
	}
	stop()
	for turns.waiting() > 0 {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		turns.giveBack()
	}
	if turns.free != 2 || len(turns.lines) != 0 || turns.next.Len() != 0 {
		t.Errorf("%d turns are free, %d lines remain", turns.free, len(turns.lines))
	}
}

func (t *turns) waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.lines {
		n += line.waiting.Len()
	}
	return n
}

// No turn is lost or doubled when waiters give up at the moment theirs comes.
func TestTurnsAreNotLost(t *testing.T) {
	turns := newTurns(3)
	cause := errors.New("gave up")
	ended := make(chan struct{})
	const takers = 200
	for i := range takers {
		go func() {
			defer func() { ended <- struct{}{} }()
			ctx, stop := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Duration(i%7)*100*time.Microsecond, func() { stop(cause) })
			done, err := turns.take(ctx, from(fmt.Sprintf("192.0.2.%d", i%5)))
			if err != nil {
				if !errors.Is(err, cause) {
					t.Errorf("error %v", err)
				}
				return
			}
			time.Sleep(100 * time.Microsecond)
			done()
		}()
	}
	for range takers {
		<-ended
	}
	if turns.free != 3 || len(turns.lines) != 0 || turns.next.Len() != 0 {
		t.Errorf("%d turns are free, %d lines remain", turns.free, len(turns.lines))
	}
}
