package relay

import "slices"

// Inject sends the client a message of gprxy's own. It must not cut a frame of
// the backend's in two, so it goes now if the stream stands between two frames,
// else behind the chunk that ends at one, after what waits already. It is dropped when the relay ends.
func (r *Relay) Inject(message []byte) {
	for {
		waiting, all := r.injected.Load(), message
		if waiting != nil {
			all = slices.Concat(*waiting, message)
		}
		if r.injected.CompareAndSwap(waiting, &all) {
			break
		}
	}
	r.sendInjected()
}

// sendInjected sends what is waiting if it may. Whoever holds writing calls it
// again after giving it back, so that no notice is forgotten.
func (r *Relay) sendInjected() {
	for r.injected.Load() != nil && r.writing.TryLock() {
		sent := r.sendInjectedLocked()
		r.writing.Unlock()
		if !sent {
			return // in the middle of a frame: the next chunk tries again
		}
	}
}

func (r *Relay) sendInjectedLocked() (sent bool) {
	r.conversation.mu.Lock()
	may := r.downFrames.AtBoundary() && r.ended == nil
	r.conversation.mu.Unlock()
	if !may {
		return false
	}
	if message := r.injected.Swap(nil); message != nil {
		if _, err := r.client.Write(*message); err != nil {
			r.clientWriteFailed.Store(true)
		}
	}
	return true
}
