package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gprxy/session/admission"
	"gprxy/session/refusal"
)

// Limits bound what clients may cost, above all those nobody knows yet. The zero
// value of a field sets no limit.
type Limits struct {
	Clients          int // people served or waiting for a backend
	Logins           int // connections that have not logged in
	LoginsPerAddress int // of them, for one address (of IPv6, one /64)

	Failures      int           // failed logins of one user from one address
	FailureMemory time.Duration // after which one of them is forgotten; needed with Failures
}

const (
	// Connections beyond the places for logins are read only as far as to serve
	// those that cancel: so many at once, of one origin so many, for so long.
	LateReaders          = 64
	lateReadersPerOrigin = 8
	lateTimeout          = time.Second
)

// findSlot takes a slot among the connections that log in, until the login is done. Where
// there is none the connection is late: it may still cancel.
func (s *session) findSlot() error {
	taken := func() { s.login.giveUp(refusal.ErrSlotTaken) }
	var ok bool
	if s.login.slot, ok = s.handler.slots.Enter(s.client.prefix, taken); ok {
		return nil
	}
	if s.login.slot, ok = s.handler.latecomers.Enter(s.client.prefix, taken); !ok {
		s.login.slot = &admission.Slot{}
		return refusal.ErrTooManyLogins
	}
	s.login.late = true
	s.moveDeadline(time.Now().Add(lateTimeout))
	return nil
}

// whyNot prefers what gprxy did to end the login over how the client's socket
// told of it.
func (s *session) whyNot(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case s.login.late && !errors.Is(err, refusal.ErrClientGone):
		return refusal.ErrTooManyLogins
	case !errors.Is(err, refusal.ErrLoginTimeout):
		return err
	case s.handler.loginsClosed.Err() != nil:
		return refusal.ErrDraining
	case cause != nil:
		return cause
	}
	return err
}

// clientCount is how many clients there are, of at most most (0: any number).
type clientCount struct {
	most int64
	n    atomic.Int64
}

func (c *clientCount) full() bool { return c.most > 0 && c.n.Load() >= c.most }

// enter counts one more, if it may be. leave must then be called.
func (c *clientCount) enter() bool {
	if n := c.n.Add(1); c.most > 0 && n > c.most {
		c.n.Add(-1)
		return false
	}
	return true
}

func (c *clientCount) leave() { c.n.Add(-1) }

// countClient turns a stranger who has logged in into a client that counts.
func (s *session) countClient() error {
	if !s.handler.clients.enter() {
		return refusal.ErrTooManyClients
	}
	s.login.counted = true
	s.login.slot.Release()
	return nil
}

// uncountClient undoes countClient.
func (s *session) uncountClient() {
	if s.login.counted {
		s.handler.clients.leave()
	}
}
