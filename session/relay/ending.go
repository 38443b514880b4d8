package relay

import (
	"gprxy/session/socket"
)

// finish notes why the relay ends, the first reason only, and stops both pumps.
func (r *Relay) finish(why error) {
	r.conversation.mu.Lock()
	r.noteEnd(why)
	r.conversation.mu.Unlock()
	r.up.Interrupt()
	r.down.Interrupt()
	// Nobody reads the backend any more, so a write that waits for it would wait
	// for ever.
	r.backend.SetWriteDeadline(socket.LongAgo)
	r.recording.interrupt()
}

// noteEnd is called with the lock held under which it was seen that the relay may end: no request passes after it.
func (r *Relay) noteEnd(why error) {
	if r.ended == nil {
		r.ended = why
		close(r.over)
	}
}

// End ends the relay now, whatever is under way.
func (r *Relay) End(why error) {
	r.finish(why)
	r.client.SetWriteDeadline(socket.LongAgo) // a client that does not read holds nothing up
}

// Drain ends the relay as soon as no query is running and no transaction open. Of several reasons the first counts.
func (r *Relay) Drain(why error) { r.beginDrain(why, false) }

// DrainAfterStatement is Drain, but for a client that has not sent a statement yet: it is
// to end after its first.
func (r *Relay) DrainAfterStatement(why error) { r.beginDrain(why, true) }

func (r *Relay) beginDrain(why error, sparing bool) {
	r.conversation.mu.Lock()
	if r.draining == nil {
		r.draining, r.sparing = why, sparing
	}
	r.sparing = r.sparing && sparing
	ending := r.drained()
	if ending != nil {
		r.noteEnd(ending)
	}
	r.conversation.mu.Unlock()
	if ending != nil {
		r.finish(ending)
	}
}

// drained is why to end now, nil while there is no reason or something would be lost.
func (r *Relay) drained() error {
	if r.sparing && r.conversation.statements == 0 || !r.rests() {
		return nil
	}
	return r.draining
}

func (r *Relay) reason() error {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return r.ended
}

// rests tells whether nothing is lost by an end now.
func (r *Relay) rests() bool {
	return r.conversation.resting() && r.upFrames.AtBoundary() && r.downFrames.AtBoundary()
}
