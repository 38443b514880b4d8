package relay

import (
	"strings"

	"gprxy/pool/wire"
	"gprxy/store"
)

// failure is an error of the extended protocol with all that PostgreSQL skips for it.
type failure struct {
	open    bool
	at      *action // nil: a Describe, a Close or a Flush
	error   result
	stored  bool // the error is recorded
	over    bool // the Sync that ends it was sent
	skipped []*action
	bytes   int // of skipped, roughly
}

// A client may go on for ever without the Sync that ends a failure. Once so much was
// skipped it is recorded without waiting for that.
const (
	maxSkipped      = 1000
	maxSkippedBytes = 1 << 20
)

func (f *failure) full() bool { return len(f.skipped) >= maxSkipped || f.bytes >= maxSkippedBytes }

// skipped: PostgreSQL does not do what the action asked for, which was sent before the error
// was seen.
func (s *statements) skipped(act *action) {
	if act != nil && s.failure.open {
		s.failure.skipped = append(s.failure.skipped, act)
	}
}

// flushFailed: an interrupt came at a Flush, and PostgreSQL skips to the next Sync.
func (s *statements) flushFailed(body []byte) {
	if s.desynced {
		return
	}
	s.interrupted(body)
	s.failure = failure{open: true, stored: true}
}

// syncSent: the client has sent the Sync up to which PostgreSQL skips.
func (s *statements) syncSent() { s.failure.over = s.failure.open }

// endFailure records the statements that an error kept from being run, once it is
// known which: at the Sync. The error is that of the statement it is about.
func (s *statements) endFailure() {
	if s.failure.open {
		s.storeFailure()
		s.failure = failure{}
	}
}

// storeFailure records the error and what was skipped so far.
func (s *statements) storeFailure() {
	f := &s.failure
	coming := f.split(s.current)
	for _, act := range f.skipped {
		switch {
		case !f.stored && act.request == wire.Execute && s.concerns(f.at, act):
			f.stored = true
			s.storeExecute(act, f.error)
		default:
			s.storeSkipped(act)
		}
	}
	if !f.stored {
		f.stored = true
		s.storeUnexecuted(f.at, f.error)
	}
	for _, act := range f.skipped { // what no Execute has shown
		s.storeKept(act, s.skippedAs())
	}
	if f.droppedUnnamed() {
		f.at.stmtBefore = nil
	}
	s.names.undo(f.skipped)
	if f.at != nil && f.at.request == wire.Execute && f.at.drops() {
		s.names.forget()
	}
	f.skipped, f.bytes = coming, 0
}

// droppedUnnamed: a Parse without a name failed in its text, by when the unnamed statement before it was gone
// (exec_parse_message in src/backend/tcop/postgres.c). Errors of other classes may come before that.
func (f *failure) droppedUnnamed() bool {
	return f.at != nil && f.at.request == wire.Parse && f.at.stmt.name == "" && strings.HasPrefix(f.error.sqlstate, classOfText)
}

// classOfText is the class of SQLSTATEs of a text that is wrong: syntax error or access rule violation.
const classOfText = "42"

// split takes the action off the end whose body is still to come, and returns it.
func (f *failure) split(current *action) (coming []*action) {
	last := len(f.skipped) - 1
	if last >= 0 && f.skipped[last] == current {
		coming = []*action{current}
		f.skipped = f.skipped[:last]
	}
	return coming
}

// skippedAs is the outcome of what PostgreSQL is thought to have skipped.
func (s *statements) skippedAs() store.Statement {
	if s.desynced {
		return store.Statement{Outcome: store.OutcomeUnknown}
	}
	return store.Statement{Outcome: store.OutcomeSkipped}
}

// concerns tells whether the error of a message is one of the statement that the
// Execute runs.
func (s *statements) concerns(failed, execute *action) bool {
	switch {
	case failed == nil: // that of a Describe, a Close or a Flush, of a name that is not there for example
		return false
	case failed.request == wire.Bind && failed.stmt == nil: // of a statement that is not known, or not there
		return execute.bound == failed
	case failed == execute || failed.stmt == nil:
		return true
	case execute.bound == nil: // a portal that is not known
		return false
	}
	return execute.bound == failed || execute.bound.stmt == failed.stmt
}
