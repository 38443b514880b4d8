package relay

import (
	"slices"

	"gprxy/pool/wire"
	"gprxy/store"
)

// A statement that was prepared and a portal that was opened can be run by other means
// than an Execute: EXECUTE and FETCH in SQL, or a function. And planning, which is the
// Bind's, already runs what seems immutable. So each Bind and each Parse with a name
// has a row of its own, unless an Execute of the same batch has the text in its row.

// So many, or so many bytes of values, are recorded without waiting for the end of the
// batch.
const (
	manyUnrecorded      = 100
	manyUnrecordedBytes = 1 << 20
)

// answered: PostgreSQL has done what the message asked for.
func (s *statements) answered(act *action) {
	switch {
	case s == nil || s.desynced:
		return
	case !act.exposes() || act.isRecorded():
		if act.request != wire.Bind { // which the portal refers to
			s.recycle(act)
		}
		return
	}
	size := act.valuesSize()
	if len(s.unrecorded) >= manyUnrecorded || s.unrecordedBytes+size > manyUnrecordedBytes {
		s.unrecorded = slices.DeleteFunc(s.unrecorded, (*action).isRecorded)
		s.unrecordedBytes = 0
		for _, a := range s.unrecorded {
			s.unrecordedBytes += a.valuesSize()
		}
	}
	if len(s.unrecorded) >= manyUnrecorded || s.unrecordedBytes+size > manyUnrecordedBytes {
		s.recordUnexecuted("")
	}
	s.unrecorded = append(s.unrecorded, act)
	s.unrecordedBytes += size
}

// recordUnexecuted records what no Execute has run by the end of the batch.
func (s *statements) recordUnexecuted(status string) {
	for _, act := range s.unrecorded {
		s.storeKept(act, store.Statement{TxStatus: status})
	}
	clear(s.unrecorded)
	s.unrecorded, s.unrecordedBytes = s.unrecorded[:0], 0
}

// recordUnnamed records the text of an unnamed statement that nothing has bound. It cannot
// run then, but where answers are in doubt PostgreSQL may have another in mind.
func (s *statements) recordUnnamed(stmt *prepared) {
	if stmt != nil {
		s.storeUnknown(&action{request: wire.Parse, stmt: stmt, sent: s.clock()})
	}
}

// storeKept records a Parse or Bind, if nothing else has. What is said of its outcome is
// that of as.
func (s *statements) storeKept(act *action, as store.Statement) {
	if !act.keeps() || act.isRecorded() {
		return
	}
	st := s.asKept(act)
	st.TxStatus, st.Outcome, st.SQLState = as.TxStatus, as.Outcome, as.SQLState
	s.noteRecorded(act)
	s.done.add(&st)
}

// asKept is the row of a Parse or Bind.
func (s *statements) asKept(act *action) store.Statement {
	st := s.row(act, result{begun: act.sent, ended: act.sent})
	if st.Kind = store.KindParse; act.request == wire.Bind {
		st.Kind = store.KindBind
		st.Params = s.shown(act)
	}
	return st
}

// noteRecorded notes that the log has the text of the message, and the values of its Bind.
func (s *statements) noteRecorded(act *action) {
	if act.stmt != nil {
		act.stmt.recorded = true
	}
	bind := act.bound
	if act.request == wire.Bind {
		bind = act
	}
	if bind != nil {
		bind.recorded = true
		s.names.release(bind)
	}
}

// toAnnounce is what strict mode makes durable before the chunk goes on: one
// statement.started for what an Execute runs, and one for what is kept. Among these is the
// unnamed statement that nothing binds yet: another may seem to take its place, be skipped,
// and leave it to the next Bind.
func (s *statements) toAnnounce() (all []*action) {
	for _, act := range s.before {
		begun := act.request == wire.Bind && act.announced || act.request == wire.Parse && act.stmt.announced
		if !begun || s.desynced {
			all = append(all, act)
		}
	}
	return all
}

// begins notes that a statement.started will tell of what the message runs or binds.
func (a *action) begins() {
	if a.bound != nil {
		a.bound.announced = true
	}
	if a.stmt != nil && a.request != wire.Parse {
		a.stmt.announced = true
	}
}
