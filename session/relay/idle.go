package relay

import "gprxy/pool/wire"

// Idle is how many bytes have passed a relay that does nothing outside a transaction; false if it does something. What gprxy itself
// holds up is under way, too: a request that waits for the log, an answer that the client has not taken. Replication is never
// idle, and neither is a session in doubt, of which nobody knows what it waits for.
func (r *Relay) Idle() (passed int64, idle bool) {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return r.idle()
}

// EndIdle ends the relay if it is still idle, and nothing has passed since Idle gave so many bytes.
func (r *Relay) EndIdle(passed int64, why error) {
	r.conversation.mu.Lock()
	now, idle := r.idle()
	if idle = idle && now == passed; idle {
		r.noteEnd(why)
	}
	r.conversation.mu.Unlock()
	if idle {
		r.finish(why)
	}
}

// idle is called with the lock held. A chunk that is taken in hand after it has looked is not passed on any more once the end is
// noted under the same lock, or is of no request.
func (r *Relay) idle() (passed int64, idle bool) {
	c := &r.conversation
	idle = !r.requesting.Load() && !r.answering.Load() && c.idle() && c.status == wire.TxIdle && !c.copyBoth &&
		r.upFrames.AtBoundary() && r.downFrames.AtBoundary()
	return r.bytesIn.Load() + r.bytesOut.Load(), idle
}
