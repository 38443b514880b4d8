// How long a session may last: until its token expires, until MAX_SESSION is over, until it has been idle for IDLE_TIMEOUT.

package session

import (
	"time"

	"github.com/jackc/pgproto3/v2"

	"gprxy/session/refusal"
	"gprxy/session/relay"
	"gprxy/session/socket"
)

// ExpiryPolicy says what happens to a session whose token expires.
type ExpiryPolicy int

// The zero value lets sessions go on: a token is looked at when a client logs in, and no more.
const (
	ExpiryAllow ExpiryPolicy = iota
	ExpiryDisconnect
)

// TimeLimits bound how long a session may last. A zero value sets no limit.
type TimeLimits struct {
	Idle    time.Duration // outside a transaction, with nothing passing either way
	Session time.Duration // from its beginning
	Grace   time.Duration // what a transaction has to finish after Session
}

// How long before its end a session is told.
const endNotice = time.Minute

// watchTime ends the session when its time is over: at once if it rests, at the end of its transaction if that comes within the
// grace, at the end of the grace otherwise. The client is told a minute before. After stop has returned nothing of this runs any
// more.
func (s *session) watchTime(r *relay.Relay) (stop func()) {
	a := &alarms{now: time.Now, every: lookAtClock}
	if expires := s.served.identity.Expires; s.handler.OnExpiry == ExpiryDisconnect && !expires.IsZero() {
		s.endAt(a, r, expires, s.handler.ExpiryGrace, refusal.ErrTokenExpired, "when the token you logged in with expires",
			"Finish your work, log in again for a fresh token, and connect again.")
	}
	if most := s.handler.Time.Session; most > 0 {
		s.endAt(a, r, s.client.began.Add(most), s.handler.Time.Grace, refusal.ErrMaxSession, "when it has lasted as long as gprxy allows",
			"Finish your work, and connect again.")
	}
	if s.handler.Time.Idle > 0 {
		watch := &idleWatch{limit: s.handler.Time.Idle, relay: r, since: time.Now()}
		a.each(min(max(watch.limit/20, idleLookLeast), idleLookMost), watch.look)
	}
	if len(a.timers) == 0 {
		return func() {}
	}
	return func() {
		a.stop()
		s.client.conn.SetWriteDeadline(socket.LongAgo) // a notice may wait for a client that does not read
		a.wait()
	}
}

// endAt ends the session at a time, for a reason.
func (s *session) endAt(a *alarms, r *relay.Relay, at time.Time, grace time.Duration, why *refusal.Error, when, hint string) {
	a.at(at.Add(-endNotice), func() {
		s.notify(r, "this session will end at "+at.UTC().Format("15:04:05 UTC")+", "+when, hint)
	})
	a.at(at, func() { r.Drain(why) })
	a.at(at.Add(grace), func() { r.End(why) })
}

func (s *session) notify(r *relay.Relay, message, hint string) {
	notice, err := encode(nil, &pgproto3.NoticeResponse{
		Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000", Message: message, Hint: hint,
	})
	if err != nil {
		s.client.log.Error("could not announce the end of the session", "error", err)
		return
	}
	r.Inject(notice)
}

// idleWatch ends a session that rests outside a transaction while nothing passes. It looks now and then instead of noting the
// time of each chunk, which would cost every query: a session ends up to two looks late, for what passes just after a look counts from
// the next.
type idleWatch struct {
	limit  time.Duration
	relay  *relay.Relay
	passed int64     // when it was looked at last
	since  time.Time // when so many had passed, and it rested
}

// The looks at a session: a twentieth of the limit, but not more often and not less often than this.
const (
	idleLookLeast = 50 * time.Millisecond
	idleLookMost  = 15 * time.Second
)

// look sees whether the session is idle, and since when. It is called from one goroutine at a time.
func (w *idleWatch) look() {
	now := time.Now()
	passed, rests := w.relay.Idle()
	if !rests || passed != w.passed {
		w.passed, w.since = passed, now
		return
	}
	if now.Sub(w.since) >= w.limit {
		w.relay.EndIdle(passed, refusal.ErrIdleTimeout)
	}
}
