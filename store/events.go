// What happened: the events that match a filter, oldest first.

package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// EventFilter says which events are wanted; zero fields do not restrict.
type EventFilter struct {
	// Facts of [Since, Until), by their own time; statements by that of the first one beside them,
	// which is less than 50 ms earlier.
	Since, Until                   time.Time
	User, ServiceAccount, Database string // of the event's session
	AlsoUser                       string // another spelling of User that counts, too
	RequestedUser                  string // that the client of the session asked for
	Type, Session                  string
	SQLState                       string // of the fact: a refusal's, or a statement's
	Text                           string // part of a statement's text as recorded; letters of either case
	AfterSeq                       int64
	Limit                          int // the newest so many, still oldest first; 0: all
}

// maxHits is how many matching rows are kept in memory (16 bytes each) before the log is walked
// instead; so common a match is soon found by walking.
const maxHits = 200_000

// A limited question first looks so many events back, and then so many times further.
const (
	recentEvents = 20_000
	lookFurther  = 8
)

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
	switch {
	case err != nil || span.empty():
		return err
	case f.byContent():
		return r.chosenOf(ctx, f, span, give)
	case f.Limit > 0:
		return r.newestOf(ctx, f, span, give)
	case f.bySession():
		return r.allOf(ctx, f, span, give)
	}
	return r.walk(ctx, f, span, 0, give)
}

// allOf gives all matching events of matching sessions.
func (r *Reader) allOf(ctx context.Context, f EventFilter, in span, give func(Record) bool) error {
	hits, err := r.hits(ctx, f, in)
	if err != nil {
		return err
	}
	if len(hits) > maxHits {
		return r.walk(ctx, f, in, 0, give)
	}
	return r.giveHits(ctx, hits, 0, give)
}

// newestOf gives the newest f.Limit matching events. Who is often in the log is found at its end, who is
// not by the sessions.
func (r *Reader) newestOf(ctx context.Context, f EventFilter, in span, give func(Record) bool) error {
	if f.bySession() && in.tail(recentEvents) != in {
		few, err := r.fewSessions(ctx, f)
		if err != nil {
			return err
		}
		if few {
			hits, err := r.newestHits(ctx, f, in)
			if err != nil {
				return err
			}
			hits, skip := f.newest(hits)
			return r.giveHits(ctx, hits, skip, give)
		}
	}
	for back := int64(recentEvents); ; back *= lookFurther {
		recent := in.tail(back)
		if !f.bySession() && back > recentEvents {
			recent = in // the index of types, or every event, leads there
		}
		from, n, err := r.newestFrom(ctx, f, recent)
		if err != nil {
			return err
		}
		if n >= f.Limit || recent == in {
			return r.walk(ctx, f, span{from, in.to}, f.over(n), give)
		}
	}
}

// over is how many of n events are too many: the first row may be a block of which only the end is wanted.
func (f EventFilter) over(n int) int64 { return int64(max(0, n-f.Limit)) }

// newest leaves the hits that hold the newest f.Limit events, and says how many of the first to skip.
func (f EventFilter) newest(hits []hit) (left []hit, skip int64) {
	if f.Limit == 0 {
		return hits, 0
	}
	n := 0
	for i := len(hits) - 1; i >= 0; i-- {
		if n += int(hits[i].count); n >= f.Limit {
			return hits[i:], f.over(n)
		}
	}
	return hits, 0
}
