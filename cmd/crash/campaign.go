// A campaign: round after round, each ended by a kill and judged after the restart.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// plan is what a campaign is to do.
type plan struct {
	kills   int    // of gprxy under load; those while it starts, and those of PostgreSQL, come on top
	seed    uint64 // of all choices; what the scheduler makes of them is its own
	clients int
	race    bool

	durability string // of statements, which are recorded unless it is ""

	postgresEvery int // rounds in which PostgreSQL is killed instead
}

const (
	killsPerLog      = 50                     // then the log is closed in order, checked as a whole, and a new one begun
	startKilled      = 4                      // one start in so many is killed before it is done
	longestStart     = 60 * time.Millisecond  // into a start, when that is killed
	longestLoad      = 200 * time.Millisecond // from the first login to the kill
	loginLimit       = 20 * time.Second       // for the first login after a start
	backendsLimit    = 10 * time.Second       // for the backends of a dead gprxy to be gone
	postgresLimit    = 20 * time.Second       // for PostgreSQL to be up again after it was killed
	clientsLimit     = 20 * time.Second       // for all clients to notice that it is over
	sessionsEndLimit = 10 * time.Second       // for gprxy to record the ends of sessions whose backends are gone
)

// campaign is one run of the plan. Only its own goroutine uses it.
type campaign struct {
	plan
	*scene
	screen  *screen
	random  *rand.Rand
	proxy   *proxy // nil while it is down
	log     int    // number of the event log in use
	before  int64  // the last seq of the log that was judged
	lastRow atomic.Int64
	figures figures
}

// wage carries the plan out. Whatever is found wrong is an error, and ends it.
func wage(ctx context.Context, p plan, s *screen) (figures, error) {
	c := &campaign{plan: p, screen: s, random: rand.New(rand.NewPCG(p.seed, 0))}
	c.screen.note("seed %d", p.seed)
	c.figures.began = time.Now()
	var err error
	if c.scene, err = openScene(ctx, p.race, p.durability); err != nil {
		return c.figures, err
	}
	err = c.run(ctx)
	if c.proxy != nil {
		c.proxy.kill()
	}
	if err != nil && ctx.Err() == nil {
		c.keep = true
		err = fmt.Errorf("%w\nlogs and event log are kept in %s", err, c.dir)
	}
	c.figures.took = time.Since(c.figures.began)
	return c.figures, errors.Join(err, c.close())
}

func (c *campaign) run(ctx context.Context) error {
	for c.figures.kills < c.kills {
		if err := c.beginLog(ctx); err != nil {
			return err
		}
		for range killsPerLog {
			if err := c.round(ctx); err != nil {
				return fmt.Errorf("round %d: %w", c.figures.rounds, err)
			}
			c.screen.progress(c)
			if c.figures.kills == c.kills {
				break
			}
		}
		if err := c.endLog(ctx); err != nil {
			return fmt.Errorf("after round %d: %w", c.figures.rounds, err)
		}
	}
	return nil
}

// beginLog starts gprxy on a log of its own: what is read after each kill stays small.
func (c *campaign) beginLog(ctx context.Context) (err error) {
	c.log++
	c.before = 0
	c.proxy, err = c.start(ctx, c.eventLog(c.log))
	return err
}

// endLog stops gprxy as an operator would, and checks the log as a whole.
func (c *campaign) endLog(ctx context.Context) error {
	err := c.proxy.stop()
	c.proxy = nil
	if err != nil {
		return err
	}
	if err := c.verify(ctx, c.eventLog(c.log)); err != nil {
		return err
	}
	events, err := checkRebuild(ctx, c.eventLog(c.log))
	c.figures.events += events
	return err
}

// round is one load and its end.
func (c *campaign) round(ctx context.Context) error {
	c.figures.rounds++
	r, err := c.newRound(c.figures.rounds)
	if err != nil {
		return err
	}
	load := r.begin(ctx, c.clients)
	firstLogin, err := r.awaitLogin(ctx)
	if err == nil {
		c.figures.firstLogin.add(firstLogin)
		err = pause(ctx, c.moment(longestLoad))
	}
	strike := c.killProxy
	if c.figures.rounds%c.postgresEvery == 0 {
		strike = c.killPostgres
	}
	if err == nil {
		err = strike(ctx, r)
	}
	r.over.Store(true)
	if waitErr := load.wait(); err == nil {
		err = waitErr
	}
	if err != nil {
		return err
	}
	return c.judge(ctx, r)
}

// moment is a random time up to the longest.
func (c *campaign) moment(longest time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(longest)))
}

// killProxy kills gprxy, waits for its backends to go, and starts it again.
func (c *campaign) killProxy(ctx context.Context, r *round) error {
	r.over.Store(true)
	r.killed, r.late = time.Now(), r.pulse.late()
	c.figures.late.add(r.late)
	c.proxy.kill()
	fault := c.proxy.fault()
	c.proxy = nil
	if fault != nil {
		return fault
	}
	c.figures.kills++
	gone, err := c.awaitNoBackends(ctx)
	if err != nil {
		return err
	}
	c.figures.backendsGone.add(gone)
	if c.random.IntN(startKilled) == 0 {
		if err := c.killStart(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	if c.proxy, err = c.start(ctx, c.eventLog(c.log)); err != nil {
		return err
	}
	c.figures.starts.add(time.Since(began))
	return nil
}

// killStart kills gprxy somewhere between its first instruction and its first client, which may be while it ends the
// sessions that the last kill left open.
func (c *campaign) killStart(ctx context.Context) error {
	p, err := c.launch(ctx, c.eventLog(c.log))
	if err != nil {
		return err
	}
	err = pause(ctx, c.moment(longestStart))
	p.kill()
	c.figures.startsKilled++
	return errors.Join(err, p.fault())
}

// killPostgres kills every process of PostgreSQL and starts it again. gprxy lives on, and serves at once.
func (c *campaign) killPostgres(ctx context.Context, r *round) error {
	r.postgresDied.Store(true)
	if err := c.postgres.Crash(ctx); err != nil {
		return err
	}
	if err := pause(ctx, c.moment(longestLoad)); err != nil { // and people who come meanwhile
		return err
	}
	r.over.Store(true)
	// As long as one of its processes has not noticed, PostgreSQL does not start on its data.
	var down error
	_, err := poll(ctx, "PostgreSQL is up again", postgresLimit, func() (bool, error) {
		down = c.postgres.Up(ctx)
		return down == nil, nil
	})
	if err != nil {
		return errors.Join(err, down)
	}
	c.figures.postgresKilled++
	return nil
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// poll asks until the answer is yes, which it tells how long it took.
func poll(ctx context.Context, what string, limit time.Duration, check func() (bool, error)) (time.Duration, error) {
	for began := time.Now(); ; {
		yes, err := check()
		took := time.Since(began)
		switch {
		case err != nil:
			return took, fmt.Errorf("%s: %w", what, err)
		case yes:
			return took, nil
		case took > limit:
			return took, fmt.Errorf("%s: not within %v", what, limit)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return took, err
		}
	}
}
