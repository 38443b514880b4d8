// Folding the projections anew from the events.

package store

import (
	"context"
	"database/sql"
	"fmt"
)

// rebuild empties the projection and folds every event again, in one transaction.
func rebuild(ctx context.Context, a *appender) error {
	err := inTx(ctx, a.conn, func() error {
		if _, err := a.conn.ExecContext(ctx, `DELETE FROM sessions`); err != nil {
			return err
		}
		for after := int64(0); ; {
			batch, last, err := readFacts(ctx, a.conn, after, maxBatch)
			if err != nil || len(batch) == 0 {
				return err
			}
			if err := refold(ctx, a, batch); err != nil {
				return err
			}
			after = last
		}
	})
	if err != nil {
		return fmt.Errorf("rebuild the projections: %w", err)
	}
	return nil
}

type numbered struct {
	seq int64
	encoded
}

func refold(ctx context.Context, a *appender, batch []numbered) error {
	t := touched{a: a, rows: map[string]Session{}}
	for _, e := range batch {
		if err := t.fold(ctx, e.seq, e.encoded); err != nil {
			return err
		}
	}
	return t.save(ctx)
}

// readFacts gives up to n events after seq that a fold looks at, and the last seq it read.
func readFacts(ctx context.Context, conn *sql.Conn, seq int64, n int) (batch []numbered, last int64, err error) {
	rows, err := conn.QueryContext(ctx, `
		SELECT
			seq,
			time,
			type,
			session,
			body
		FROM events
		WHERE seq > ?
		ORDER BY seq
		LIMIT ?`, seq, n)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e    numbered
			body []byte
		)
		if err := rows.Scan(&e.seq, &e.time, &e.typ, &e.session, &body); err != nil {
			return nil, 0, err
		}
		if e.fact, err = decode(e.typ, body); err != nil {
			return nil, 0, fmt.Errorf("event %d: %w", e.seq, err)
		}
		last = e.seq
		batch = append(batch, e)
	}
	return batch, last, rows.Err()
}
