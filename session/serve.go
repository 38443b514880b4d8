package session

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/store"
)

// relay joins the client and its backend until one of them ends, settles the
// backend and records the end.
func (s *session) relay(ctx context.Context) {
	r := newRelay(s.conn, s.backend.Conn(), wire.TxIdle)
	r.conversation.parameters = s.backend.SetParameter
	r.conversation.alone = s.leaveDatabases
	r.stampWith(s.backend)
	s.watchAccounts(r)
	r.onFault = func(fault any) {
		s.log.Error("the relay ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
	}
	r.recording = s.startRecording(ctx, r)
	defer r.recording.close()
	s.conn.SetDeadline(time.Time{})
	stopDrain := whenDone(s.draining, func() { r.drainBegun(refusal.ErrShutdown) })
	stopLate := whenDone(s.doorShut, func() { r.drain(refusal.ErrShutdown) })
	stopEnd := whenDone(ctx, func() { r.end(refusal.ErrShutdown) })
	stopExpiry := s.watchExpiry(r)
	stopWatch := watchPeers(r, s.PeerTimeout)
	why := r.run(s.early)
	stopWatch()
	stopExpiry()
	stopDrain()
	stopLate()
	stopEnd()
	r.restoreDeadlines()
	if errors.Is(why, refusal.ErrUnstamped) {
		s.log.Warn("a session was ended", "because", why)
	}

	r.recording.clientLeft()
	s.sayGoodbye(r, why)
	listens := s.hangUp()
	s.keys.remove(s.key)
	// The backend is brought to rest also when ctx has ended: settle has a
	// limit of its own.
	if err := r.settle(context.WithoutCancel(ctx), s.backend); err != nil {
		s.log.Debug("the backend was closed", "backend_pid", s.key.pid, "because", err)
	}
	r.recording.close()
	s.recordEnd(r, why)
	if listens && !errors.Is(why, errClientGone) {
		s.hearOut(ctx)
	}
}

// sayGoodbye tells a client that did not leave by itself why its session ends.
func (s *session) sayGoodbye(r *relay, why error) {
	if !r.canTell() {
		return
	}
	switch refused, ours := errors.AsType[*refusal.Error](why); {
	case ours:
		s.tell(refused)
	case errors.Is(why, errBackendGone) && r.upFrames.Lost():
		s.tell(refusal.Malformed("invalid message length")) // PostgreSQL would close without a word
	case errors.Is(why, errBackendGone) && !r.conversation.fatal:
		s.tell(refusal.ErrBackendLost)
	case errors.Is(why, errRelayFault):
		s.tell(why)
	}
}

func (s *session) recordEnd(r *relay, why error) {
	c := &r.conversation
	end := store.SessionEnded{
		Reason:     endReason(why),
		DurationMS: s.milliseconds(),
		Statements: c.statements,
		Errors:     c.errors,
		Rows:       c.rows,
		BytesIn:    r.bytesIn.Load(),
		BytesOut:   r.bytesOut.Load(),
		Doubt:      c.doubt,
	}
	s.Events.Defer(s.event(end))
	s.log.Info("ended", "user", s.identity.User, "service_account", s.backend.CurrentUser(),
		"database", s.database, "reason", end.Reason,
		"duration", time.Since(s.began).Round(time.Millisecond), "statements", end.Statements)
}

func endReason(why error) string {
	switch {
	case errors.Is(why, errTerminate):
		return store.EndTerminated
	case errors.Is(why, errClientGone):
		return store.EndClientGone
	case errors.Is(why, errBackendGone):
		return store.EndBackendGone
	case errors.Is(why, errRelayFault):
		return store.EndFault
	}
	if r, ok := errors.AsType[*refusal.Error](why); ok {
		return r.Reason
	}
	return store.EndFault
}
