package session

import (
	"fmt"

	"gprxy/store"
)

// failure is an error of the extended protocol with all that PostgreSQL skips for it.
type failure struct {
	open    bool
	at      *action // nil: a Describe, or a Close
	error   result
	skipped []*action
	bytes   int   // of skipped, roughly
	more    int64 // Executes that were skipped and not kept
}

// A client may go on for ever without the Sync that ends a failure. So much of what is
// skipped is kept.
const (
	maxSkipped      = 1000
	maxSkippedBytes = 1 << 20
)

func (f *failure) full() bool { return len(f.skipped) >= maxSkipped || f.bytes >= maxSkippedBytes }

// skipped: PostgreSQL does not do what the action asked for.
func (s *statements) skipped(act *action) {
	if act != nil && s.failure.open {
		s.failure.skipped = append(s.failure.skipped, act)
	}
}

// endFailure records the statements that an error kept from being run, once it is
// known which: at the Sync. The error is that of the statement it is about.
func (s *statements) endFailure() {
	f := s.failure
	if !f.open {
		return
	}
	s.failure = failure{}
	told := false
	for _, act := range f.skipped {
		if act.request != msgExecute {
			if act.executes() {
				s.storeSkipped(act)
			}
			continue
		}
		if !told && s.concerns(f.at, act) {
			told = true
			s.storeExecute(act, f.error)
			continue
		}
		s.storeExecute(act, result{begun: act.sent, ended: f.error.ended, outcome: store.OutcomeSkipped})
	}
	if !told {
		s.storeUnexecuted(f.at, f.error)
	}
	if f.more > 0 {
		s.block.add(&store.Statement{
			Kind: store.KindExtended, Start: f.error.ended, Outcome: store.OutcomeSkipped,
			Message: fmt.Sprintf("(%d more that were skipped, of which the texts were not kept)", f.more),
		})
	}
	s.names.undo(f.skipped)
}

// concerns tells whether the error of a message is one of the statement that the
// Execute runs.
func (s *statements) concerns(failed, execute *action) bool {
	switch {
	case failed == nil || failed == execute || failed.stmt == nil:
		return true
	case execute.bound == nil:
		return failed.request == msgParse || failed.request == msgBind
	}
	return execute.bound == failed || execute.bound.stmt == failed.stmt
}
