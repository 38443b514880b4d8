package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/store"
)

// A session is one client connection on its way through the steps.
type session struct {
	*Handler
	origin
	id       string
	conn     net.Conn // replaced by the TLS connection after the upgrade
	began    time.Time
	limit    *time.Timer // ends the login at deadline
	deadline time.Time
	giveUp   func(why error) // ends the login now
	slot     *admission.Slot // among those who log in
	late     bool            // there was no slot: only a cancel request is served
	counted  bool            // as one of Limits.Clients
	log      *slog.Logger
	secured  string // TLS version, "" in plain text

	handshaking bool // TLS was agreed on and has not been reached

	negotiated  []byte // NegotiateProtocolVersion to send, if any
	asks        AuthMethod
	welcomed    bool // AuthenticationOk has been sent
	protocol    uint32
	parameters  parameters // as the startup packet has them; nil before it was accepted
	replication pool.Replication
	user        string // whom it names: a wish, until authenticated
	database    string
	cancelKey   *cancelRequest

	recorded bool          // session.connected is in the log or among pending
	pending  []store.Event // facts that go into the log with the next append
	identity auth.Identity
	account  auth.Account
	backend  *pool.Lease
	key      backendKey
	early    []byte // what the client sent before it was let in
}

func (h *Handler) newSession(conn net.Conn) *session {
	now := time.Now()
	id := store.NewSessionID(now)
	from, socket := originOf(conn)
	return &session{
		Handler: h,
		origin:  from,
		id:      id,
		conn:    socket,
		began:   now,
		log:     h.Log.With("session", id, "client", from.client),
	}
}

// limitLogin bounds everything up to AuthenticationOk by one deadline, and by a
// drain while the client is still to be heard.
func (s *session) limitLogin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.deadline = s.began.Add(s.LoginTimeout)
	s.limit = time.AfterFunc(time.Until(s.deadline), func() { cancel(refusal.ErrLoginTimeout) })
	s.conn.SetDeadline(s.deadline)
	plain := s.conn
	s.giveUp = func(why error) { cancel(why); plain.SetReadDeadline(socket.LongAgo) }
	stop := whenDone(s.doorShut, func() { plain.SetReadDeadline(socket.LongAgo) })
	return ctx, func() { stop(); s.limit.Stop(); cancel(nil) }
}

// moveDeadline lets the login take until then: longer when it waits for a person,
// shorter when it came too late.
func (s *session) moveDeadline(until time.Time) {
	s.deadline = until
	s.limit.Reset(time.Until(until))
	s.conn.SetDeadline(until)
}

// whenDone runs f once ctx has ended. After stop has returned f neither runs nor
// will.
func whenDone(ctx context.Context, f func()) (stop func()) {
	finished := make(chan struct{})
	prevent := context.AfterFunc(ctx, func() { defer close(finished); f() })
	return func() {
		if !prevent() {
			<-finished
		}
	}
}

// turnAway records why a client is not let in, tells it and parts with it.
func (s *session) turnAway(ctx context.Context, err error) {
	defer s.partWith(ctx)
	if s.backend != nil {
		s.keys.remove(s.key)
		s.backend.Discard()
	}
	switch {
	case errors.Is(err, refusal.ErrClientGone) && s.account.User != "":
		s.recordLeft(store.EndLeftWaiting)
		return
	case errors.Is(err, refusal.ErrClientGone):
		s.recordLeft(store.EndLeftBeforeLogin)
		return
	case errors.Is(err, refusal.ErrNoPassword):
		s.recordLeft(store.EndLeftBeforeLogin)
	case errors.Is(err, refusal.ErrTokenDiscovery):
		s.recordLeft(store.EndTokenDiscovery)
	default:
		s.recordRefusal(ctx, err)
	}
	if s.asks == AuthOAuth && wantsToken(err) {
		if err := s.tellWhereToLogIn(); err != nil {
			s.log.Debug("the client did not wait for the issuer's address", "error", err)
		}
	}
	s.tell(err)
}

// recoverFault ends only this session when gprxy itself is at fault.
func (s *session) recoverFault() {
	fault := recover()
	if fault == nil {
		return
	}
	s.log.Error("the session ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
	if s.backend != nil {
		s.keys.remove(s.key)
		s.backend.Discard()
	}
	if s.recorded {
		s.note(store.SessionEnded{Reason: store.EndFault, DurationMS: s.milliseconds()})
		s.Events.Defer(s.noted()...)
	}
}

func (s *session) event(fact store.Fact) store.Event {
	return store.Event{Time: time.Now(), Session: s.id, Fact: fact}
}

func (s *session) milliseconds() float64 {
	return float64(time.Since(s.began).Microseconds()) / 1000
}

// endWatch takes over what the client sent while it was watched.
func (s *session) endWatch(w *departureWatch) {
	s.early = w.stop()
	s.conn.SetReadDeadline(s.deadline)
}
