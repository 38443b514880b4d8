// Finding the rows that hold the wanted events: by time, by session, or from the end of the log.

package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
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
	return f.User != "" || f.ServiceAccount != "" || f.Database != "" || f.RequestedUser != ""
}

// ofSession are the conditions on the event's session.
func (f EventFilter) ofSession(c *conditions) {
	if f.User != "" {
		c.addUser(`s.user`, f.User, f.AlsoUser)
	}
	if f.ServiceAccount != "" {
		c.add(`s.service_account = ?`, f.ServiceAccount)
	}
	if f.Database != "" {
		c.add(`s.database = ?`, f.Database)
	}
	if f.RequestedUser != "" {
		c.add(`s.requested_user = ?`, f.RequestedUser)
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

func (h hit) compare(other hit) int { return cmp.Compare(h.seq, other.seq) }

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
	slices.SortFunc(hits, hit.compare)
	return hits, err
}

// maxEnds is up to how many sessions are asked for their last events, 5 us each.
const maxEnds = 30_000

// fewSessions reports whether so few sessions match that each can be asked.
func (r *Reader) fewSessions(ctx context.Context, f EventFilter) (bool, error) {
	c := &conditions{}
	f.ofSession(c)
	var n int
	err := r.db.QueryRowContext(ctx, `
		SELECT count(*)
		FROM (SELECT 1 FROM sessions s`+c.where()+` LIMIT ?)`, append(c.args, maxEnds+1)...).Scan(&n)
	return n <= maxEnds, err
}

// lastOf is a session and the seq of its last row.
type lastOf struct {
	session string
	seq     int64
}

func scanLastOf(scan func(...any) error) (l lastOf, err error) {
	err = scan(&l.session, &l.seq)
	return l, err
}

// newestHits gives at least the rows that hold the newest f.Limit matching events of matching sessions, in
// order. Sessions are asked in the order of their last rows until no other can have a newer one.
func (r *Reader) newestHits(ctx context.Context, f EventFilter, in span) (hits []hit, err error) {
	c := &conditions{}
	f.ofSession(c)
	ends, err := collect(ctx, r.db, scanLastOf, `
		SELECT
			s.session,
			ifnull((SELECT max(e.seq) FROM events e INDEXED BY events_session WHERE e.session = s.session AND e.session <> ''), 0)
		FROM sessions s`+c.where(), c.args...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ends, func(a, b lastOf) int { return cmp.Compare(b.seq, a.seq) })
	for chunk := range slices.Chunk(ends, 100) {
		if chunk[0].seq < in.from || f.complete(hits, chunk[0].seq) {
			break
		}
		more, err := r.hitsOf(ctx, f, in, chunk)
		if err != nil {
			return nil, err
		}
		hits = append(hits, more...)
	}
	slices.SortFunc(hits, hit.compare)
	return hits, nil
}

// complete reports whether the hits after seq are as many as are wanted.
func (f EventFilter) complete(hits []hit, seq int64) bool {
	n := 0
	for _, h := range hits {
		if h.seq > seq {
			n += int(h.count)
		}
	}
	return n >= f.Limit
}

// hitsOf gives the matching rows of the sessions.
func (r *Reader) hitsOf(ctx context.Context, f EventFilter, in span, of []lastOf) ([]hit, error) {
	ids := make([]string, len(of))
	for i, l := range of {
		ids[i] = l.session
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	c := &conditions{}
	f.ofEvent(c, in)
	c.add(`e.session <> ''`)
	return collect(ctx, r.db, scanHit, `
		SELECT
			e.seq,
			e.count
		FROM json_each(?) s
		CROSS JOIN events e INDEXED BY events_session ON e.session = s.value`+
		c.where(), append([]any{string(list)}, c.args...)...)
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
