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

// waitReport is what Request.Tell is to say of an acquisition's wait.
type waitReport struct {
	timer    *time.Timer   // until it is made; nil before the wait was announced
	returned chan struct{} // closed when Request.Tell has returned

	mu    sync.Mutex // guards what follows
	limit string
	cause error
}

// announceError is what Announce returned.
type announceError struct{ err error }

func (e *announceError) Error() string { return e.err.Error() }

// announce tells the request what comes next: a wait, or the lease.
func (a *acquisition) announce(l *Lease) error {
	if a.request.Announce != nil {
		if err := a.request.Announce(a.ctx, l); err != nil {
			return &announceError{err}
		}
	}
	a.reportLater()
	return nil
}

// reportLater calls Request.Tell once the request has waited for long, and its wait was announced.
func (a *acquisition) reportLater() {
	r := &a.report
	if a.request.Tell == nil || r.timer != nil {
		return
	}
	r.returned = make(chan struct{})
	r.timer = time.AfterFunc(time.Until(a.began.Add(a.request.TellAfter)), func() {
		defer close(r.returned)
		a.request.Tell(a.wait())
	})
}

// stopReporting: after it Request.Tell neither runs nor will.
func (a *acquisition) stopReporting() {
	if r := &a.report; r.timer != nil && !r.timer.Stop() {
		<-r.returned
	}
}

// waitsFor notes what the request waits for from now on: a limit, or PostgreSQL because of cause.
func (a *acquisition) waitsFor(limit string, cause error) {
	a.report.mu.Lock()
	defer a.report.mu.Unlock()
	a.report.limit, a.report.cause = limit, cause
}

func (a *acquisition) wait() Wait {
	p := a.pools
	a.report.mu.Lock()
	wait := Wait{Limit: a.report.limit, Cause: a.report.cause, Left: time.Until(a.began.Add(p.config.AcquireTimeout))}
	a.report.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch wait.Limit {
	case limitConns:
		wait.Allowed, wait.Waiting = p.config.MaxConns, max(1, a.account.waiting) // it may be told before it is counted
	case limitTotal:
		wait.Allowed = p.config.MaxTotal
		for _, account := range p.accounts {
			wait.Waiting += account.waiting
		}
		wait.Waiting = max(1, wait.Waiting)
	}
	return wait
}
