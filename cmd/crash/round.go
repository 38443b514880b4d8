// A round: the clients of one load, and what all of them together were told.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// round is one load. Its clients' goroutines share it.
type round struct {
	*scene
	number  int
	seed    uint64
	address string // of gprxy
	tls     *tls.Config
	lastRow int64 // of all rounds before

	row          *atomic.Int64 // the last row's id, of all rounds
	over         atomic.Bool   // set before the kill: what happens now may be cut short
	postgresDied atomic.Bool
	pulse        pulse
	killed       time.Time     // just before gprxy was; zero if PostgreSQL was
	late         time.Duration // how late the machine was about then
	loggedIn     chan struct{} // closed with the first login
	once         sync.Once

	mu     sync.Mutex // guards visits
	visits []*visit
}

func (c *campaign) newRound(number int) (*round, error) {
	config, err := c.clientTLS()
	return &round{
		scene: c.scene, number: number, seed: c.seed, address: c.proxy.address, tls: config,
		lastRow: c.lastRow.Load(), row: &c.lastRow, loggedIn: make(chan struct{}),
	}, err
}

// load is the clients of a round.
type load struct {
	running sync.WaitGroup
	pulse   sync.WaitGroup
	done    chan struct{} // closed when all have ended
	end     context.CancelFunc
}

// begin lets clients come. They go on until the round is over.
func (r *round) begin(ctx context.Context, clients int) *load {
	ctx, end := context.WithCancel(ctx)
	l := &load{done: make(chan struct{}), end: end}
	l.pulse.Go(func() { r.pulse.run(ctx, r.dir) })
	for n := range clients {
		random := rand.New(rand.NewPCG(r.seed, uint64(r.number)<<16|uint64(n+1)))
		l.running.Go(func() {
			for !r.over.Load() && ctx.Err() == nil {
				r.visit(ctx, random)
			}
		})
	}
	go func() { // ends with the clients, which wait sees to
		l.running.Wait()
		close(l.done)
	}()
	return l
}

// wait returns when every client has ended, which they do by themselves once the round is over: their server is gone.
func (l *load) wait() error {
	defer l.pulse.Wait()
	defer l.end()
	limit := time.NewTimer(clientsLimit)
	defer limit.Stop()
	select {
	case <-l.done:
		return nil
	case <-limit.C:
		l.end()
		<-l.done
		return errors.New("clients hang although their server is gone")
	}
}

// awaitLogin returns when somebody is in, and how long that took.
func (r *round) awaitLogin(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	limit := time.NewTimer(loginLimit)
	defer limit.Stop()
	select {
	case <-r.loggedIn:
		return time.Since(began), nil
	case <-limit.C:
		return 0, errors.New("nobody could log in after the start")
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (r *round) note(v *visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits = append(r.visits, v)
}
