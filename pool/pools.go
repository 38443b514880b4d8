// The pools: what they hold, how they begin and end.
package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"
)

// Pools lends backends to sessions. All methods are safe for concurrent use.
type Pools struct {
	config Config
	dialer *dialer
	base   *pgxpool.Config     // copied for each subpool
	slots  *semaphore.Weighted // leases over all keys, MaxTotal; FIFO
	logins *semaphore.Weighted // login checks, LoginChecks; FIFO
	outage *outage

	busy    sync.WaitGroup // running calls and leases; added to under mu while not closed
	closing sync.WaitGroup // pgxpools being closed because their subpool was empty

	mu       sync.Mutex // guards what follows, and all fields of accounts and subpools; never held across I/O
	closed   bool
	calls    map[*call]struct{}
	leases   map[*Lease]struct{}
	accounts map[Key]*account
	persons  map[string]int         // who has how many requests and leases, see admit
	open     int                    // backends over all keys
	emptying map[string]*time.Timer // databases nobody is left in, see noteEmpty
	changed  chan struct{}          // closed and replaced when a backend was closed or became idle
	done     chan struct{}          // closed when Close has finished
}

// call is a running Acquire, CheckLogin or Superuser; Close ends it.
type call struct{ cancel context.CancelCauseFunc }

// New checks the configuration, reads the root certificate and returns pools without any backend.
func New(c Config) (*Pools, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	base, err := baseConfig(c)
	if err != nil {
		return nil, err
	}
	p := &Pools{
		config:   c,
		dialer:   d,
		slots:    semaphore.NewWeighted(int64(c.MaxTotal)),
		logins:   semaphore.NewWeighted(LoginChecks),
		outage:   newOutage(c),
		calls:    map[*call]struct{}{},
		leases:   map[*Lease]struct{}{},
		accounts: map[Key]*account{},
		persons:  map[string]int{},
		emptying: map[string]*time.Timer{},
		changed:  make(chan struct{}),
	}
	p.base = p.withHooks(base)
	return p, nil
}

// enter registers a call. The returned context ends with ErrClosed when the pools close; leave must be called.
func (p *Pools) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &call{cancel}
	p.calls[c] = struct{}{}
	p.busy.Add(1)
	return ctx, func() {
		cancel(nil)
		p.mu.Lock()
		delete(p.calls, c)
		p.mu.Unlock()
		p.busy.Done()
	}, nil
}

// Close ends running calls with ErrClosed, discards leases that are still out, closes every backend and waits for
// all of it, but not longer than ctx. A lease whose Release is running is waited for.
func (p *Pools) Close(ctx context.Context) error {
	done, leases := p.beginClose()
	for _, l := range leases {
		l.Discard()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the pools to close: %w", ctx.Err())
	}
}

func (p *Pools) beginClose() (done chan struct{}, leases []*Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.leases {
		leases = append(leases, l)
	}
	if p.closed {
		return p.done, leases
	}
	p.closed = true
	for database := range p.emptying {
		p.noteUsed(database)
	}
	for c := range p.calls {
		c.cancel(ErrClosed)
	}
	p.done = make(chan struct{})
	go p.finishClose() // Close waits for it; it is bounded by what it waits for: connects, resets, goodbyes
	return p.done, leases
}

func (p *Pools) finishClose() {
	defer close(p.done)
	p.busy.Wait()
	p.mu.Lock()
	var pools []*pgxpool.Pool
	for _, a := range p.accounts {
		for _, b := range a.subpools {
			pools = append(pools, b.pool)
		}
	}
	p.mu.Unlock()
	for _, pool := range pools {
		p.closing.Go(pool.Close)
	}
	p.closing.Wait()
}

// Stats returns the state of every key that has a backend or a request, sorted.
func (p *Pools) Stats() []Stat {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := make([]Stat, 0, len(p.accounts))
	for key, a := range p.accounts {
		stats = append(stats, Stat{Key: key, Open: a.open, Leased: a.leased, Waiting: a.waiting})
	}
	slices.SortFunc(stats, func(a, b Stat) int {
		return strings.Compare(a.User+"\x00"+a.Database, b.User+"\x00"+b.Database)
	})
	return stats
}

// Outage is why PostgreSQL lets nobody in, as far as that is known; nil if it does, or if nobody has asked it lately.
func (p *Pools) Outage() error { return p.outage.current() }
