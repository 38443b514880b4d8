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
	"gprxy/session/startup"
	"gprxy/store"
)

// A session is one client connection on its way through the steps. What is known of it has a part for each stage, and is
// written there alone.
type session struct {
	handler *Handler
	client  client // from accept on
	asked   asked  // from the startup packet on
	login   login  // until the client is let in or turned away
	facts   facts  // for the event log
	served  served // from the authentication on
}

// client is the connection itself.
type client struct {
	origin
	id          string
	conn        net.Conn // replaced by the TLS connection after the upgrade
	began       time.Time
	log         *slog.Logger
	secured     string // TLS version, "" in plain text
	handshaking bool   // TLS was agreed on and has not been reached
}

// asked is what the startup packet asks for; no more than that until the client is authenticated.
type asked struct {
	protocol    uint32
	negotiated  []byte             // NegotiateProtocolVersion to send, if any
	parameters  startup.Parameters // as the packet has them; nil before it was accepted
	replication pool.Replication
	user        string
	database    string
	cancelKey   *cancelRequest // of a CancelRequest, which asks for nothing else
}

// login is a login under way.
type login struct {
	limit    *time.Timer // ends it at deadline
	deadline time.Time
	giveUp   func(why error) // ends it now
	slot     *admission.Slot // among those who log in
	late     bool            // there was no slot: only a cancel request is served
	counted  bool            // as one of Limits.Clients, until the session's end
	method   AuthMethod
	welcomed bool   // AuthenticationOk has been sent
	early    []byte // what the client sent before it was let in
}

// facts go into the log with the next append.
type facts struct {
	begun   bool // session.connected is in the log or among pending
	pending []store.Event
}

// served is who is served, and by what.
type served struct {
	identity auth.Identity
	account  auth.Account
	backend  *pool.Lease // nil before it was acquired
	key      backendKey
}

func (h *Handler) newSession(conn net.Conn) *session {
	now := time.Now()
	id := store.NewSessionID(now)
	from, socket := originOf(conn)
	return &session{handler: h, client: client{
		origin: from,
		id:     id,
		conn:   socket,
		began:  now,
		log:    h.Log.With("session", id, "client", from.address),
	}}
}

// limitLogin bounds everything up to the end of the login by one deadline, and by a
// drain while the client is still to be heard.
func (s *session) limitLogin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.login.deadline = s.client.began.Add(s.handler.LoginTimeout)
	s.login.limit = time.AfterFunc(time.Until(s.login.deadline), func() { cancel(refusal.ErrLoginTimeout) })
	s.client.conn.SetDeadline(s.login.deadline)
	plain := s.client.conn
	s.login.giveUp = func(why error) { cancel(why); plain.SetReadDeadline(socket.LongAgo) }
	stop := socket.WhenDone(s.handler.loginsClosed, func() { plain.SetReadDeadline(socket.LongAgo) })
	return ctx, func() { stop(); s.login.limit.Stop(); cancel(nil) }
}

// moveDeadline lets the login take until then: longer when it waits for a person,
// shorter when it came too late.
func (s *session) moveDeadline(until time.Time) {
	s.login.deadline = until
	s.login.limit.Reset(time.Until(until))
	s.client.conn.SetDeadline(until)
}

// refuse records why a client is not let in, tells it and parts with it.
func (s *session) refuse(ctx context.Context, err error) {
	defer s.closeRefused(ctx)
	if s.served.backend != nil {
		s.handler.keys.remove(s.served.key)
		s.served.backend.Discard()
	}
	switch {
	case errors.Is(err, refusal.ErrClientGone) && s.served.account.User != "":
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
	if s.login.method == AuthOAuth && wantsToken(err) {
		if err := s.tellWhereToLogIn(); err != nil {
			s.client.log.Debug("the client did not wait for the issuer's address", "error", err)
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
	s.client.log.Error("the session ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
	if s.served.backend != nil {
		s.handler.keys.remove(s.served.key)
		s.served.backend.Discard()
	}
	if s.facts.begun {
		s.note(store.SessionEnded{Reason: store.EndFault, DurationMS: s.client.milliseconds()})
		s.handler.Events.Enqueue(s.noted()...)
	}
}

func (c *client) event(fact store.Fact) store.Event {
	return store.Event{Time: time.Now(), Session: c.id, Fact: fact}
}

func (c *client) milliseconds() float64 {
	return float64(time.Since(c.began).Microseconds()) / 1000
}

// endDisconnectWatch takes over what the client sent while it was watched.
func (s *session) endDisconnectWatch(w *startup.DisconnectWatch) {
	s.login.early = w.Stop()
	s.client.conn.SetReadDeadline(s.login.deadline)
}
