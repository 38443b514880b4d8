// After a crash of the proxy: the gap that it may have left, and the sessions that it left open.

package store

import (
	"context"
	"fmt"
	"slices"
)

// recover records the gap, and ends the sessions that no session.ended or session.refused ever closed, but for our own: their
// proxy is dead, since its locks are ours now.
func (d *DB) recover(ctx context.Context) error {
	left, err := d.leftOpen(ctx)
	if err != nil {
		return fmt.Errorf("look for sessions that a crash left open: %w", err)
	}
	now := d.opts.now()
	if err := d.recordGap(ctx, now, left); err != nil {
		return err
	}
	for len(left) > 0 {
		n := min(len(left), maxBatch)
		batch := make([]encoded, 0, n)
		for _, s := range left[:n] {
			e, err := encode(Event{Time: now, Session: s.id, Fact: SessionEnded{Reason: EndAborted}}, now)
			if err != nil {
				return err
			}
			batch = append(batch, e)
		}
		if _, err := d.app.append(ctx, batch); err != nil {
			return fmt.Errorf("end the sessions of a crash: %w", err)
		}
		d.log.Warn("ended sessions that a crash left open", "sessions", n)
		left = left[n:]
	}
	return nil
}

// leftSession is one that has no end in the log.
type leftSession struct {
	id     string
	active bool // it was let in
}

func (d *DB) leftOpen(ctx context.Context) ([]leftSession, error) {
	open, err := collect(ctx, d.app.conn, func(scan func(...any) error) (s leftSession, err error) {
		err = scan(&s.id, &s.active)
		return s, err
	}, `SELECT session, state = 'active' FROM sessions WHERE state IN ('connecting', 'active') ORDER BY seq`)
	return slices.DeleteFunc(open, func(s leftSession) bool {
		_, mine := d.mine[s.id]
		return mine
	}), err
}
