// The outage: what the pools know of a server that serves nobody, so that many logins ask it once.
//
//	serving --an attempt finds it away--> away --a probe is answered--> serving
//
// While it is away one request at a time connects, as the probe, and all share the result. Most outages are restarts, so
// for Config.RestartWait requests wait for its end and notice nothing. Afterwards a request is refused as soon as a probe
// that began after it came has failed: quick, and never with old news.
package pool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// probeEvery is the least time between the beginnings of two probes.
	probeEvery = 100 * time.Millisecond

	// probePatience is how long a request waits for a probe. A host that swallows packets answers none for
	// ConnectTimeout.
	probePatience = time.Second
)

// outage is safe for concurrent use.
type outage struct {
	restartWait time.Duration
	log         *slog.Logger

	mu       sync.Mutex    // guards what follows
	cause    error         // why nobody is served; nil: somebody is
	since    time.Time     // when that began
	answered time.Time     // when the server last answered an attempt; zero: never yet
	probed   time.Time     // when the last attempt that found it away, or the running probe, began
	failed   time.Time     // when the last attempt that found it away began
	probing  bool          // a probe is running
	changed  chan struct{} // closed and replaced when a probe has ended
}

func newOutage(c Config) *outage {
	return &outage{restartWait: c.RestartWait, log: c.Log, changed: make(chan struct{})}
}

// try is leave to connect once. Whoever holds it must call end.
type try struct {
	outage *outage
	began  time.Time
	probe  bool
}

// begin gives a request that came at arrived leave to connect. Neither leave nor error: another's probe is due first.
func (o *outage) begin(arrived time.Time) (*try, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case o.cause == nil:
		return &try{outage: o, began: now}, nil
	case o.hopeless(arrived, now):
		return nil, o.cause
	case o.probing || now.Sub(o.probed) < probeEvery:
		return nil, nil
	}
	o.probing, o.probed = true, now
	return &try{outage: o, began: now, probe: true}, nil
}

// hopeless says whether a request is to be refused. Called with mu held. A server that never answered is no restart.
func (o *outage) hopeless(arrived, now time.Time) bool {
	if !o.answered.IsZero() && now.Sub(o.since) < o.restartWait {
		return false
	}
	return !o.failed.Before(arrived) || now.Sub(arrived) > probePatience
}

// end reports how the attempt went. errNoIdle and a caller's end of patience say nothing about the server.
func (t *try) end(err error) {
	o := t.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.probe {
		o.probing = false
		close(o.changed)
		o.changed = make(chan struct{})
	}
	switch {
	case away(err):
		o.fail(t.began, err)
	case answers(err):
		o.answer()
	}
}

// fail takes note of a server that is away, unless it has answered somebody else meanwhile. Called with mu held.
func (o *outage) fail(began time.Time, err error) {
	if began.Before(o.answered) {
		return
	}
	if o.cause == nil {
		o.since = time.Now()
		o.log.Warn("PostgreSQL cannot be reached", "error", reason(err))
	}
	if own, ok := errors.AsType[*LoginError](err); ok {
		err = own.Err // what was said before was said to this one
	}
	o.cause, o.failed = err, began
	if o.probed.Before(began) {
		o.probed = began
	}
}

// answer takes note of a server that serves. Called with mu held.
func (o *outage) answer() {
	o.answered = time.Now()
	if o.cause != nil {
		o.log.Info("PostgreSQL can be reached again", "after", o.answered.Sub(o.since).Round(time.Millisecond))
		o.cause = nil
	}
}

// pause waits until it may make sense to begin again. At the end of ctx it returns why the server is away.
func (o *outage) pause(ctx context.Context) error {
	o.mu.Lock()
	changed, cause := o.changed, o.cause
	o.mu.Unlock()
	due := time.NewTimer(probeEvery)
	defer due.Stop()
	select {
	case <-changed:
		return nil
	case <-due.C:
		return nil
	case <-ctx.Done():
		return cause
	}
}

// current is why the server is away, nil if it is not.
func (o *outage) current() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}

// newsLasts is how old the news of an outage may be for those who need not know exactly.
const newsLasts = time.Second

// Down is why the server serves nobody, once that has lasted longer than a restart does. It is nil also when nobody has
// asked the server for a second: whoever calls next should.
func (p *Pools) Down() error {
	o := p.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	restarting := !o.answered.IsZero() && now.Sub(o.since) < o.restartWait
	if restarting || now.Sub(o.probed) > newsLasts {
		return nil
	}
	return o.cause
}

// ask runs connect for a request that came at arrived, again while the server is away and the request may wait.
func (o *outage) ask(waitCtx context.Context, arrived time.Time, connect func() error) error {
	for {
		t, err := o.begin(arrived)
		switch {
		case err != nil:
			return err
		case t == nil:
			if err := o.pause(waitCtx); err != nil {
				return err
			}
			continue
		}
		err = connect()
		t.end(err)
		if !away(err) || waitCtx.Err() != nil {
			return err
		}
	}
}

// away says whether an error of an attempt means that nobody is served now: no connection, or one that ended before
// the login was done, or PostgreSQL's own word that it starts, stops or has crashed.
func away(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code == "57P01" || pgErr.Code == "57P02" || pgErr.Code == "57P03"
	}
	unreachable, ok := errors.AsType[*UnreachableError](err)
	return ok && unreachable.away
}

// answers says whether the server has answered, be it with a refusal.
func answers(err error) bool {
	_, refused := errors.AsType[*pgconn.PgError](err)
	_, unreachable := errors.AsType[*UnreachableError](err)
	_, old := errors.AsType[*VersionError](err)
	return err == nil || refused || unreachable || old || errors.Is(err, ErrNoPasswordAsked)
}

// reason is all there is to know about a failure, for the log.
func reason(err error) error {
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return unreachable.Err
	}
	return err
}
