package admission

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
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
		{"then it takes longer", []step{failed(a, "alice", 2)}, a, "alice", shortestWait, false},
		{"and longer", []step{failed(a, "alice", 3)}, a, "alice", 2 * shortestWait, false},
		{"up to a second", []step{failed(a, "alice", 4)}, a, "alice", LongestWait, false},
		{"then nobody looks", []step{failed(a, "alice", 5)}, a, "alice", LongestWait, true},
		{"other users are not concerned", []step{failed(a, "alice", 5)}, a, "bob", 0, false},
		{"nor is the user elsewhere", []step{failed(a, "alice", 5)}, b, "alice", 0, false},
		{"each minute forgets one", []step{failed(a, "alice", 5), later(time.Minute)}, a, "alice", LongestWait, false},
		{"and all are forgotten", []step{failed(a, "alice", 5), later(5 * time.Minute)}, a, "alice", 0, false},
		{"a success clears", []step{failed(a, "alice", 4), succeeded(a, "alice")}, a, "alice", 0, false},
		{"many users of one address", []step{failed(a, "", 50)}, a, "carol", LongestWait, true},
		{"who has been in before is spared", []step{succeeded(a, "alice"), failed(a, "", 50)}, a, "alice", 0, false},
		{"but not from the own failures", []step{succeeded(a, "alice"), failed(a, "", 50), failed(a, "alice", 5)}, a, "alice", LongestWait, true},
		{"one of its own does not clear an address", []step{failed(a, "", 50), succeeded(a, "mallory")}, a, "carol", LongestWait, true},
		{"an address recovers ten times as fast", []step{failed(a, "", 50), later(7 * time.Second)}, a, "carol", 0, false},
		{"a user guessed at from everywhere", []step{failed("*", "alice", 6)}, b, "alice", LongestWait, false},
		{"is never locked out", []step{failed("*", "alice", 500)}, b, "alice", LongestWait, false},
		{"and not even slowed where it has been in before", []step{succeeded(b, "alice"), failed("*", "alice", 500)}, b, "alice", 0, false},
		{"an unknown origin is one", []step{failed("", "alice", 5)}, "", "alice", LongestWait, true},
		{"but no address for all its users", []step{failed("", "", 60)}, "", "alice", 0, false},
		{"clocks that go back forget nothing", []step{later(time.Hour), failed(a, "alice", 5), later(-2 * time.Hour)}, a, "alice", LongestWait,
			true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := NewThrottle(5, time.Minute)
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
						f.Failed(origin, user, now)
					} else {
						f.Succeeded(origin, user)
					}
				}
			}
			if wait, refused := f.Check(from(test.from), test.user, now); wait != test.wait || refused != test.refused {
				t.Errorf("wait %v, refused %v; want %v, %v", wait, refused, test.wait, test.refused)
			}
		})
	}
	off := NewThrottle(0, 0)
	for range 100 {
		off.Failed(from(a), "alice", start)
	}
	if wait, refused := off.Check(from(a), "alice", start); wait != 0 || refused {
		t.Error("failures count although they have no bound")
	}
}

// What is remembered is bounded, and who is under guard is not forgotten for
// others that a guesser makes up.
func TestFailuresRemembered(t *testing.T) {
	f := NewThrottle(5, time.Minute)
	now := time.Now()
	for range 5 {
		f.Failed(from("192.0.2.1"), "alice", now)
	}
	for i := range 3 * failuresKnown {
		f.Failed(from("192.0.2.9"), fmt.Sprint(i), now)
		if i%1000 == 0 {
			f.Check(from("192.0.2.1"), "alice", now)
		}
	}
	if n := len(f.known.byKey); n > failuresKnown {
		t.Errorf("%d are remembered", n)
	}
	if _, refused := f.Check(from("192.0.2.1"), "alice", now); !refused {
		t.Error("the failures that are still asked for were forgotten")
	}
	if _, refused := f.Check(from("192.0.2.9"), "new", now); !refused {
		t.Error("the address that fails was forgotten")
	}
}
