// The queue: a place for one lease, of the account and of all, in the order of arrival; and which limit kept a request waiting.
package pool

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

// The limits a TimeoutError names.
const (
	limitConns  = "POOL_MAX_CONNS"
	limitTotal  = "POOL_MAX_TOTAL"
	limitLogins = "the limit of login checks"
)

// queue waits for a lease of the account, then for one of all.
func (a *acquisition) queue() error {
	a.waitsFor(limitConns, nil)
	if err := a.takeSlot(a.account.slots, limitConns); err != nil {
		return err
	}
	a.waitsFor(limitTotal, nil)
	if err := a.takeSlot(a.pools.slots, limitTotal); err != nil {
		a.account.slots.Release(1)
		return err
	}
	a.pools.count(a.account, 1, 0)
	a.waitsFor("", nil)
	return nil
}

// takeSlot takes a slot at once, or announces that it waits and does. Its place in line is that of when it was announced.
func (a *acquisition) takeSlot(slots *semaphore.Weighted, limit string) error {
	if slots.TryAcquire(1) {
		return nil
	}
	if err := a.announce(nil); err != nil {
		return err
	}
	a.pools.count(a.account, 0, 1)
	defer a.pools.count(a.account, 0, -1)
	if slots.Acquire(a.patience, 1) != nil {
		return &limitError{limit}
	}
	return nil
}

// leaveQueue gives back what queue and retainAccount took.
func (p *Pools) leaveQueue(a *account) {
	p.count(a, -1, 0)
	p.slots.Release(1)
	a.slots.Release(1)
	p.releaseAccount(a)
}

func (p *Pools) count(a *account, leased, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.leased += leased
	a.waiting += waiting
}

// limitError is an internal wait that reached its end; waitError makes the public error of it.
type limitError struct{ limit string }

func (e *limitError) Error() string { return e.limit + " is reached" }

// waitError tells the end of the caller's patience from the end of the wait, and a limit that is reached from a server
// that does not let anybody go on.
func (p *Pools) waitError(ctx context.Context, err error, began time.Time) error {
	if announced, ok := errors.AsType[*announceError](err); ok {
		return announced.err
	}
	limit, waited := errors.AsType[*limitError](err)
	switch {
	case !waited && !away(err):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !waited:
		return err
	}
	if cause := p.outage.current(); cause != nil {
		return cause
	}
	return &TimeoutError{Limit: limit.limit, Allowed: p.allowed(limit.limit), Waited: time.Since(began)}
}

// allowed is the value of a limit.
func (p *Pools) allowed(limit string) int {
	switch limit {
	case limitConns:
		return p.config.MaxConns
	case limitTotal:
		return p.config.MaxTotal
	default:
		return LoginChecks
	}
}
