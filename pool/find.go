// Finding a backend: an idle one, else a new one, making room if need be.
package pool

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// recheck is how long a request waits for room before it looks again unasked: pgxpool's health check takes idle
// backends away for a moment and tells nobody when they are back.
const recheck = 20 * time.Millisecond

// find returns an idle backend, else announces a new one and opens it as soon as the server is there and there is room.
func (a *acquisition) find() (*pgxpool.Conn, error) {
	for {
		conn, err := a.subpool.acquire(a.ctx, &attempt{person: a.request.Person})
		if errors.Is(err, errNoIdle) {
			if err := a.announce(nil); err != nil {
				return nil, err
			}
			conn, err = a.openInTurn()
		}
		if !errors.Is(err, errNoIdle) {
			return conn, err
		}
	}
}

// openInTurn opens a backend, or waits for what it lacks and returns errNoIdle: by then there may be an idle one.
func (a *acquisition) openInTurn() (*pgxpool.Conn, error) {
	if time.Now().Before(a.askAgain) {
		return nil, a.awaitSession()
	}
	outage := a.pools.outage
	t, err := outage.begin(a.began)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		a.waitsFor("", outage.current())
		if err := outage.pause(a.patience); err != nil {
			return nil, err
		}
		return nil, errNoIdle
	}
	r := a.pools.reserve(a.subpool)
	if !r.granted {
		a.waitsFor(r.limit, nil)
		t.end(errNoIdle)
		return nil, a.makeRoom(r)
	}
	a.waitsFor("", nil)
	conn, err := a.open(t)
	switch {
	case err == nil || a.patience.Err() != nil:
		return conn, err
	case away(err):
		return nil, errNoIdle
	case full(err):
		return nil, a.awaitPlace(err)
	}
	return nil, err
}

// makeRoom closes an idle backend that counts against the limit but cannot serve this request, or waits for one to come
// or go.
func (a *acquisition) makeRoom(r room) error {
	if r.victim != nil {
		a.pools.evict(a.ctx, r.victim)
	} else if err := r.wait(a.patience); err != nil {
		return err
	}
	if a.patience.Err() != nil {
		return &limitError{r.limit}
	}
	return errNoIdle
}

// wait waits for a change of the books.
func (r room) wait(ctx context.Context) error {
	again := time.NewTimer(recheck)
	defer again.Stop()
	select {
	case <-r.changed:
		return nil
	case <-again.C:
		return nil
	case <-ctx.Done():
		return &limitError{r.limit}
	}
}

// evict closes an idle backend of a subpool, if it still has one, and gives up the caller's hold on the subpool.
func (p *Pools) evict(ctx context.Context, b *subpool) {
	defer p.releaseSubpool(b)
	conn, err := b.acquire(ctx, &attempt{evict: true})
	if err != nil {
		return // someone was faster
	}
	gone := backendOf(conn.Hijack())
	goodbye(gone.wire, gone.socket)
	p.config.Log.Debug("idle backend closed to make room", "user", b.account.key.User, "database", b.account.key.Database)
}

// open opens a backend in the room reserve granted, and ends the try. It may return an idle one instead that was given
// back meanwhile. Its errors are the package's, or errNoIdle.
func (a *acquisition) open(t *try) (_ *pgxpool.Conn, err error) {
	o := a.opening()
	conn, err := a.subpool.acquire(a.ctx, &attempt{person: a.request.Person, opening: o})
	if !o.begun {
		a.pools.giveBack(a.subpool)
		t.end(errNoIdle)
		return conn, err
	}
	defer func() { t.end(err) }()
	watched := o.unwatch == nil || o.unwatch()
	if err == nil && !watched && backendOf(conn.Conn()) == o.backend {
		o.backend.socket.Close()
		conn.Hijack()
		return nil, context.Cause(a.ctx)
	}
	if a.pools.dialer.mayUpgrade(o, err) {
		a.want = requireTLS
		return nil, errNoIdle // once more, with room of its own
	}
	if err != nil {
		return nil, o.failure(err)
	}
	return conn, nil
}

func (a *acquisition) opening() *opening {
	return &opening{
		ctx:     a.ctx,
		dialer:  a.pools.dialer,
		want:    a.want,
		request: a.request,
		onClose: func() { a.pools.giveBack(a.subpool) },
	}
}

// mayUpgrade says whether sslmode allow's second attempt, with TLS, is due: the plain one was refused by pg_hba.conf
// before a password was asked for.
func (d *dialer) mayUpgrade(o *opening, err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "28000" && d.mode == "allow" && o.want == plainOnly && !o.backend.observer.asked
}
