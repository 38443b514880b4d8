// Conditions that only the stored facts themselves can answer: they are read to be chosen.

package store

import (
	"context"
	"encoding/json"
	"strings"
)

// byContent reports whether facts must be read to know which are wanted.
func (f EventFilter) byContent() bool { return f.SQLState != "" || f.Text != "" }

// chosen reports whether the fact of a record is one that the filter asks for.
func (f EventFilter) chosen(rec Record) bool {
	var fact struct {
		SQLState string `json:"sqlstate"`
		SQL      string `json:"sql"`
	}
	if json.Unmarshal(rec.Detail, &fact) != nil {
		return false // somebody has put there what is no fact
	}
	return (f.SQLState == "" || f.SQLState == fact.SQLState) &&
		(f.Text == "" || strings.Contains(strings.ToLower(fact.SQL), strings.ToLower(f.Text)))
}

// chosenOf gives the chosen events of the span; of many, the newest f.Limit. It holds none of them: the log is looked through from
// its end, further back each time, until there are enough to give.
func (r *Reader) chosenOf(ctx context.Context, f EventFilter, in span, give func(Record) bool) error {
	skip := 0
	if f.Limit > 0 {
		recent, n, err := r.newestChosen(ctx, f, in)
		if err != nil {
			return err
		}
		in, skip = recent, max(0, n-f.Limit)
	}
	return r.walk(ctx, f, in, 0, func(rec Record) bool {
		if !f.chosen(rec) {
			return true
		}
		if skip > 0 {
			skip--
			return true
		}
		return give(rec)
	})
}

// newestChosen finds a span that holds the newest f.Limit chosen events, or all there are, and how many it holds.
func (r *Reader) newestChosen(ctx context.Context, f EventFilter, in span) (recent span, n int, err error) {
	for back := int64(recentEvents); ; back *= lookFurther {
		recent, n = in.tail(back), 0
		err = r.walk(ctx, f, recent, 0, func(rec Record) bool {
			if f.chosen(rec) {
				n++
			}
			return true
		})
		if err != nil || n >= f.Limit || recent == in {
			return recent, n, err
		}
	}
}
