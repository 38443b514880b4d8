// Watching the log: what matches, and then what is committed from now on.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"
)

// minPoll keeps a careless caller from spinning.
const minPoll = 10 * time.Millisecond

// Follow gives the matching events like Events, and then every new one as it is committed, until ctx
// ends (which is no error) or the caller stops. It looks every so often whether the file changed;
// Limit and Since restrict only what was there at the start.
func (r *Reader) Follow(ctx context.Context, f EventFilter, every time.Duration) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		err := r.follow(ctx, f, max(every, minPoll), func(rec Record) bool { return yield(rec, nil) })
		if err != nil && !errors.Is(err, errStopped) && ctx.Err() == nil {
			yield(Record{}, fmt.Errorf("follow events: %w", err))
		}
	}
}

func (r *Reader) follow(ctx context.Context, f EventFilter, every time.Duration, give func(Record) bool) error {
	watch, err := r.db.Conn(ctx) // data_version is only comparable on one connection
	if err != nil {
		return err
	}
	defer watch.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		seen, err := dataVersion(ctx, watch)
		if err != nil {
			return err
		}
		to, err := r.lastSeq(ctx)
		if err != nil {
			return err
		}
		if err := r.eventsTo(ctx, f, to, give); err != nil {
			return err
		}
		f.AfterSeq, f.Limit = max(to, f.AfterSeq), 0
		f.Since = time.Time{} // what is recorded from now on is later, whatever the clock is set to
		if err := changed(ctx, watch, seen, tick.C); err != nil {
			return err
		}
	}
}

// changed waits until another connection has committed something since seen.
func changed(ctx context.Context, watch *sql.Conn, seen int64, tick <-chan time.Time) error {
	for {
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := dataVersion(ctx, watch)
		if err != nil || now != seen {
			return err
		}
	}
}

// https://www.sqlite.org/pragma.html#pragma_data_version
func dataVersion(ctx context.Context, conn *sql.Conn) (v int64, err error) {
	err = conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}
