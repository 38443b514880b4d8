// The wait: what a request waits for, so that its client can be told.
package pool

import (
	"sync"
	"time"
)

// Wait is what a request waits for at a moment.
type Wait struct {
	Limit   string        // the setting whose limit is reached; "" if PostgreSQL itself lets nobody go on
	Allowed int           // what that setting allows
	Waiting int           // requests that wait, of the account or of all, this one included
	Cause   error         // with no Limit: why PostgreSQL lets nobody go on; nil if it only takes long
	Left    time.Duration // until the wait ends
}

// waiting follows one request.
type waiting struct {
	pools   *Pools
	account *account
	request Request
	arrived time.Time

	timer *time.Timer   // to tell; nil before the wait was announced
	told  chan struct{} // closed when request.Tell has returned

	mu    sync.Mutex // guards what follows
	limit string
	cause error
}

// tellLater calls request.Tell once the request has waited for long, and its wait was announced.
func (w *waiting) tellLater() {
	if w.request.Tell == nil || w.timer != nil {
		return
	}
	w.told = make(chan struct{})
	w.timer = time.AfterFunc(time.Until(w.arrived.Add(w.request.TellAfter)), func() {
		defer close(w.told)
		w.request.Tell(w.now())
	})
}

// stopTelling: after it request.Tell neither runs nor will.
func (w *waiting) stopTelling() {
	if w.timer != nil && !w.timer.Stop() {
		<-w.told
	}
}

// on notes what the request waits for from now on: a limit, or PostgreSQL because of cause.
func (w *waiting) on(limit string, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.cause = limit, cause
}

func (w *waiting) now() Wait {
	w.mu.Lock()
	wait := Wait{Limit: w.limit, Cause: w.cause, Left: time.Until(w.arrived.Add(w.pools.config.AcquireTimeout))}
	w.mu.Unlock()
	p := w.pools
	p.mu.Lock()
	defer p.mu.Unlock()
	switch wait.Limit {
	case limitConns:
		wait.Allowed, wait.Waiting = p.config.MaxConns, max(1, w.account.waiting) // it may be told before it is counted
	case limitTotal:
		wait.Allowed = p.config.MaxTotal
		for _, a := range p.accounts {
			wait.Waiting += a.waiting
		}
		wait.Waiting = max(1, wait.Waiting)
	}
	return wait
}
