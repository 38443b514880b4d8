package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gprxy/auth"
	"gprxy/session/admission"
	"gprxy/session/refusal"
	"gprxy/session/startup"
	"gprxy/store"
)

// note takes facts down, and session.connected before the first of them, for the
// next append. Before anything is done that rests on them, record is called.
func (s *session) note(facts ...store.Fact) {
	if !s.facts.begun {
		s.facts.begun = true
		connected := s.client.event(s.connectedFact())
		connected.Time = s.client.began
		s.facts.pending = append(s.facts.pending, connected)
	}
	for _, fact := range facts {
		s.facts.pending = append(s.facts.pending, s.client.event(fact))
	}
}

// noted gives what is to be appended, once.
func (s *session) noted() []store.Event {
	events := s.facts.pending
	s.facts.pending = nil
	return events
}

// record appends the facts after those noted before. It returns when all of them
// are durable; if they cannot be, the session must not go on.
func (s *session) record(ctx context.Context, facts ...store.Fact) error {
	s.note(facts...)
	if err := s.handler.Events.Append(ctx, s.noted()...); err != nil {
		return fmt.Errorf("record the session: %w", startup.Reason(ctx, err))
	}
	return nil
}

// mayRecord tells whether a refusal is recorded by itself: always if it is known
// who is refused or the proof was verified, else while there are not too many.
func (s *session) mayRecord(err error, reason string) bool {
	of := store.SessionRefused{}.Type()
	switch {
	case s.served.identity.User != "", verifiedBad(err):
		return true
	case s.facts.begun: // and so must its end be
		s.handler.condenser.Spend(s.client.prefix, time.Now())
		return true
	case reason == refusal.ReasonHandshake: // a client that does not trust the certificate is looked for in the event log
		return s.handler.condenser.AdmitLine(refusedConnection, reason, s.client.prefix, time.Now())
	case s.asked.parameters == nil:
		of = refusedConnection
	}
	return s.handler.condenser.Admit(of, reason, s.client.prefix, time.Now())
}

// refusedConnection stands for connections that were turned away before their startup packet. They are no events by
// themselves.
const refusedConnection = "connection.refused"

// recordCounts records what was counted in place of being recorded by itself.
func (h *Handler) recordCounts(facts []admission.Condensed) {
	for _, f := range facts {
		if f.Count > f.Logged {
			h.Log.Warn("many of the same kind, counted together", "of", f.Of, "reason", f.Reason, "client", f.Client, "count", f.Count)
		}
		h.Events.Enqueue(store.Event{Time: f.Last, Fact: f.LogCondensed})
	}
}

// recordRefusal notes why the client is turned away. A connection that did not
// get as far as a startup packet is no session and leaves a log line only; failed
// TLS handshakes are counted in the event log besides.
func (s *session) recordRefusal(ctx context.Context, err error) {
	response := refusal.Response(err, s.asked.user)
	reason := refusal.Reason(err)
	if !s.mayRecord(err, reason) {
		s.client.log.Debug("refused, one of many", "sqlstate", response.Code, "reason", reason)
		return
	}
	s.client.log.Warn("refused", "requested_user", s.asked.user, "user", s.served.identity.User, "database", s.asked.database,
		"sqlstate", response.Code, "reason", reason, "error", err)
	if s.asked.parameters == nil {
		return
	}
	if failure, ok := errors.AsType[*refusal.AuthFailure](err); ok {
		s.note(store.AuthFailed{
			Method: failure.Method, User: failure.User, Issuer: failure.Issuer,
			TokenID: failure.TokenID, Reason: failure.Reason, Detail: failure.Detail,
		})
	}
	if denied, ok := errors.AsType[*auth.RoleError](err); ok {
		s.note(s.authSucceeded(), store.RoleDenied{
			Roles: denied.Roles, RequestedUser: s.asked.user, Reason: denied.Reason,
		})
	}
	s.note(store.SessionRefused{
		SQLState: response.Code, Reason: reason, Message: store.Shorten(response.Message),
	})
	s.keep(ctx)
}

// recordLeft notes a client that left before it was let in: no failed login.
// psql leaves each time it has to ask its user for the password, a client with
// OAUTHBEARER to fetch a token, and others give up waiting for a backend.
func (s *session) recordLeft(reason string) {
	s.client.log.Debug("left before login", "requested_user", s.asked.user, "database", s.asked.database, "reason", reason)
	if s.asked.parameters == nil || !s.facts.begun && !s.handler.condenser.Admit(store.SessionEnded{}.Type(), reason, s.client.prefix,
		time.Now()) {
		return
	}
	s.note(store.SessionEnded{Reason: reason, DurationMS: s.client.milliseconds()})
	s.handler.Events.Enqueue(s.noted()...)
}

// keep makes what was noted durable before the client hears of it, or, when that
// cannot be, leaves it with the log to be written once it can.
func (s *session) keep(ctx context.Context) {
	events := s.noted()
	if s.handler.Events.Healthy() != nil || ctx.Err() != nil {
		s.handler.Events.Enqueue(events...)
		return
	}
	if err := s.handler.Events.Append(ctx, events...); err != nil {
		s.client.log.Debug("the refusal waits for the event log", "error", err)
	}
}
