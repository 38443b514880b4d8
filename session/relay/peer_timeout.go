package relay

import (
	"sync"
	"time"

	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// Peers that vanish without a word: a host lost its power, the network was cut.
// While nothing is on its way to such a peer, keepalive finds out. Otherwise the
// kernel sends again and again, for a quarter of an hour. TCP_USER_TIMEOUT would
// shorten that, but it also ends connections to a peer that is well and only does
// not read (Linux counts a closed window, too): a COPY into a table that somebody
// has locked, a client that shows its rows page by page. So gprxy looks for itself.
type peerWatch struct {
	relay *Relay
	limit time.Duration
	every time.Duration

	mu      sync.Mutex // guards the rest, and is held while looking
	timer   *time.Timer
	stopped bool
}

// WatchPeers ends the relay when the client's or the backend's host has not
// answered for limit although something waits for it there. After stop has
// returned nothing of this runs any more.
func (r *Relay) WatchPeers(limit time.Duration) (stop func()) {
	if limit == 0 {
		return func() {}
	}
	w := &peerWatch{relay: r, limit: limit, every: limit / 5}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.every, w.look)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stopped = true
		w.timer.Stop()
	}
}

func (w *peerWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case socket.HostGone(w.relay.client, w.limit):
		w.relay.End(refusal.ErrClientGone)
	case socket.HostGone(w.relay.backend, w.limit):
		w.relay.finish(ErrBackendGone)
	default:
		w.timer.Reset(w.every)
	}
}
