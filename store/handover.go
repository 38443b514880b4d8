// One proxy after the other on the same log, without a gap: the one that ends lets its last sessions finish and
// records them, while the next already lets people in.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gprxy/migrations"
)

// Leave gives the log to whoever opens it next, while this process still records the rest of its sessions. If the one
// before it does so even now, or the log fails, it stays the owner until Close. It waits for the writer until ctx ends.
func (d *DB) Leave(ctx context.Context) error {
	j := job{do: func(context.Context, *appender) error { return d.leave() }, result: make(chan error, 1)}
	select {
	case d.jobs <- j:
		return <-j.result
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait to leave the event log: %w", context.Cause(ctx))
	}
}

// leave takes the one lock before it gives up the other, so that who opens the log finds one of them taken.
func (d *DB) leave() (err error) {
	if d.leaving, err = takeLock(d.path, leavingSuffix); err != nil {
		return err
	}
	owned := d.lock
	d.lock = nil
	return owned.release()
}

// lookBack finds out whether the proxy before this one still has sessions. The log's lock is ours.
func (d *DB) lookBack() error {
	l, err := takeLock(d.path, leavingSuffix)
	if locked, ok := errors.AsType[*LockedError](err); ok {
		d.before, d.mine = locked, map[string]struct{}{}
		d.log.Info("the gprxy before this one lets its sessions finish", "process", locked.PID)
		return nil
	}
	if err != nil {
		return err
	}
	return l.release()
}

// mayMigrate: a file is not changed under a program that writes it and knows only the older form.
func (d *DB) mayMigrate(ctx context.Context, conn *sql.Conn) error {
	if d.before == nil {
		return nil
	}
	known, err := newestVersion(migrations.Files)
	if err != nil {
		return err
	}
	if _, have, err := fileVersion(ctx, conn); err != nil || have < known {
		return errors.Join(err, d.before)
	}
	return nil
}

// noteMine remembers which open sessions are this proxy's, as long as others may be somebody else's.
func (d *DB) noteMine(events []encoded) {
	if d.before == nil {
		return
	}
	for _, e := range events {
		switch e.fact.(type) {
		case SessionConnected:
			d.mine[e.session] = struct{}{}
		case SessionEnded, SessionRefused:
			delete(d.mine, e.session)
		}
	}
}

// followUp looks now and then whether it is time to succeed the proxy before this one. What keeps it from that is tried
// again: a log that cannot be written shows with the next login.
func (d *DB) followUp(ctx context.Context) {
	if d.before == nil {
		return
	}
	err := d.ready(ctx)
	if err == nil {
		err = d.succeed(ctx)
	}
	if err != nil {
		d.log.Debug("the sessions of the gprxy before this one cannot be ended yet", "error", err)
	}
}

// succeed looks whether the proxy before this one has gone, and ends what it left open.
func (d *DB) succeed(ctx context.Context) error {
	l, err := takeLock(d.path, leavingSuffix)
	if _, locked := errors.AsType[*LockedError](err); locked {
		return nil
	}
	if err != nil {
		return err
	}
	err = d.recover(ctx)
	if err == nil {
		d.before, d.mine = nil, nil
	}
	return errors.Join(err, l.release())
}
