// After a crash of the proxy: the gap that it may have left, and the sessions that it left open.

package store

import (
	"context"
	"fmt"
)

// recover records the gap, and ends the sessions that no session.ended or session.refused ever closed: their proxy is dead,
// since its lock is ours now.
func (d *DB) recover(ctx context.Context) error {
	ids, err := collect(ctx, d.app.conn, scanString,
		`SELECT session FROM sessions WHERE state IN ('connecting', 'active') ORDER BY seq`)
	if err != nil {
		return fmt.Errorf("look for sessions that a crash left open: %w", err)
	}
	now := d.opts.now()
	if err := d.recordGap(ctx, now); err != nil {
		return err
	}
	for len(ids) > 0 {
		n := min(len(ids), maxBatch)
		batch := make([]encoded, 0, n)
		for _, id := range ids[:n] {
			e, err := encode(Event{Time: now, Session: id, Fact: SessionEnded{Reason: ReasonAborted}}, now)
			if err != nil {
				return err
			}
			batch = append(batch, e)
		}
		if _, err := d.app.append(ctx, batch); err != nil {
			return fmt.Errorf("end the sessions of a crash: %w", err)
		}
		d.log.Warn("ended sessions that a crash left open", "sessions", n)
		ids = ids[n:]
	}
	return nil
}

func scanString(scan func(...any) error) (s string, err error) {
	err = scan(&s)
	return s, err
}
