// Accounts and subpools: the books over which backends exist, and the room for new ones.
package pool

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"
)

// account is one Key. Its fields but slots are guarded by Pools.mu.
type account struct {
	key      Key
	slots    *semaphore.Weighted // leases, MaxConns; FIFO
	subpools map[string]*subpool // by fingerprint
	users    int                 // requests and leases that hold it
	open     int                 // backends, from before the dial until the socket is closed
	leased   int
	waiting  int
}

// subpool is the backends of an account with the same session defaults. Its fields but pool are guarded by Pools.mu.
type subpool struct {
	account     *account
	fingerprint string
	pool        *pgxpool.Pool
	users       int // requests and leases that hold it
	open        int
	lastUsed    time.Time
}

// retainAccount returns the account for a key and counts the caller among its users.
func (p *Pools) retainAccount(key Key) *account {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[key]
	if a == nil {
		a = &account{key: key, slots: semaphore.NewWeighted(int64(p.config.MaxConns)), subpools: map[string]*subpool{}}
		p.accounts[key] = a
	}
	a.users++
	p.noteUsed(key.Database)
	return a
}

// releaseAccount undoes retainAccount.
func (p *Pools) releaseAccount(a *account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.users--
	p.pruneAccount(a)
	p.noteEmpty(a.key.Database)
}

// retainSubpool returns the subpool for a set of session defaults and counts the caller among its users.
func (p *Pools) retainSubpool(ctx context.Context, a *account, fingerprint string) (*subpool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := a.subpools[fingerprint]
	if b == nil {
		pool, err := pgxpool.NewWithConfig(ctx, p.base.Copy()) // starts its health check; no I/O, as nothing is warmed
		if err != nil {
			return nil, err
		}
		b = &subpool{account: a, fingerprint: fingerprint, pool: pool}
		a.subpools[fingerprint] = b
	}
	b.users++
	return b, nil
}

// releaseSubpool undoes retainSubpool.
func (p *Pools) releaseSubpool(b *subpool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.users--
	p.broadcast()
	if !p.closed {
		p.prune(b)
	}
}

// prune forgets a subpool that has neither backends nor users: clients choose startup parameters, so nothing may
// remain of a set that is not in use. Called with mu held; Close ends the pools of the rest.
func (p *Pools) prune(b *subpool) {
	if b.users > 0 || b.open > 0 || b.account.subpools[b.fingerprint] != b {
		return
	}
	delete(b.account.subpools, b.fingerprint)
	p.closing.Go(b.pool.Close)
	p.pruneAccount(b.account)
}

func (p *Pools) pruneAccount(a *account) {
	if a.users == 0 && len(a.subpools) == 0 && p.accounts[a.key] == a {
		delete(p.accounts, a.key)
	}
}

// broadcast tells everyone who waits for room that the books have changed. Called with mu held.
func (p *Pools) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// room is the answer to reserve: granted, or whose idle backend could make room, or what to wait for.
type room struct {
	granted bool
	victim  *subpool        // its users count the caller
	changed <-chan struct{} // closed at the next change
	limit   string          // the limit that is reached
}

// reserve counts one more backend in b, if the limits allow it. A granted room is given back when the backend's socket
// is closed, or with giveBack if none was opened.
func (p *Pools) reserve(b *subpool) room {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := b.account
	keyFull, allFull := a.open >= p.config.MaxConns, p.open >= p.config.MaxTotal
	if !keyFull && !allFull {
		a.open++
		b.open++
		p.open++
		return room{granted: true, limit: limitConns}
	}
	r := room{changed: p.changed, limit: limitTotal}
	of := func(Key) bool { return true }
	if keyFull {
		r.limit = limitConns
		of = func(k Key) bool { return k == a.key }
	}
	if r.victim = longestIdle(p.accounts, b, of); r.victim != nil {
		r.victim.users++
	}
	return r
}

// longestIdle returns the subpool of such accounts, other than not, that has an idle backend and was used longest ago.
func longestIdle(accounts map[Key]*account, not *subpool, of func(Key) bool) *subpool {
	var found *subpool
	for _, a := range accounts {
		for _, b := range a.subpools {
			if !of(a.key) || b == not || (found != nil && !b.lastUsed.Before(found.lastUsed)) {
				continue
			}
			if b.pool.Stat().IdleConns() > 0 {
				found = b
			}
		}
	}
	return found
}

// giveBack takes one backend of b off the books.
func (p *Pools) giveBack(b *subpool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.account.open--
	b.open--
	p.open--
	p.broadcast()
	if !p.closed {
		p.prune(b)
	}
}
