// Acquire: wait in line, find or open a backend, prepare it for the session.
package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
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
	patience, cancel := context.WithTimeout(ctx, p.config.AcquireTimeout)
	defer cancel()
	l, err := (&acquisition{pools: p, request: r, began: began, ctx: ctx, patience: patience, want: firstTry(p.dialer.mode)}).run()
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

// acquisition is one request on its way to a backend: it queues, finds or opens one, and prepares it, in this order. It lives
// as long as its call of Acquire and belongs to that goroutine, but for what report guards.
type acquisition struct {
	pools   *Pools
	request Request
	account *account
	subpool *subpool
	began   time.Time

	ctx      context.Context // of the caller
	patience context.Context // ctx, and no longer than POOL_ACQUIRE_TIMEOUT

	want     security  // of the next new connection
	refused  error     // PostgreSQL's refusal, as long as it has no place for one more connection
	askAgain time.Time // when to ask it again after that

	report waitReport
}

func (a *acquisition) run() (*Lease, error) {
	p := a.pools
	a.account = p.retainAccount(a.request.Key)
	defer a.stopReporting()
	if err := a.queue(); err != nil {
		p.releaseAccount(a.account)
		return nil, p.waitError(a.ctx, err, a.began)
	}
	l, err := a.lease()
	if err != nil {
		p.leaveQueue(a.account)
		return nil, p.waitError(a.ctx, err, a.began)
	}
	return l, nil
}

// lease finds backends until one is ready for the session.
func (a *acquisition) lease() (_ *Lease, err error) {
	p := a.pools
	if a.subpool, err = p.retainSubpool(a.ctx, a.account, fingerprint(a.request.Parameters)); err != nil {
		return nil, fmt.Errorf("making a pool: %w", err)
	}
	// Every idle backend may turn out to be dead, e.g. after a restart of PostgreSQL, and a new one may be caught by it.
	for range p.config.MaxConns + 2 {
		var conn *pgxpool.Conn
		if conn, err = a.find(); err != nil {
			break
		}
		l := a.leaseOf(conn)
		if err = a.prepare(l); err == nil {
			return l, nil
		}
		if l.reused && revoked(err) {
			p.retire(a.account)
			continue
		}
		if !lost(err) || a.patience.Err() != nil {
			break
		}
		if l.reused && timedOut(err) {
			a.subpool.pool.Reset() // the other idle ones would take as long to show the same
		}
	}
	p.releaseSubpool(a.subpool)
	return nil, err
}

func (a *acquisition) leaseOf(conn *pgxpool.Conn) *Lease {
	b := backendOf(conn.Conn())
	return &Lease{
		pools:       a.pools,
		account:     a.account,
		subpool:     a.subpool,
		person:      a.request.Person,
		replication: a.request.Replication,
		conn:        conn,
		pg:          conn.Conn().PgConn(),
		backend:     b,
		reused:      b.served,
		began:       a.began,
		waited:      time.Since(a.began),
		cancelling:  make(chan struct{}, 1),
	}
}

// prepare announces the backend and makes it ready. With an error the lease has none.
func (a *acquisition) prepare(l *Lease) error {
	if err := a.announce(l); err != nil {
		if l.reused {
			l.conn.Release() // nothing was sent to it
		} else {
			l.drop()
		}
		return err
	}
	if err := l.prepare(a.ctx, a.request.Settings); err != nil {
		l.drop()
		if errors.Is(err, errRevoked) {
			return err
		}
		return connectError(a.ctx, err)
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
