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
	manyUntold      = 100
	manyUntoldBytes = 1 << 20
)

// answered: PostgreSQL has done what the message asked for.
func (s *statements) answered(act *action) {
	switch {
	case s == nil || s.lost:
		return
	case !act.exposes() || act.isTold():
		if act.request != wire.Bind { // which the portal refers to
			s.recycle(act)
		}
		return
	}
	size := act.valuesSize()
	if len(s.untold) >= manyUntold || s.untoldBytes+size > manyUntoldBytes {
		s.untold = slices.DeleteFunc(s.untold, (*action).isTold)
		s.untoldBytes = 0
		for _, a := range s.untold {
			s.untoldBytes += a.valuesSize()
		}
	}
	if len(s.untold) >= manyUntold || s.untoldBytes+size > manyUntoldBytes {
		s.tellUntold("")
	}
	s.untold = append(s.untold, act)
	s.untoldBytes += size
}

// tellUntold records what no Execute has run by the end of the batch.
func (s *statements) tellUntold(status string) {
	for _, act := range s.untold {
		s.storeKept(act, store.Statement{TxStatus: status})
	}
	clear(s.untold)
	s.untold, s.untoldBytes = s.untold[:0], 0
}

// tellUnnamed records the text of an unnamed statement that nothing has bound. It cannot
// run then, but where answers are in doubt PostgreSQL may have another in mind.
func (s *statements) tellUnnamed(stmt *prepared) {
	if stmt != nil {
		s.storeUnknown(&action{request: wire.Parse, stmt: stmt, sent: s.clock()})
	}
}

// storeKept records a Parse or Bind, if nothing else has. What is said of its outcome is
// that of as.
func (s *statements) storeKept(act *action, as store.Statement) {
	if !act.keeps() || act.isTold() {
		return
	}
	st := s.asKept(act)
	st.TxStatus, st.Outcome, st.SQLState = as.TxStatus, as.Outcome, as.SQLState
	s.told(act)
	s.block.add(&st)
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

// told notes that the log has the text of the message, and the values of its Bind.
func (s *statements) told(act *action) {
	if act.stmt != nil {
		act.stmt.told = true
	}
	bind := act.bound
	if act.request == wire.Bind {
		bind = act
	}
	if bind != nil {
		bind.told = true
		s.names.release(bind)
	}
}

// toAnnounce is what strict mode makes durable before the chunk goes on: one
// statement.started for what an Execute runs, and one for what is kept. Among these is the
// unnamed statement that nothing binds yet: another may seem to take its place, be skipped,
// and leave it to the next Bind.
func (s *statements) toAnnounce() (all []*action) {
	for _, act := range s.before {
		begun := act.request == wire.Bind && act.begun || act.request == wire.Parse && act.stmt.begun
		if !begun || s.lost {
			all = append(all, act)
		}
	}
	return all
}

// begins notes that a statement.started will tell of what the message runs or binds.
func (a *action) begins() {
	if a.bound != nil {
		a.bound.begun = true
	}
	if a.stmt != nil && a.request != wire.Parse {
		a.stmt.begun = true
	}
}
