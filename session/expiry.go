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

// The zero value lets sessions go on: a token opens the door, and is looked at no
// more.
const (
	ExpiryAllow ExpiryPolicy = iota
	ExpiryDisconnect
)

// How long before the expiry the client is told.
const expiryNotice = time.Minute

// watchExpiry ends the session when its token has expired: at once if it rests,
// at the end of its transaction if that comes within the grace, at the end of
// the grace otherwise. The client is told a minute before. After stop has
// returned nothing of this runs any more.
func (s *session) watchExpiry(r *relay.Relay) (stop func()) {
	expires := s.served.identity.Expires
	if s.handler.OnExpiry != ExpiryDisconnect || expires.IsZero() {
		return func() {}
	}
	a := &alarms{now: time.Now, every: lookAtClock}
	a.at(expires.Add(-expiryNotice), func() { s.announceExpiry(r, expires) })
	a.at(expires, func() { r.Drain(refusal.ErrTokenExpired) })
	a.at(expires.Add(s.handler.ExpiryGrace), func() { r.End(refusal.ErrTokenExpired) })
	return func() {
		a.stop()
		s.client.conn.SetWriteDeadline(socket.LongAgo) // a notice may wait for a client that does not read
		a.wait()
	}
}

func (s *session) announceExpiry(r *relay.Relay, expires time.Time) {
	notice, err := encode(nil, &pgproto3.NoticeResponse{
		Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000",
		Message: "this session will end at " + expires.UTC().Format("15:04:05 UTC") + ", when the token you logged in with expires",
		Hint:    "Finish your work, log in again for a fresh token, and connect again.",
	})
	if err != nil {
		s.client.log.Error("could not announce the end of the session", "error", err)
		return
	}
	r.Inject(notice)
}
