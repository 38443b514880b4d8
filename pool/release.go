// Release: a backend goes back only when PostgreSQL itself has said that nothing of the session is left.
package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Release gives the backend back for the next session. The caller vouches that the connection is at a frame boundary,
// that PostgreSQL owes no answer, that nobody reads or writes it any more and that it has no deadline; inTransaction
// is the last ReadyForQuery's status not being idle.
//
// Release waits until no cancel is in flight, rolls back, runs DISCARD ALL and has PostgreSQL prove it; all of it within ctx
// and a few seconds. The proof does not rest on what the caller vouches for: see question.
// If anything is odd the backend is closed instead and the error says why: the caller has nothing left to do either
// way. Release after Discard, or twice, does nothing and returns nil.
//
// A walsender need not be at rest: it is told to end, and cancelled if it does not.
func (l *Lease) Release(ctx context.Context, inTransaction bool) error {
	if !l.begin() {
		return nil
	}
	defer l.free()
	ctx, cancel := context.WithTimeout(ctx, resetLimit)
	defer cancel()
	b := l.backend
	if l.Replicates() || b.residue.never != "" {
		return l.dismiss(ctx)
	}
	if err := l.reset(ctx, inTransaction); err != nil {
		l.drop()
		return fmt.Errorf("the backend was closed instead of reused: %w", err)
	}
	if b.residue.never != "" {
		return l.dismiss(ctx) // the session has seen to that
	}
	if b.residue.personal != "" {
		l.pools.config.Log.Debug("backend kept for the same person", "pid", l.PID(), "because", b.residue.personal)
	}
	b.person = l.person
	b.served = true
	l.conn.Release()
	return nil
}

// dismiss ends a backend that nobody else can use.
func (l *Lease) dismiss(ctx context.Context) error {
	l.pools.config.Log.Debug("backend closed after its session", "pid", l.PID(), "because", l.backend.residue.never)
	l.conn.Hijack()
	if goodbye(l.backend.wire, l.backend.socket) {
		return nil
	}
	return l.sendCancel(ctx)
}

// reset cleans the backend and finds out who may have it next.
func (l *Lease) reset(ctx context.Context, inTransaction bool) error {
	if err := l.awaitCancels(ctx); err != nil {
		return err
	}
	b := l.backend
	if deadline, ok := ctx.Deadline(); ok {
		if err := b.wire.SetDeadline(deadline); err != nil {
			return fmt.Errorf("limiting the reset: %w", err)
		}
	}
	l.mu.Lock()
	b.observer.parameters = slices.Clone(l.parameters) // what PostgreSQL last told the session; the reset reports what it changes
	l.mu.Unlock()
	now, err := b.clean(ctx, l.pg, inTransaction)
	if err != nil {
		return err
	}
	b.state.timed = now.timed
	if now.user != b.state.user {
		return errors.New("current_user is another one after the reset")
	}
	if err := b.recheck(ctx, l.pg, now, l.pools.config.StatelessExtensions); err != nil {
		return err
	}
	if err := b.wire.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("ending the reset: %w", err)
	}
	return nil
}

// clean runs the reset in one round trip and returns the state after it. DISCARD ALL is a message of its own, because it is
// refused inside a transaction and in a string of several statements.
//
// What it proves, with question: everything before was read; DISCARD ALL ran after it, outside a transaction, for its tag
// came between two values that nobody could foresee; a setting made just before it is gone. (The role may have a default for
// that setting: it is another one then.)
//
// DISCARD ALL takes a snapshot, so its transaction must not begin in the session's isolation level. SET and SHOW take none.
func (b *backend) clean(ctx context.Context, pg *pgconn.PgConn, inTransaction bool) (backendState, error) {
	mark := unforeseeable()
	questions := []question{
		{
			{sql: "SET statement_timeout TO 0", tag: "SET"},
			{sql: "SET default_transaction_isolation TO 'read committed'", tag: "SET"},
			{sql: "SET gprxy.proof TO '" + mark + "'", tag: "SET"},
			{sql: "SHOW gprxy.proof", tag: "SHOW", columns: 1, value: mark},
		},
		{{sql: "DISCARD ALL", tag: "DISCARD ALL"}},
		b.tagQuestion(mark),
	}
	if inTransaction {
		questions = append([]question{{{sql: "ROLLBACK", tag: "ROLLBACK"}}}, questions...)
	}
	rows, err := b.ask(ctx, pg, questions...)
	if err != nil {
		return backendState{}, fmt.Errorf("resetting the backend: %w", err)
	}
	return parseState(rows[len(rows)-1])
}
