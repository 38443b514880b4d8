package session

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/relay"
	"gprxy/session/socket"
	"gprxy/store"
)

// serve joins the client and its backend until one of them ends, settles the
// backend and records the end.
func (s *session) serve(ctx context.Context) {
	r := relay.New(s.client.conn, s.served.backend.Conn(), wire.TxIdle)
	r.OnParameter(s.served.backend.SetParameter)
	r.OnAlone(s.leaveDatabases)
	r.StampWith(s.served.backend)
	r.WatchAccounts(s.served.backend.CurrentUser(), s.noteAltered)
	r.OnFault = func(fault any) {
		s.client.log.Error("the relay ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
	}
	r.Record(ctx, relay.Log{Events: s.handler.Events, Session: s.client.id, Statements: s.handler.Statements, Person: s.served.identity,
		Backend: s.served.backend, Log: s.client.log})
	defer r.CloseRecord()
	s.client.conn.SetDeadline(time.Time{})
	stopDrain := socket.WhenDone(s.handler.draining, func() { r.DrainAfterStatement(refusal.ErrShutdown) })
	stopLate := socket.WhenDone(s.handler.loginsClosed, func() { r.Drain(refusal.ErrShutdown) })
	stopEnd := socket.WhenDone(ctx, func() { r.End(refusal.ErrShutdown) })
	stopTime := s.watchTime(r)
	stopWatch := r.WatchPeers(s.handler.PeerTimeout)
	why := r.Run(s.login.early)
	stopWatch()
	stopTime()
	stopDrain()
	stopLate()
	stopEnd()
	r.RestoreDeadlines()
	if errors.Is(why, refusal.ErrUnstamped) {
		s.client.log.Warn("a session was ended", "because", why)
	}

	r.ClientLeft()
	s.sayGoodbye(r, why)
	listens := s.client.hangUp()
	s.handler.keys.remove(s.served.key)
	// The backend is brought to rest also when ctx has ended: Settle has a
	// limit of its own.
	if err := r.Settle(context.WithoutCancel(ctx), s.served.backend); err != nil {
		s.client.log.Debug("the backend was closed", "backend_pid", s.served.key.pid, "because", err)
	}
	r.CloseRecord()
	s.recordEnd(r, why)
	if listens && !errors.Is(why, refusal.ErrClientGone) {
		s.client.lingeringClose(ctx)
	}
}

// sayGoodbye tells a client that did not leave by itself why its session ends.
func (s *session) sayGoodbye(r *relay.Relay, why error) {
	if !r.CanTell() {
		return
	}
	switch refused, ours := errors.AsType[*refusal.Error](why); {
	case ours:
		s.tell(refused)
	case errors.Is(why, relay.ErrBackendGone) && r.RequestsLost():
		s.tell(refusal.Malformed("invalid message length")) // PostgreSQL would close without a word
	case errors.Is(why, relay.ErrBackendGone) && !r.BackendSaidWhy():
		s.tell(refusal.ErrBackendLost)
	case errors.Is(why, relay.ErrFault):
		s.tell(why)
	}
}

func (s *session) recordEnd(r *relay.Relay, why error) {
	passed := r.Figures()
	end := store.SessionEnded{
		Reason:     endReason(why),
		DurationMS: s.client.milliseconds(),
		Statements: passed.Statements,
		Errors:     passed.Errors,
		Rows:       passed.Rows,
		BytesIn:    passed.BytesIn,
		BytesOut:   passed.BytesOut,
		Doubt:      passed.Doubt,
	}
	s.handler.Events.Enqueue(s.client.event(end))
	s.client.log.Info("ended", "user", s.served.identity.User, "service_account", s.served.backend.CurrentUser(),
		"database", s.asked.database, "reason", end.Reason,
		"duration", time.Since(s.client.began).Round(time.Millisecond), "statements", end.Statements)
}

func endReason(why error) string {
	switch {
	case errors.Is(why, relay.ErrTerminate):
		return store.EndTerminated
	case errors.Is(why, refusal.ErrClientGone):
		return store.EndClientGone
	case errors.Is(why, relay.ErrBackendGone):
		return store.EndBackendGone
	case errors.Is(why, relay.ErrFault):
		return store.EndFault
	}
	if r, ok := errors.AsType[*refusal.Error](why); ok {
		return r.Reason
	}
	return store.EndFault
}
