// The search for a backend: an idle one, else a new one, making room if need be.
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

// search looks for a backend of one subpool.
type search struct {
	pools   *Pools
	subpool *subpool
	request Request
	waiting *waiting
	want    security

	refused error     // PostgreSQL is full
	again   time.Time // when to ask it again
}

// find returns an idle backend, else announces a new one and opens it as soon as the server is there and there is room.
func (s *search) find(ctx, waitCtx context.Context) (*pgxpool.Conn, error) {
	for {
		conn, err := s.subpool.acquire(ctx, &attempt{person: s.request.Person})
		if errors.Is(err, errNoIdle) {
			if err := s.waiting.announce(ctx, nil); err != nil {
				return nil, err
			}
			conn, err = s.openInTurn(ctx, waitCtx)
		}
		if !errors.Is(err, errNoIdle) {
			return conn, err
		}
	}
}

// openInTurn opens a backend, or waits for what it lacks and returns errNoIdle: by then there may be an idle one.
func (s *search) openInTurn(ctx, waitCtx context.Context) (*pgxpool.Conn, error) {
	if time.Now().Before(s.again) {
		return nil, s.awaitSession(waitCtx)
	}
	outage := s.pools.outage
	t, err := outage.begin(s.waiting.arrived)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		s.waiting.on("", outage.current())
		if err := outage.pause(waitCtx); err != nil {
			return nil, err
		}
		return nil, errNoIdle
	}
	r := s.pools.reserve(s.subpool)
	if !r.granted {
		s.waiting.on(r.limit, nil)
		t.end(errNoIdle)
		return nil, s.makeRoom(ctx, waitCtx, r)
	}
	s.waiting.on("", nil)
	conn, err := s.open(ctx, t)
	switch {
	case err == nil || waitCtx.Err() != nil:
		return conn, err
	case away(err):
		return nil, errNoIdle
	case full(err):
		return nil, s.awaitPlace(ctx, err)
	}
	return nil, err
}

// makeRoom closes an idle backend that counts against the limit but cannot serve this request, or waits for one to come
// or go.
func (s *search) makeRoom(ctx, waitCtx context.Context, r room) error {
	if r.victim != nil {
		s.pools.evict(ctx, r.victim)
	} else if err := r.wait(waitCtx); err != nil {
		return err
	}
	if waitCtx.Err() != nil {
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
	defer p.partBucket(b)
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
func (s *search) open(ctx context.Context, t *try) (_ *pgxpool.Conn, err error) {
	o := s.opening(ctx)
	conn, err := s.subpool.acquire(ctx, &attempt{person: s.request.Person, opening: o})
	if !o.begun {
		s.pools.giveBack(s.subpool)
		t.end(errNoIdle)
		return conn, err
	}
	defer func() { t.end(err) }()
	watched := o.unwatch == nil || o.unwatch()
	if err == nil && !watched && backendOf(conn.Conn()) == o.backend {
		o.backend.socket.Close()
		conn.Hijack()
		return nil, context.Cause(ctx)
	}
	if s.pools.dialer.mayUpgrade(o, err) {
		s.want = requireTLS
		return nil, errNoIdle // once more, with room of its own
	}
	if err != nil {
		return nil, o.failure(err)
	}
	return conn, nil
}

func (s *search) opening(ctx context.Context) *opening {
	return &opening{
		ctx:     ctx,
		dialer:  s.pools.dialer,
		want:    s.want,
		request: s.request,
		onClose: func() { s.pools.giveBack(s.subpool) },
	}
}

// mayUpgrade says whether sslmode allow's second attempt, with TLS, is due: the plain one was refused by pg_hba.conf
// before a password was asked for.
func (d *dialer) mayUpgrade(o *opening, err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "28000" && d.mode == "allow" && o.want == plainOnly && !o.backend.observer.asked
}
