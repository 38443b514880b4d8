// Finding the rows that hold the wanted events: by time, by session, or from the end of the log.

package store

import (
	"context"
	"database/sql"
	"slices"
)

// span is a range of seqs, both ends included.
type span struct{ from, to int64 }

func (s span) empty() bool { return s.from > s.to }

// tail is the last n seqs of the span.
func (s span) tail(n int64) span { return span{from: max(s.from, s.to-n+1), to: s.to} }

// span narrows the log to the seqs between which all facts of the wanted time stand. Facts are not
// quite in the order of their times, so the index of times decides.
func (r *Reader) span(ctx context.Context, f EventFilter, to int64) (span, error) {
	s := span{from: f.AfterSeq + 1, to: to}
	if f.Since.IsZero() && f.Until.IsZero() {
		return s, nil
	}
	c := &conditions{}
	if !f.Since.IsZero() {
		c.add(`time >= ?`, f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		c.add(`time < ?`, f.Until.UnixMicro())
	}
	var from, last sql.NullInt64
	query := `SELECT min(seq), max(seq) FROM (SELECT seq FROM events INDEXED BY events_time` + c.where() + `)`
	if err := r.db.QueryRowContext(ctx, query, c.args...).Scan(&from, &last); err != nil {
		return s, err
	}
	if !from.Valid {
		return span{from: 1, to: 0}, nil
	}
	return span{from: max(s.from, from.Int64), to: min(s.to, last.Int64)}, nil
}

func (r *Reader) lastSeq(ctx context.Context) (int64, error) {
	var n sql.NullInt64
	err := r.db.QueryRowContext(ctx, `SELECT max(seq) FROM events`).Scan(&n)
	return n.Int64, err
}

func (f EventFilter) bySession() bool {
	return f.User != "" || f.ServiceAccount != "" || f.Database != ""
}

// ofSession are the conditions on the event's session.
func (f EventFilter) ofSession(c *conditions) {
	if f.User != "" {
		c.add(`s.user = ?`, f.User)
	}
	if f.ServiceAccount != "" {
		c.add(`s.service_account = ?`, f.ServiceAccount)
	}
	if f.Database != "" {
		c.add(`s.database = ?`, f.Database)
	}
}

// ofEvent are the conditions on the event itself.
func (f EventFilter) ofEvent(c *conditions, in span) {
	c.add(`e.seq BETWEEN ? AND ?`, in.from, in.to)
	if !f.Since.IsZero() {
		c.add(`+e.time >= ?`, f.Since.UnixMicro()) // "+": the span has used the index
	}
	if !f.Until.IsZero() {
		c.add(`+e.time < ?`, f.Until.UnixMicro())
	}
	if f.Session != "" {
		c.add(`e.session = ? AND e.session <> ''`, f.Session)
	}
	switch {
	case f.Type == "":
	case f.Session != "": // whose index finds fewer
		c.add(`+e.type = ?`, f.Type)
	case f.Type == StatementsExecuted{}.Type() || f.Type == StatementStarted{}.Type():
		c.add(`e.type = ?`, f.Type)
	default:
		c.add(`e.type = ? AND e.type NOT IN ('statement.executed', 'statement.started')`, f.Type) // the words of the partial index
	}
}

// hit is a row of events: its seq, and how many events it holds.
type hit struct{ seq, count int64 }

func scanHit(scan func(...any) error) (h hit, err error) {
	err = scan(&h.seq, &h.count)
	return h, err
}

// hits gives the matching rows of matching sessions in order, or more than maxHits.
func (r *Reader) hits(ctx context.Context, f EventFilter, in span) ([]hit, error) {
	c := &conditions{}
	f.ofSession(c)
	f.ofEvent(c, in)
	c.add(`e.session <> ''`)
	hits, err := collect(ctx, r.db, scanHit, `
		SELECT
			e.seq,
			e.count
		FROM sessions s
		CROSS JOIN events e INDEXED BY events_session ON e.session = s.session`+
		c.where()+` LIMIT ?`, append(c.args, maxHits+1)...)
	slices.SortFunc(hits, func(a, b hit) int { return int(a.seq - b.seq) })
	return hits, err
}

// newestFrom gives the seq of the first of the rows that hold the newest f.Limit matches, and how many
// events these rows hold.
func (r *Reader) newestFrom(ctx context.Context, f EventFilter, in span) (from int64, n int, err error) {
	c := &conditions{}
	f.ofSession(c)
	f.ofEvent(c, in)
	rows, err := r.db.QueryContext(ctx, `
		SELECT
			e.seq,
			e.count
		FROM `+f.walked()+c.where()+`
		ORDER BY e.seq DESC
		LIMIT ?`, append(c.args, f.Limit)...)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	from = in.to + 1
	for n < f.Limit && rows.Next() {
		h, err := scanHit(rows.Scan)
		if err != nil {
			return 0, 0, err
		}
		from, n = h.seq, n+int(h.count)
	}
	return from, n, rows.Err()
}

// anySession joins each event with its session, if it has one.
const anySession = `events e LEFT JOIN sessions s ON e.session <> '' AND s.session = e.session`

// walked is what walk reads, events first: CROSS JOIN keeps SQLite from turning the loops around.
func (f EventFilter) walked() string {
	if f.bySession() {
		return `events e CROSS JOIN sessions s ON s.session = e.session`
	}
	return anySession
}
