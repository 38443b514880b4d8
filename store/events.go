// What happened: the events that match a filter, oldest first.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// EventFilter says which events are wanted; zero fields do not restrict.
type EventFilter struct {
	Since, Until                   time.Time // facts of [Since, Until), by their own time
	User, ServiceAccount, Database string    // of the event's session
	Type, Session                  string
	AfterSeq                       int64
	Limit                          int // the newest so many, still oldest first; 0: all
}

// maxHits is how many seqs of matching events are kept in memory (8 bytes each) before the log is
// walked instead; so common a match is soon found by walking.
const maxHits = 200_000

// recentEvents is how far back a limited question looks before it asks for whole sessions.
const recentEvents = 20_000

// Events gives the matching events that are in the log now, oldest first, in constant memory.
func (r *Reader) Events(ctx context.Context, f EventFilter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		to, err := r.lastSeq(ctx)
		if err == nil {
			err = r.eventsTo(ctx, f, to, func(rec Record) bool { return yield(rec, nil) })
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, fmt.Errorf("list events: %w", err))
		}
	}
}

// errStopped says that the caller wants no more.
var errStopped = errors.New("stopped")

// eventsTo gives the matching events up to seq to.
func (r *Reader) eventsTo(ctx context.Context, f EventFilter, to int64, give func(Record) bool) error {
	span, err := r.span(ctx, f, to)
	if err != nil || span.empty() {
		return err
	}
	if f.Limit > 0 {
		// Who is often in the log is found at its end, without looking up all they ever did.
		recent := span.tail(recentEvents)
		from, n, err := r.newestFrom(ctx, f, recent)
		if err != nil {
			return err
		}
		if n == f.Limit || recent == span {
			span.from = from
			return r.walk(ctx, f, span, give)
		}
	}
	if f.bySession() {
		hits, err := r.hits(ctx, f, span)
		if err != nil {
			return err
		}
		if len(hits) <= maxHits {
			return r.giveHits(ctx, newest(hits, f.Limit), give)
		}
	}
	if f.Limit > 0 {
		if span.from, _, err = r.newestFrom(ctx, f, span); err != nil {
			return err
		}
	}
	return r.walk(ctx, f, span, give)
}

func newest(hits []int64, limit int) []int64 {
	if limit > 0 && len(hits) > limit {
		return hits[len(hits)-limit:]
	}
	return hits
}

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
	case f.Type == "statement.executed":
		c.add(`e.type = ?`, f.Type)
	default:
		c.add(`e.type = ? AND e.type <> 'statement.executed'`, f.Type) // the words of the partial index
	}
}

// hits gives the seqs of the matching events of matching sessions in order, or more than maxHits.
func (r *Reader) hits(ctx context.Context, f EventFilter, in span) ([]int64, error) {
	c := &conditions{}
	f.ofSession(c)
	f.ofEvent(c, in)
	c.add(`e.session <> ''`)
	hits, err := collect(ctx, r.db, scanInt, `
		SELECT e.seq
		FROM sessions s
		CROSS JOIN events e INDEXED BY events_session ON e.session = s.session`+
		c.where()+` LIMIT ?`, append(c.args, maxHits+1)...)
	slices.Sort(hits)
	return hits, err
}

// giveHits gives the events of the seqs.
func (r *Reader) giveHits(ctx context.Context, hits []int64, give func(Record) bool) error {
	for page := range slices.Chunk(hits, pageRows) {
		list, err := json.Marshal(page)
		if err != nil {
			return err
		}
		c := &conditions{}
		c.add(`e.seq IN (SELECT value FROM json_each(?))`, string(list))
		if err := r.givePage(ctx, anySession, c, len(page), give); err != nil {
			return err
		}
	}
	return nil
}

// newestFrom gives the seq of the first of the newest f.Limit matches, and how many these are.
func (r *Reader) newestFrom(ctx context.Context, f EventFilter, in span) (from int64, n int, err error) {
	c := &conditions{}
	f.ofSession(c)
	f.ofEvent(c, in)
	err = r.db.QueryRowContext(ctx, `
		SELECT coalesce(min(seq), ?), count(*)
		FROM (
			SELECT e.seq AS seq
			FROM `+f.walked()+c.where()+`
			ORDER BY e.seq DESC
			LIMIT ?)`, append(append([]any{in.to + 1}, c.args...), f.Limit)...).Scan(&from, &n)
	return from, n, err
}

// walk gives the matching events of the span, page by page.
func (r *Reader) walk(ctx context.Context, f EventFilter, in span, give func(Record) bool) error {
	for !in.empty() {
		c := &conditions{}
		f.ofSession(c)
		f.ofEvent(c, in)
		n := 0
		err := r.givePage(ctx, f.walked(), c, pageRows, func(rec Record) bool {
			n++
			in.from = rec.Seq + 1
			return give(rec)
		})
		if err != nil || n < pageRows {
			return err
		}
	}
	return nil
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

// givePage reads up to n matching events, ends the query, and only then gives them away.
func (r *Reader) givePage(ctx context.Context, from string, c *conditions, n int, give func(Record) bool) error {
	page, err := collect(ctx, r.db, scanRecord, `
		SELECT `+recordColumns+`
		FROM `+from+c.where()+`
		ORDER BY e.seq
		LIMIT ?`, append(c.args, n)...)
	if err != nil {
		return err
	}
	for _, rec := range page {
		if !give(rec) {
			return errStopped
		}
	}
	return nil
}
