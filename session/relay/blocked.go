package relay

import (
	"time"

	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// How often the client is looked at while the backend takes no more input.
const blockedCheck = 250 * time.Millisecond

// writeToBackend passes on what the client sent. A backend that is busy takes no
// input once its buffers are full; while that lasts nobody reads the client, and
// its end would not be noticed. So it is looked for.
func (r *Relay) writeToBackend(chunk []byte) error {
	n, err := r.backendOut.WriteNow(chunk)
	if err != nil || n == len(chunk) {
		return err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	watch := time.AfterFunc(blockedCheck, func() {
		defer close(stopped)
		r.watchBlocked(stop)
	})
	_, err = r.backendOut.Write(chunk[n:])
	close(stop)
	if !watch.Stop() {
		<-stopped
	}
	return err
}

// watchBlocked ends the relay when the client is gone. A client that has closed
// its side may still wait for answers, so it is asked, as in halfClose.
func (r *Relay) watchBlocked(stop <-chan struct{}) {
	ticker := time.NewTicker(blockedCheck)
	defer ticker.Stop()
	asked := false
	for {
		if r.clientVanished() || r.clientWriteFailed.Load() {
			r.finish(refusal.ErrClientGone)
			return
		}
		if !asked && socket.HasClosed(r.client) {
			asked = true
			r.Inject(knownParameterStatus)
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}
