package session

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
	"gprxy/store"
)

func from(address string) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr(address), 32) }

// Where there is no place, not even for those who come to cancel, nobody is served.
func TestNoPlaceAtAll(t *testing.T) {
	s := &session{handler: &Handler{slots: admission.NewSlots(1, 0), latecomers: admission.NewSlots(1, 0)}}
	for _, c := range []*admission.Slots{s.handler.slots, s.handler.latecomers} {
		p, _ := c.Enter(from("192.0.2.1"), func() {})
		p.Pin()
	}
	if err := s.findSlot(); !errors.Is(err, refusal.ErrTooManyLogins) || s.login.late {
		t.Errorf("found a place: %v", err)
	}
	s.login.slot.Release()
}

// Who never became a client does not make room for one more when it leaves.
func TestOnlyClientsAreCounted(t *testing.T) {
	h := &Handler{clients: clientCount{most: 1}}
	visit := func() *session { return &session{handler: h, login: login{slot: &admission.Slot{}}} }
	first, second := visit(), visit()
	visit().uncountClient()
	if err := first.countClient(); err != nil {
		t.Fatal(err)
	}
	if err := second.countClient(); !errors.Is(err, refusal.ErrTooManyClients) {
		t.Errorf("the second of one is a client: %v", err)
	}
	second.uncountClient()
	if err := visit().countClient(); !errors.Is(err, refusal.ErrTooManyClients) {
		t.Errorf("the third of one is a client: %v", err)
	}
	first.uncountClient()
	if err := visit().countClient(); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

// Guesses that wait in line for PostgreSQL are looked at again when their turn comes: those
// ahead of them may have been too many by then.
func TestGuessesInLineAreLookedAtAgain(t *testing.T) {
	s := &session{handler: &Handler{throttle: admission.NewThrottle(2, time.Hour), checks: admission.NewFairQueue(1)},
		asked: asked{user: "alice"}}
	s.client.prefix = from("192.0.2.1")
	done, err := s.handler.checks.Acquire(t.Context(), s.client.prefix)
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error)
	go func() {
		answer <- s.throttled(t.Context(), auth.MethodPassword, func() (err error) {
			defer func() {
				if recover() != nil { // there is no pool here
					err = errors.New("PostgreSQL was asked")
				}
			}()
			return s.checkPassword(t.Context(), "a guess")
		})
	}()
	for s.handler.checks.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		s.handler.throttle.Failed(s.client.prefix, s.guessedAt(auth.MethodPassword), time.Now())
	}
	done()
	err = <-answer
	if failure, ok := errors.AsType[*refusal.AuthFailure](err); !ok || failure.Reason != refusal.ReasonTooManyFailures {
		t.Errorf("the guess ended with %v", err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if _, err := s.handler.checks.Acquire(over, s.client.prefix); err != nil {
		t.Errorf("its turn is lost: %v", err)
	}
}

func TestPrefixNames(t *testing.T) {
	for prefix, want := range map[netip.Prefix]string{
		from("192.0.2.1"):                       "192.0.2.1",
		netip.MustParsePrefix("2001:db8::/64"):  "2001:db8::/64",
		{}:                                      "",
		netip.MustParsePrefix("2001:db8::/128"): "2001:db8::",
		peerPrefix(70000):                       "[local] uid 70000",
	} {
		if got := prefixName(prefix); got != want {
			t.Errorf("%v is called %q, want %q", prefix, got, want)
		}
	}
}

// A configuration that would be a fault in the first session is refused before there is one.
func TestAnIncompleteConfigIsRefused(t *testing.T) {
	if h, err := NewHandler(Config{}); err == nil || h != nil || err.Error() != "the handler's configuration lacks Log" {
		t.Errorf("%v, %v", h, err)
	}
	c := Config{Log: slog.New(slog.DiscardHandler), Events: &store.DB{}, Pools: &pool.Pools{}, LoginTimeout: time.Second,
		RequireTLS: TLSAlways}
	if _, err := NewHandler(c); err == nil || err.Error() != "the handler's configuration lacks TLS, for TLSAlways" {
		t.Error(err)
	}
}
