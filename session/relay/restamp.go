package relay

import (
	"bytes"
	"fmt"

	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// The stamp tells PostgreSQL who the person is: gprxy.user, a mark in application_name. It is made after the acquire, since a
// startup parameter would tie the backend to the person, so a session's own RESET ALL or DISCARD ALL drops it. The pools of many
// drivers send these at each check-out, so gprxy makes the stamp again before the next statement runs:
//
//   - PostgreSQL's command tag tells that something was reset. What the client sends next waits until gprxy has asked PostgreSQL
//     for the stamp and has the answer, see pool.Restamp. That is done outside a transaction only: within one, an error of
//     gprxy's own statements would be the client's.
//   - Some drivers (Npgsql) send the first statement behind the reset without waiting. So what comes behind a Query whose text
//     may be a reset waits until that is answered.
//
// What is not seen: a reset inside a function or procedure, or in a pipeline of the extended protocol (there the stamp is back
// with what follows the pipeline). Who wants to be without a stamp can SET it anyway.

// stamping is a stamp under way. pool.Restamp is guarded by the conversation's mu.
type stamping struct {
	*pool.Restamp
	over chan struct{} // closed when PostgreSQL has answered
}

// A stamp is refused when a cancel request of the client's comes late, or in an emergency of the server's.
const stampAttempts = 10

// StampWith has the stamp of a lease put back, if it has one.
func (r *Relay) StampWith(lease *pool.Lease) {
	r.newStamp = lease.Restamp
	r.conversation.stamped = lease.Restamp(nil) != nil
}

// restamp puts the stamp back if it is gone and the backend is at rest outside a transaction.
func (r *Relay) restamp() error {
	var before *pool.Restamp
	for range stampAttempts {
		now := r.beginStamp(before)
		if now == nil {
			return nil
		}
		if err := r.writeToBackend(now.Bytes()); err != nil {
			r.requestsCut.Store(true)
			return ErrBackendGone
		}
		if !r.wait(now.over) {
			return socket.ErrInterrupted
		}
		before = now.Restamp
	}
	return r.stopBefore(fmt.Errorf("%w: %w", refusal.ErrUnstamped, before.Refused()))
}

// beginStamp begins an attempt: the first if the stamp is gone, another if the one before was refused. It returns nil if there
// is nothing to do.
func (r *Relay) beginStamp(before *pool.Restamp) *stamping {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	if before != nil && before.Refused() == nil || before == nil && !r.stampDue() {
		return nil
	}
	c.unstamped = false
	r.stamping = &stamping{r.newStamp(before), make(chan struct{})}
	return r.stamping
}

// stampDue: the stamp is gone, and PostgreSQL waits for a command outside a transaction.
func (r *Relay) stampDue() bool {
	c := &r.conversation
	return c.unstamped && c.idle() && c.status == wire.TxIdle && r.upFrames.AtBoundary()
}

// beforeStamp tells whether the client's next message has to wait, for the answer to what may be a reset, or for the rest of a
// message from the backend. A COPY waits for the client's data; and where the client is skipped, or its answers are in doubt,
// the Query will not be seen to be answered.
func (r *Relay) beforeStamp() bool {
	c := &r.conversation
	if c.doubt != "" {
		return false
	}
	return c.resetting && !c.idle() && !c.copyIn && !c.copyBoth && !c.skipping || r.stampDue() && !r.downFrames.AtBoundary()
}

func (r *Relay) resetting() bool {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return r.conversation.resetting
}

// withoutStamp takes the answers to a stamp out of what the backend sent.
func (r *Relay) withoutStamp(chunk []byte) ([]byte, error) {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.stamping == nil {
		return chunk, nil
	}
	chunk, over, err := r.stamping.Take(chunk)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", refusal.ErrUnstamped, err)
	}
	if over {
		close(r.stamping.over)
		r.stamping = nil
	}
	return chunk, nil
}

// mayReset tells whether the beginning of a text holds a word that drops the stamp.
func mayReset(text []byte) bool {
	for i, b := range text {
		switch b {
		case 'r', 'R':
			if hasWord(text[i:], "reset") {
				return true
			}
		case 'd', 'D':
			if hasWord(text[i:], "discard") {
				return true
			}
		}
	}
	return false
}

func hasWord(text []byte, word string) bool {
	return len(text) >= len(word) && bytes.EqualFold(text[:len(word)], []byte(word))
}

// hasReset tells whether a command tag is one of a command that may have dropped the stamp.
func hasReset(tag []byte) bool {
	return string(tag) == "RESET\x00" || string(tag) == "DISCARD ALL\x00"
}
