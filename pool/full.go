// PostgreSQL is full: max_connections, or the CONNECTION LIMIT of a role or a database, is reached by us or by others.
package pool

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// fullPause is how long a request that PostgreSQL has no place for waits before it asks again. Each question costs the
// server a process.
const fullPause = 250 * time.Millisecond

// full says whether PostgreSQL has no place for one more connection.
func full(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "53300"
}

// awaitPlace treats PostgreSQL's limits as the pools' own: an idle backend makes room, else a session of the same account
// that ends does. It returns errNoIdle to look again, or PostgreSQL's refusal if no place is to be expected.
func (a *acquisition) awaitPlace(refused error) error {
	switch {
	case a.pools.giveUpIdle(a.ctx, a.request.Key, a.subpool, refused):
		return errNoIdle
	case !a.pools.hasOpen(a.account):
		return refused
	}
	a.refused, a.askAgain = refused, time.Now().Add(fullPause)
	return errNoIdle
}

// awaitSession waits for a session of the account to end while it is not yet time to ask PostgreSQL again.
func (a *acquisition) awaitSession() error {
	a.waitsFor("", a.refused)
	if a.pools.nextChange().wait(a.patience) != nil {
		return a.refused
	}
	return errNoIdle
}

// giveUpIdle closes one idle backend, not of that subpool, that counts against the limit PostgreSQL named.
func (p *Pools) giveUpIdle(ctx context.Context, key Key, not *subpool, refused error) bool {
	p.mu.Lock()
	victim := longestIdle(p.accounts, not, limitedLike(key, refused))
	if victim != nil {
		victim.users++
	}
	p.mu.Unlock()
	if victim == nil {
		return false
	}
	p.evict(ctx, victim)
	return true
}

// limitedLike tells which accounts share the limit. The texts are translated, so PostgreSQL's functions tell which one it
// is: miscinit.c has the one for the role, postinit.c the one for the database.
func limitedLike(key Key, refused error) func(Key) bool {
	pgErr, _ := errors.AsType[*pgconn.PgError](refused)
	switch pgErr.Routine {
	case "InitializeSessionUserId":
		return func(k Key) bool { return k.User == key.User }
	case "CheckMyDatabase":
		return func(k Key) bool { return k.Database == key.Database }
	default:
		return func(Key) bool { return true }
	}
}

// hasOpen says whether there are backends of the account.
func (p *Pools) hasOpen(a *account) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.open > 0
}

// nextChange is for who waits for the books to change.
func (p *Pools) nextChange() room {
	p.mu.Lock()
	defer p.mu.Unlock()
	return room{changed: p.changed}
}
