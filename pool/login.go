// Temporary connections: does PostgreSQL accept this password, and is this account a superuser?
package pool

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// CheckLogin asks PostgreSQL whether r.User may connect to r.Database with r.Password, over a connection that is closed
// again; parameters, but for "replication", and settings are not used. At most 16 run at once, in arrival order, on top
// of the pools' limits.
//
// Errors: *pgconn.PgError with PostgreSQL's refusal, within a *LoginError if the password was right; ErrNoPasswordAsked;
// *UnreachableError; *VersionError; *TimeoutError, ErrClosed, ErrBadRequest, or ctx's error.
func (p *Pools) CheckLogin(ctx context.Context, r Request) error {
	return p.temporary(ctx, r, func(_ *pgconn.PgConn, t *loginObserver) error {
		if !t.asked {
			return ErrNoPasswordAsked
		}
		return nil
	})
}

// temporary runs use with a connection of its own.
func (p *Pools) temporary(ctx context.Context, r Request, use func(*pgconn.PgConn, *loginObserver) error) error {
	r.Settings = nil
	r.Parameters = slices.DeleteFunc(slices.Clone(r.Parameters), func(p Parameter) bool { return !p.replicates() })
	if err := r.check(); err != nil {
		return err
	}
	began := time.Now()
	ctx, leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	waitCtx, cancel := context.WithTimeout(ctx, p.config.AcquireTimeout)
	defer cancel()
	if p.logins.Acquire(waitCtx, 1) != nil {
		return p.waitError(ctx, &limitError{limitLogins}, began)
	}
	defer p.logins.Release(1)
	connect := func() error { return p.connectOnce(ctx, r, use) }
	if err = p.outage.ask(waitCtx, began, connect); full(err) && p.giveUpIdle(ctx, r.Key, nil, err) {
		err = p.outage.ask(waitCtx, began, connect)
	}
	return p.waitError(ctx, err, began)
}

// connectOnce connects, once more with TLS where sslmode allow wants it. The connect is bound by ConnectTimeout, and its
// socket is watched until the call's context ends.
func (p *Pools) connectOnce(ctx context.Context, r Request, use func(*pgconn.PgConn, *loginObserver) error) error {
	want := firstTry(p.dialer.mode)
	for {
		o := &opening{ctx: ctx, dialer: p.dialer, want: want, request: r, onClose: func() {}}
		config := p.base.ConnConfig.Config.Copy()
		o.configure(config)
		pg, err := pgconn.ConnectConfig(ctx, config)
		if p.dialer.mayUpgrade(o, err) {
			want = requireTLS
			continue
		}
		if err != nil {
			return o.failure(err)
		}
		defer goodbye(o.backend.wire, o.backend.socket)
		if err := o.backend.observer.checkVersion(); err != nil {
			return err
		}
		return use(pg, o.backend.observer)
	}
}
