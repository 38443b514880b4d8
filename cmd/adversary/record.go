// The event log, read by actor: the second of the two books.
package main

import (
	"context"
	"encoding/json"
	"strings"

	"gprxy/store"
)

// row is one statement of the event log.
type row struct {
	store.Statement
	doubt string
}

// wild tells whether the row says that its outcome is not known.
func (r row) wild() bool {
	return r.doubt != "" || r.Outcome == store.OutcomeUnknown || r.Outcome == store.OutcomeCut
}

// ok tells whether the row says that PostgreSQL did what it was told.
func (r row) ok() bool { return !r.wild() && (r.Outcome == "" || r.Outcome == store.OutcomeSuspended) }

// failed tells whether the row says that PostgreSQL refused.
func (r row) failed() bool {
	return !r.wild() && (r.Outcome == store.OutcomeError || r.Outcome == store.OutcomeCancelled)
}

// executes tells whether the row is of something that was to be run, not only prepared.
func (r row) executes() bool { return r.Kind != store.KindParse && r.Kind != store.KindBind }

// record is what the event log has of one actor.
type record struct {
	sessions int
	rows     map[int][]row // by the number of their text, in order
	textless []row
	calls    []row
	order    []row // all, in order
	started  map[int]bool
	ended    int
	doubt    string // of its end
}

func newRecord() *record { return &record{rows: map[int][]row{}, started: map[int]bool{}} }

// readRecords reads a closed event log, which it verifies too.
func readRecords(ctx context.Context, path string) (map[string]*record, error) {
	r, err := store.OpenReader(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := r.Verify(ctx, nil); err != nil {
		return nil, err
	}
	all := map[string]*record{}
	for e, err := range r.Events(ctx, store.EventFilter{}) {
		if err != nil {
			return nil, err
		}
		actor, _, ok := strings.Cut(e.User, "@")
		if !ok {
			continue
		}
		if all[actor] == nil {
			all[actor] = newRecord()
		}
		if err := all[actor].take(e); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (rec *record) take(e store.Record) error {
	var doubt struct{ Doubt string }
	if err := json.Unmarshal(e.Detail, &doubt); err != nil {
		return err
	}
	switch e.Type {
	case "session.started":
		rec.sessions++
	case "session.ended":
		rec.ended++
		rec.doubt = doubt.Doubt
	case "statement.started", "statement.executed":
		one := row{doubt: doubt.Doubt}
		if err := json.Unmarshal(e.Detail, &one.Statement); err != nil {
			return err
		}
		rec.add(e.Type, one)
	}
	return nil
}

func (rec *record) add(what string, one row) {
	_, n, ok := markOf(one.SQL)
	switch {
	case what == "statement.started":
		if ok {
			rec.started[n] = true
		}
		return
	case one.Kind == store.KindFunction:
		rec.calls = append(rec.calls, one)
	case ok:
		rec.rows[n] = append(rec.rows[n], one)
	default:
		rec.textless = append(rec.textless, one)
	}
	rec.order = append(rec.order, one)
}
