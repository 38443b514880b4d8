// One step of retention, in one transaction: what is old goes from events to pruned, and what hung on it
// goes altogether.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

type pruneStep struct {
	*appender
	by     string
	before time.Time
	now    func() time.Time
	ended  map[string]bool // sessions: whether they were over before then

	read                    int64 // the last seq that was looked at
	runs                    []run
	begun                   []oldRow // the session.connected among the old
	bound                   []oldText
	events, sessions, texts int64
}

// oldRow is a row of events that is looked at. Its body is not kept.
type oldRow struct {
	event
	digest hash
	bound  []namedText
}

// oldText is a text that an old event vouched for on that day.
type oldText struct{ id, day int64 }

// do gives up what is old among the first rows of the span.
func (s *pruneStep) do(ctx context.Context, in span) error {
	rows, more, err := s.rows(ctx, in)
	if err != nil {
		return err
	}
	s.read = in.to
	if more {
		s.read = rows[len(rows)-1].seq
	}
	for i := range rows {
		old, err := s.old(ctx, &rows[i])
		if err != nil {
			return err
		}
		if old {
			s.take(&rows[i])
		}
	}
	if len(s.runs) == 0 {
		return nil
	}
	if err := s.record(ctx); err != nil {
		return err
	}
	return s.remove(ctx)
}

// rows reads a page of rows; more says that there may be others.
func (s *pruneStep) rows(ctx context.Context, in span) (page []oldRow, more bool, err error) {
	rows, err := s.conn.QueryContext(ctx, eventsIn+` LIMIT ?`, in.from-1, in.to, pruneRows)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	var buf []byte
	for size := 0; size < pageBytes && rows.Next(); {
		var r oldRow
		if err := rows.Scan(&r.seq, &r.time, &r.typ, &r.session, &r.body, &r.hash, &r.count); err != nil {
			return nil, false, err
		}
		r.digest, buf = digest(buf, r.seq, r.time, r.typ, r.session, r.body)
		if r.bound, err = boundBy(r.body); err != nil {
			return nil, false, fmt.Errorf("event %d: %w", r.seq, err)
		}
		size += len(r.body)
		r.body = ""
		page = append(page, r)
		more = len(page) == pruneRows || size >= pageBytes
	}
	return page, more, rows.Err()
}

// old reports whether the event goes. What a session logged in as stays with the last of its statements, and its end with
// its beginning, also where the clock was set back between them.
func (s *pruneStep) old(ctx context.Context, r *oldRow) (bool, error) {
	switch {
	case r.time >= s.before.UnixMicro() || r.typ == (LogPruned{}).Type():
		return false, nil
	case r.session == "" || r.typ == (StatementsExecuted{}).Type() || r.typ == (StatementStarted{}).Type():
		return true, nil
	}
	over, known := s.ended[r.session]
	if known {
		return over, nil
	}
	var ended sql.NullInt64
	err := s.conn.QueryRowContext(ctx, `SELECT max(started, ended) FROM sessions WHERE session = ?`, r.session).Scan(&ended)
	switch {
	case errors.Is(err, sql.ErrNoRows): // gone with an earlier step, or never begun
		over = true
	case err != nil:
		return false, err
	default:
		over = ended.Valid && ended.Int64 < s.before.UnixMicro()
	}
	s.ended[r.session] = over
	return over, nil
}

// take adds the row to the runs, and notes what goes with it.
func (s *pruneStep) take(r *oldRow) {
	first := r.seq - r.count + 1
	n := len(s.runs) - 1
	if n < 0 || s.runs[n].seq+1 != first {
		s.runs = append(s.runs, run{first: first})
		n++
	}
	s.runs[n].seq, s.runs[n].hash = r.seq, r.hash
	s.runs[n].digests = append(s.runs[n].digests, r.digest[:]...)
	s.events += r.count
	if r.typ == (SessionConnected{}).Type() {
		s.begun = append(s.begun, *r)
	}
	for _, b := range r.bound {
		s.bound = append(s.bound, oldText{b.ID, r.time / microsInDay})
	}
}

// record appends that the runs go, which is what allows them to. By its own time, too, they must be old enough: the
// clock may have been set back since the prune began, and verify takes a log.pruned at its word.
func (s *pruneStep) record(ctx context.Context) error {
	now := s.now()
	if err := oldEnough(s.before, now); err != nil {
		return err
	}
	fact := LogPruned{By: s.by, Before: s.before, FirstSeq: s.runs[0].first, LastSeq: s.runs[len(s.runs)-1].seq, Events: s.events}
	e, err := encode(Event{Fact: fact}, now)
	if err != nil {
		return err
	}
	_, err = s.write(ctx, []encoded{e})
	return err
}

// remove puts the runs in the place of their rows. A session goes with the event that began it, and a
// text with the last event that vouched for it, so that after every step the log verifies.
func (s *pruneStep) remove(ctx context.Context) error {
	for _, r := range s.runs {
		if _, err := s.conn.ExecContext(ctx, `INSERT INTO pruned (seq, first, digests, hash) VALUES (?,?,?,?)`, r.seq, r.first, r.digests,
			r.hash); err != nil {
			return err
		}
		if _, err := s.conn.ExecContext(ctx, `DELETE FROM events WHERE seq BETWEEN ? AND ?`, r.first, r.seq); err != nil {
			return err
		}
	}
	for _, r := range s.begun {
		n, err := s.delete(ctx, `DELETE FROM sessions WHERE session = ? AND seq = ?`, r.session, r.seq)
		if err != nil {
			return err
		}
		s.sessions += n
	}
	for _, t := range s.bound {
		n, err := s.delete(ctx, `DELETE FROM texts WHERE id = ? AND used = ?`, t.id, t.day)
		if err != nil {
			return err
		}
		s.texts += n
	}
	return nil
}

func (s *pruneStep) delete(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
