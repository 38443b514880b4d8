package session

import (
	"net/netip"
	"sync"
	"time"
)

// failures remembers failed logins, so that guessing becomes slow and then
// useless. Three things are remembered, each decaying with time:
//
//   - of a user, by password or by token, from an origin: a few are free, then each costs a wait, then
//     attempts are refused without a look. A success clears it.
//   - of an origin, whatever the user: the same, for ten times as many. Whoever
//     has logged in from there before is spared.
//   - of a user, wherever from: only a wait, for whoever has not logged in from
//     there before. Nobody can lock out somebody else from afar.
type failures struct {
	most   int           // of a user from an origin; 0: no bound
	forget time.Duration // after which one of them is forgotten

	mu    sync.Mutex // guards known
	known recent[failureKey, failureRecord]
}

// failureKey is whose failures are meant. A zero origin or user stands for any.
type failureKey struct {
	kind failureKind
	from netip.Prefix
	user string // and the method, see guessedAt
}

type failureKind byte

const (
	ofUserFromOrigin failureKind = iota
	ofOrigin
	ofUser
)

type failureRecord struct {
	bucket
	good bool // the user has logged in from there
}

const (
	failuresKnown = 16_384
	// How many times more failures an origin or a user has than the two together.
	failuresSpread = 10

	firstFailureWait = 250 * time.Millisecond
	lastFailureWait  = time.Second
)

func newFailures(most int, forget time.Duration) *failures {
	return &failures{most: most, forget: forget, known: recent[failureKey, failureRecord]{most: failuresKnown}}
}

// look tells what awaits the next attempt: a wait, and whether it is refused then.
func (f *failures) look(from netip.Prefix, user string, now time.Time) (wait time.Duration, refused bool) {
	if f.most == 0 {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	own, good := f.level(failureKey{ofUserFromOrigin, from, user}, now)
	here, _ := f.level(failureKey{ofOrigin, from, ""}, now)
	anywhere, _ := f.level(failureKey{ofUser, netip.Prefix{}, user}, now)
	spread := float64(f.most * failuresSpread)
	switch {
	case own+1 > float64(f.most), !good && here+1 > spread:
		return lastFailureWait, true
	case !good && anywhere > float64(f.most):
		return lastFailureWait, false
	}
	return failureWait(own, f.most), false
}

// failureWait doubles with each failure of the second half of those allowed.
func failureWait(level float64, most int) time.Duration {
	free := float64(most / 2)
	wait := time.Duration(0)
	for n := level; n >= free && level > 0 && wait < lastFailureWait; n-- {
		wait = max(firstFailureWait, 2*wait) // which comes to lastFailureWait
	}
	return wait
}

// level is how many failures are not forgotten yet, and whether there was a success.
func (f *failures) level(key failureKey, now time.Time) (level float64, good bool) {
	record := f.known.find(key)
	if record == nil {
		return 0, false
	}
	return record.fill(0, now, f.perSecond(key.kind)), record.good
}

func (f *failures) perSecond(kind failureKind) float64 {
	perSecond := 1 / f.forget.Seconds()
	if kind != ofUserFromOrigin {
		perSecond *= failuresSpread
	}
	return perSecond
}

// failed takes note of a login that was judged and refused.
func (f *failures) failed(from netip.Prefix, user string, now time.Time) {
	if f.most == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := []failureKey{{ofUserFromOrigin, from, user}, {ofUser, netip.Prefix{}, user}}
	if from.IsValid() {
		keys = append(keys, failureKey{ofOrigin, from, ""})
	}
	for _, key := range keys {
		f.known.entry(key).fill(1, now, f.perSecond(key.kind))
	}
}

// again takes note of something that is no guess, and tells whether it was seen there as often as failures are
// allowed. It counts for nothing else.
func (f *failures) again(from netip.Prefix, what string, now time.Time) (often bool) {
	if f.most == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := failureKey{ofUserFromOrigin, from, what}
	if level, _ := f.level(key, now); level+1 > float64(f.most) {
		return true
	}
	f.known.entry(key).fill(1, now, f.perSecond(key.kind))
	return false
}

// succeeded takes note of a login that was judged and found good.
func (f *failures) succeeded(from netip.Prefix, user string) {
	if f.most == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	record := f.known.entry(failureKey{ofUserFromOrigin, from, user})
	record.level, record.good = 0, true
}
