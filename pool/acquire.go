// Acquire: wait in line, find or open a backend, prepare it for the session.
package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"
)

// The limits a TimeoutError names.
const (
	limitConns  = "POOL_MAX_CONNS"
	limitTotal  = "POOL_MAX_TOTAL"
	limitLogins = "the limit of login checks"
)

// Acquire lends a backend of r.Key whose session defaults are r.Parameters. Requests are served in the order in which
// Announce has let them wait. The lease must end with Release or Discard.
//
// Errors: *pgconn.PgError if PostgreSQL refused the connection, its parameters or the settings, within a *LoginError once
// it had accepted the login; *UnreachableError if it could not be asked; *VersionError if it is too old; *TimeoutError if no
// backend became free in time; *PersonError if r.Person has too many; ErrClosed, ErrBadRequest, or the error of ctx or of
// r.Announce.
func (p *Pools) Acquire(ctx context.Context, r Request) (*Lease, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, leave, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := p.admit(r.Person); err != nil {
		return nil, err
	}
	l, err := p.acquire(ctx, r, began)
	if err != nil {
		p.leave(r.Person)
		return nil, err
	}
	if !p.register(l) {
		l.Discard()
		return nil, ErrClosed
	}
	p.config.Log.Debug("backend leased", "user", r.User, "database", r.Database, "pid", l.PID(), "reused", l.reused,
		"waited", l.waited)
	return l, nil
}

// acquire is Acquire for a request that is counted already.
func (p *Pools) acquire(ctx context.Context, r Request, began time.Time) (*Lease, error) {
	waitCtx, cancel := context.WithTimeout(ctx, p.config.AcquireTimeout)
	defer cancel()

	a := p.retain(r.Key)
	w := &waiting{pools: p, account: a, request: r, arrived: began}
	defer w.stopTelling()
	if err := p.queue(ctx, waitCtx, w); err != nil {
		p.release(a)
		return nil, p.waitError(ctx, err, began)
	}
	l := &Lease{pools: p, account: a, person: r.Person, replication: r.Replication, began: began, cancelling: make(chan struct{}, 1)}
	if err := p.fill(ctx, waitCtx, l, w); err != nil {
		p.leaveQueue(a)
		return nil, p.waitError(ctx, err, began)
	}
	return l, nil
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

// queue waits for a lease of the account, then for one of all.
func (p *Pools) queue(ctx, waitCtx context.Context, w *waiting) error {
	a := w.account
	w.on(limitConns, nil)
	if err := w.take(ctx, waitCtx, a.slots, limitConns); err != nil {
		return err
	}
	w.on(limitTotal, nil)
	if err := w.take(ctx, waitCtx, p.slots, limitTotal); err != nil {
		a.slots.Release(1)
		return err
	}
	p.count(a, 1, 0)
	w.on("", nil)
	return nil
}

// take takes a slot at once, or announces that it waits and does. Its place in line is that of when it was announced.
func (w *waiting) take(ctx, waitCtx context.Context, slots *semaphore.Weighted, limit string) error {
	if slots.TryAcquire(1) {
		return nil
	}
	if err := w.announce(ctx, nil); err != nil {
		return err
	}
	w.pools.count(w.account, 0, 1)
	defer w.pools.count(w.account, 0, -1)
	if slots.Acquire(waitCtx, 1) != nil {
		return &limitError{limit}
	}
	return nil
}

// announceError is what Announce returned.
type announceError struct{ err error }

func (e *announceError) Error() string { return e.err.Error() }

func (w *waiting) announce(ctx context.Context, l *Lease) error {
	if w.request.Announce != nil {
		if err := w.request.Announce(ctx, l); err != nil {
			return &announceError{err}
		}
	}
	w.tellLater()
	return nil
}

// leaveQueue gives back what queue and retain took.
func (p *Pools) leaveQueue(a *account) {
	p.count(a, -1, 0)
	p.slots.Release(1)
	a.slots.Release(1)
	p.release(a)
}

func (p *Pools) count(a *account, leased, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.leased += leased
	a.waiting += waiting
}

// fill gives the lease a backend that is ready for the session.
func (p *Pools) fill(ctx, waitCtx context.Context, l *Lease, w *waiting) error {
	r := w.request
	b, err := p.joinBucket(ctx, l.account, fingerprint(r.Parameters))
	if err != nil {
		return fmt.Errorf("making a pool: %w", err)
	}
	l.subpool = b
	s := &search{pools: p, subpool: b, request: r, waiting: w, want: firstTry(p.dialer.mode)}
	// Every idle backend may turn out to be dead, e.g. after a restart of PostgreSQL, and a new one may be caught by it.
	for range p.config.MaxConns + 2 {
		var conn *pgxpool.Conn
		if conn, err = s.find(ctx, waitCtx); err != nil {
			break
		}
		if err = l.take(ctx, conn, w); err == nil {
			return nil
		}
		if l.reused && revoked(err) {
			p.retire(l.account)
			continue
		}
		if !lost(err) || waitCtx.Err() != nil {
			break
		}
		if l.reused && timedOut(err) {
			b.pool.Reset() // the other idle ones would take as long to show the same
		}
	}
	p.partBucket(b)
	return err
}

// take announces the backend and makes it ready. With an error the lease has none.
func (l *Lease) take(ctx context.Context, conn *pgxpool.Conn, w *waiting) error {
	l.conn = conn
	l.pg = conn.Conn().PgConn()
	l.backend = backendOf(conn.Conn())
	l.reused = l.backend.served
	l.waited = time.Since(l.began)
	if err := w.announce(ctx, l); err != nil {
		if l.reused {
			l.conn.Release() // nothing was sent to it
		} else {
			l.drop()
		}
		return err
	}
	if err := l.prepare(ctx, w.request.Settings); err != nil {
		l.drop()
		if errors.Is(err, errRevoked) {
			return err
		}
		return connectError(ctx, err)
	}
	return nil
}

// lost says whether an error ended the connection, so that another backend may do better.
func lost(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Severity == "FATAL" || pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC"
	}
	_, ok := errors.AsType[*UnreachableError](err)
	return ok
}
