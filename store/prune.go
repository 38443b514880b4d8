// Retention: events from before a day are given up, all but the digests that the chain needs.
//
// It goes step by step, each a short transaction that appends its own log.pruned, so that a proxy goes
// on writing between them, and a process that is killed leaves a log that verifies.

package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pruned says what was given up.
type Pruned struct {
	Before                  time.Time // the beginning of a day, UTC
	Events, Sessions, Texts int64
	Pages                   int64 // of 4 kB, given back to the file system
}

// leastAge is the least that is kept, whatever is asked for: younger events may still be on their way.
const leastAge = 24 * time.Hour

const (
	pruneRows       = 1000 // rows that one step looks at
	vacuumPages     = 200  // pages that one step gives back
	mostCheckpoints = 20
)

// Prune gives up the events from before a time, rounded down to the beginning of its day (UTC). The
// login of a session goes with its end: it stays for as long as the session lasts and until that is
// old enough. by says who wants it. progress, if not nil, is told of every step.
func (d *DB) Prune(ctx context.Context, before time.Time, by string, progress func(Pruned)) (Pruned, error) {
	return prune(ctx, before, d.opts.now, by, progress, func(step func(context.Context, *appender) error) error {
		return d.do(ctx, step)
	})
}

// Prune is DB.Prune for a process that is not the proxy, which may run or not.
func Prune(ctx context.Context, path string, before time.Time, by string, progress func(Pruned)) (Pruned, error) {
	a, err := openOthers(ctx, path)
	if err != nil {
		return Pruned{}, fmt.Errorf("prune the event log: %w", err)
	}
	p, err := prune(ctx, before, time.Now, by, progress, func(step func(context.Context, *appender) error) error {
		return step(ctx, a)
	})
	return p, errors.Join(err, a.close())
}

func prune(ctx context.Context, before time.Time, now func() time.Time, by string, progress func(Pruned), do func(func(context.Context, *appender) error) error) (Pruned, error) {
	before = before.UTC().Truncate(24 * time.Hour)
	p := &pruner{by: by, now: now, done: Pruned{Before: before}}
	if err := oldEnough(before, now()); err != nil {
		return p.done, fmt.Errorf("prune the event log: %w", err)
	}
	for _, step := range []func(context.Context, *appender) (bool, error){p.find, p.step, p.vacuum, p.checkpoint} {
		for more := true; more; {
			began := time.Now()
			err := do(func(ctx context.Context, a *appender) (err error) {
				more, err = step(ctx, a)
				return err
			})
			if err == nil {
				err = pause(ctx, time.Since(began))
			}
			if err != nil {
				return p.done, fmt.Errorf("prune the event log: %w", err)
			}
			if progress != nil {
				progress(p.done)
			}
		}
	}
	return p.done, nil
}

// oldEnough refuses what verify would call a break.
func oldEnough(before, now time.Time) error {
	if before.After(now.Add(-leastAge)) {
		return fmt.Errorf("the day %s begins less than 24 hours before now (%s), and younger events are never given up",
			before.Format(time.DateOnly), shortly(now))
	}
	return nil
}

// pause leaves others as much time to write as a step took.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pruner is one run of retention.
type pruner struct {
	by   string
	now  func() time.Time
	left span // what still has to be looked at
	done Pruned

	checkpoints int
}

// find looks where the old events stand.
func (p *pruner) find(ctx context.Context, a *appender) (more bool, err error) {
	err = a.conn.QueryRowContext(ctx, `
		SELECT
			ifnull(min(seq), 1),
			ifnull(max(seq), 0)
		FROM events INDEXED BY events_time
		WHERE time < ?`, p.done.Before.UnixMicro()).Scan(&p.left.from, &p.left.to)
	return false, err
}

// step gives up what is old among the next rows.
func (p *pruner) step(ctx context.Context, a *appender) (more bool, err error) {
	if p.left.empty() {
		return false, nil
	}
	s := &pruneStep{appender: a, by: p.by, before: p.done.Before, now: p.now, ended: map[string]bool{}}
	err = inTx(ctx, a.conn, func() error { return s.do(ctx, p.left) })
	if err != nil {
		a.texts.forget()
		return false, err
	}
	a.texts.forget() // some are gone
	p.left.from = s.read + 1
	p.done.Events += s.events
	p.done.Sessions += s.sessions
	p.done.Texts += s.texts
	return s.read < p.left.to, nil
}

// vacuum gives the next free pages back.
func (p *pruner) vacuum(ctx context.Context, a *appender) (more bool, err error) {
	before, err := freePages(ctx, a)
	if err != nil || before == 0 {
		return false, err
	}
	if _, err := a.conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, vacuumPages)); err != nil {
		return false, fmt.Errorf("give space back: %w", err)
	}
	after, err := freePages(ctx, a)
	p.done.Pages += max(0, before-after)
	return after < before && after > 0, err
}

// checkpoint writes the write-ahead log back to the file, which only then becomes shorter, and not while
// others have written or still read what is not in it yet. That is tried a few times without holding them
// up; the checkpoints that SQLite makes by itself do the rest.
func (p *pruner) checkpoint(ctx context.Context, a *appender) (more bool, err error) {
	var busy, frames, written int
	if err := a.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &written); err != nil {
		return false, fmt.Errorf("give space back: %w", err)
	}
	p.checkpoints++
	return (busy != 0 || written < frames) && p.checkpoints < mostCheckpoints, nil
}

func freePages(ctx context.Context, a *appender) (n int64, err error) {
	err = a.conn.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&n)
	return n, err
}
