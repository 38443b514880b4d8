package admission

import (
	"net/netip"
	"sync"
	"time"
)

// A Throttle remembers failed logins, so that guessing becomes slow and then
// useless. Three things are remembered, each decaying with time:
//
//   - of a user, by password or by token, from an origin: a few are free, then each costs a wait, then
//     attempts are refused without a look. A success clears it.
//   - of an origin, whatever the user: the same, for ten times as many. Whoever
//     has logged in from there before is spared.
//   - of a user, wherever from: only a wait, for whoever has not logged in from
//     there before. Nobody can lock out somebody else from afar.
type Throttle struct {
	most   int           // of a user from an origin; 0: no bound
	forget time.Duration // after which one of them is forgotten

	mu    sync.Mutex // guards known
	known LRU[failureKey, failureRecord]
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
	LeakyBucket
	good bool // the user has logged in from there
}

const (
	failuresKnown = 16_384
	// How many times more failures an origin or a user has than the two together.
	failuresSpread = 10

	shortestWait = 250 * time.Millisecond
	// LongestWait is what the last attempts that are looked at wait.
	LongestWait = time.Second
)

// NewThrottle gives one that allows most failures of a user from an origin (0: any number), of which one is forgotten
// after the time that forget says.
func NewThrottle(most int, forget time.Duration) *Throttle {
	return &Throttle{most: most, forget: forget, known: LRU[failureKey, failureRecord]{Most: failuresKnown}}
}

// Check tells what awaits the next attempt: a wait, and whether it is refused then.
func (f *Throttle) Check(from netip.Prefix, user string, now time.Time) (wait time.Duration, refused bool) {
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
		return LongestWait, true
	case !good && anywhere > float64(f.most):
		return LongestWait, false
	}
	return failureWait(own, f.most), false
}

// failureWait doubles with each failure of the second half of those allowed.
func failureWait(level float64, most int) time.Duration {
	free := float64(most / 2)
	wait := time.Duration(0)
	for n := level; n >= free && level > 0 && wait < LongestWait; n-- {
		wait = max(shortestWait, 2*wait) // which comes to LongestWait
	}
	return wait
}

// Failures is how many failures of a user from an origin are not forgotten yet, and whether there was a success.
func (f *Throttle) Failures(from netip.Prefix, user string, now time.Time) (level float64, good bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.level(failureKey{ofUserFromOrigin, from, user}, now)
}

// level is how many failures are not forgotten yet, and whether there was a success.
func (f *Throttle) level(key failureKey, now time.Time) (level float64, good bool) {
	record := f.known.Find(key)
	if record == nil {
		return 0, false
	}
	return record.Fill(0, now, f.perSecond(key.kind)), record.good
}

func (f *Throttle) perSecond(kind failureKind) float64 {
	perSecond := 1 / f.forget.Seconds()
	if kind != ofUserFromOrigin {
		perSecond *= failuresSpread
	}
	return perSecond
}

// Failed takes note of a login that was judged and refused.
func (f *Throttle) Failed(from netip.Prefix, user string, now time.Time) {
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
		f.known.Entry(key).Fill(1, now, f.perSecond(key.kind))
	}
}

// Repeated takes note of something that is no guess, and tells whether it was seen there as often as failures are
// allowed. It counts for nothing else.
func (f *Throttle) Repeated(from netip.Prefix, what string, now time.Time) (often bool) {
	if f.most == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := failureKey{ofUserFromOrigin, from, what}
	if level, _ := f.level(key, now); level+1 > float64(f.most) {
		return true
	}
	f.known.Entry(key).Fill(1, now, f.perSecond(key.kind))
	return false
}

// Succeeded takes note of a login that was judged and found good.
func (f *Throttle) Succeeded(from netip.Prefix, user string) {
	if f.most == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	record := f.known.Entry(failureKey{ofUserFromOrigin, from, user})
	record.Level, record.good = 0, true
}
