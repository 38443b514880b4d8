package relay

import (
	"slices"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/store"
)

// From what is known of a message to the row of the log.

const codeSyntaxError = "42601"

// storeExecute records what became of an Execute.
func (s *statements) storeExecute(act *action, r result) {
	st := s.row(act, r)
	st.Kind = kindOf(store.KindExtended, r)
	if bind := act.bound; bind != nil {
		bind.parts++
		if r.outcome == store.OutcomeSuspended || bind.parts > 1 {
			st.Part = bind.parts
		}
		if !bind.recorded {
			st.Params = s.shown(bind)
		}
	}
	s.noteRecorded(act)
	s.keepOpen(&st)
}

// keepOpen takes the row of an Execute. An empty statement does nothing that an error at the Sync could undo: what ran before
// it stays the last.
func (s *statements) keepOpen(st *store.Statement) {
	if empty := st.Tag == "" && st.Outcome == ""; empty && len(s.done.pending()) > 0 {
		s.done.add(st)
		return
	}
	s.done.addOpen(st, s.clock())
}

// storeUnexecuted records an error of the extended protocol that came before anything
// was run: a text that is wrong, say.
func (s *statements) storeUnexecuted(act *action, r result) {
	if act == nil {
		act = &action{sent: r.begun}
	}
	st := s.row(act, r)
	st.Kind = store.KindExtended
	st.Params = s.shown(act)
	s.noteRecorded(act)
	s.done.addOpen(&st, s.clock())
}

// storeQuery records the statements of a Query, or a FunctionCall, that is over.
func (s *statements) storeQuery(act *action, status string) {
	if late, found := act.takeLate(); found {
		defer s.storeInterrupt(late)
	}
	rows := s.rowsOf(act)
	if len(rows) == 0 {
		return
	}
	rows[len(rows)-1].TxStatus = status
	for i := range rows {
		if len(rows) > 1 {
			rows[i].Part = int64(i + 1)
			if i > 0 {
				rows[i].BytesIn = 0 // they came with the first
			}
		}
		s.done.add(&rows[i])
	}
}

// rowsOf gives a row for each statement of a Query if it is certain which result is
// whose, else one for all.
func (s *statements) rowsOf(act *action) []store.Statement {
	results := act.results
	if len(results) == 0 {
		r := s.result(act) // a FunctionCall has no other end
		results = append(results, r)
	}
	last := &results[len(results)-1]
	if last.ended.IsZero() {
		last.ended = s.clock()
	}
	var parts []string
	if act.stmt != nil && act.resultsOver == 0 {
		parts = act.stmt.parts
	}
	kind := store.KindSimple
	if act.request == wire.FunctionCall {
		kind = store.KindFunction
	}
	if len(parts) == 0 || !matches(results, parts) {
		all := together(results)
		st := s.row(act, all)
		st.Kind = kindOf(kind, all)
		if act.mayStand(all) {
			st.Outcome, st.Doubt = store.OutcomeUnknown, doubtOfMany
		}
		st.Params = s.shown(act)
		return []store.Statement{st}
	}
	rows := make([]store.Statement, len(parts))
	for i, text := range parts {
		r := result{begun: s.lastEnd, ended: s.lastEnd, outcome: store.OutcomeSkipped}
		if i < len(results) {
			r = results[i]
		}
		rows[i] = s.row(act, r)
		rows[i].SQL, rows[i].Encoding = act.stmt.charset.show(text)
		rows[i].Kind = kindOf(kind, r)
	}
	return rows
}

// mayStand tells of a Query whose results cannot be given to its statements whether its last result, an error, may leave something
// of it done: what committed by itself, or all, if the error may be an interrupt that came when all was over (see takeLate).
func (act *action) mayStand(last result) bool {
	if last.outcome != store.OutcomeError && last.outcome != store.OutcomeCancelled {
		return false
	}
	late := act.request == wire.Query && act.stmt.statements() == 0 && len(act.results)+act.resultsOver > 1 && isInterruptState(last.sqlstate)
	return act.commits || late
}

// doubtOfMany is why one row stands for several statements of which some may be committed and one failed.
const doubtOfMany = "an error came behind statements that may have been committed, and the text could not be taken apart for certain"

// takeLate takes an error off the results that came when all statements of a Query were
// done. PostgreSQL commits before it says that the last is complete (exec_simple_query in
// src/backend/tcop/postgres.c), so the error undoes nothing: an interrupt came while it
// logged how long they took.
func (act *action) takeLate() (late result, found bool) {
	statements := 1 // of a FunctionCall
	if act.request == wire.Query {
		statements = act.stmt.statements()
	}
	n := len(act.results)
	if act.resultsOver > 0 || statements == 0 || n != statements+1 || act.results[n-1].sqlstate == "" {
		return result{}, false
	}
	late = act.results[n-1]
	act.results = act.results[:n-1]
	return late, true
}

// matches tells whether each result belongs to the part of its place. A text that
// PostgreSQL cannot parse is one error.
func matches(results []result, parts []string) bool {
	last := results[len(results)-1]
	switch {
	case len(results) > len(parts), len(results) == 1 && last.unparsed:
		return false
	case len(results) == len(parts):
		return true
	}
	return last.outcome != ""
}

// together is what became of all.
func together(results []result) result {
	all := results[len(results)-1]
	all.begun = results[0].begun
	for _, r := range results[:len(results)-1] {
		all.rows += r.rows
		all.out += r.out
		all.copyIn += r.copyIn
		all.copyOut += r.copyOut
		all.copies = all.copies || r.copies
	}
	return all
}

func kindOf(kind string, r result) string {
	if r.copies {
		return store.KindCopy
	}
	return kind
}

// row is what every row has.
func (s *statements) row(act *action, r result) store.Statement {
	st := store.Statement{
		Tag:        r.tag,
		Rows:       r.rows,
		SQLState:   r.sqlstate,
		Message:    r.message,
		Start:      r.begun,
		US:         max(0, r.ended.Sub(r.begun).Microseconds()),
		BytesIn:    act.in + r.copyIn,
		BytesOut:   r.out,
		CopyIn:     r.copyIn,
		CopyOut:    r.copyOut,
		Outcome:    r.outcome,
		SeqStarted: act.seqStarted,
	}
	if s.desynced {
		st.Doubt = s.conv.doubt
	}
	now := s.reads()
	st.Portal = now.showName(act.portal)
	if p := act.stmt; p != nil {
		st.SQL, st.Encoding = p.charset.show(p.text)
		st.Name, st.Parsed = p.charset.showName(p.name), p.parsed
		st.TextBytes, st.TextSHA256, st.TextHMAC = p.bytes, p.sum, p.keyedSum
		if p.twoReadings {
			st.Masking = store.MaskingTwoReadings
		}
	} else if act.bound != nil {
		st.Name = now.showName(act.bound.name)
	} else {
		st.Name = now.showName(act.name)
	}
	return st
}

// asStarted is a statement before it is sent.
func (s *statements) asStarted(act *action) store.Statement {
	if act.keeps() {
		return s.asKept(act)
	}
	st := s.row(act, result{begun: act.sent, ended: act.sent})
	st.Kind = store.KindExtended
	values := act.bound
	switch act.request {
	case wire.Query:
		st.Kind = store.KindSimple
	case wire.FunctionCall:
		st.Kind, values = store.KindFunction, act
	}
	if values != nil && !values.recorded {
		st.Params = s.shown(values)
	}
	return st
}

// storeUnknown records a statement that is sent while answers cannot be told apart.
func (s *statements) storeUnknown(act *action) {
	s.storeDone(act, result{begun: act.sent, ended: act.sent, outcome: store.OutcomeUnknown})
}

// storeAnnounced is storeUnknown in strict mode.
func (s *statements) storeAnnounced(act *action) {
	r := result{begun: act.sent, ended: act.sent, outcome: store.OutcomeUnknown}
	if act.withheld {
		r.outcome, r.sqlstate = store.OutcomeSkipped, refusal.CodeIOError
	}
	s.storeDone(act, r)
}

// storeSkipped records a statement that PostgreSQL is thought to have skipped.
func (s *statements) storeSkipped(act *action) {
	if act.executes() {
		s.storeDone(act, result{begun: act.sent, ended: act.sent, outcome: s.skippedAs().Outcome})
	}
}

func (s *statements) storeDone(act *action, r result) {
	if !act.executes() {
		s.storeKept(act, store.Statement{Outcome: r.outcome, SQLState: r.sqlstate})
		return
	}
	if act.request == wire.Execute {
		s.storeExecute(act, r)
		return
	}
	act.add(r)
	s.storeQuery(act, "")
}

// desyncInDoubt: an answer that comes in doubt may be anybody's.
func (s *statements) desyncInDoubt() {
	if s.conv.doubt != "" && !s.desynced {
		s.desync()
	}
}

// desync gives up telling answers apart, and records what is under way; but what is being
// announced will be recorded then.
func (s *statements) desync() {
	s.recordUnexecuted("")
	s.desynced = true
	s.endFailure()
	s.recordUnnamed(s.names.unnamed)
	for _, r := range s.conv.owed.waiting() {
		if r.act == nil || r.act == s.current || !r.act.executes() && !r.act.keeps() {
			continue
		}
		s.recordUnnamed(r.act.stmtBefore)
		if !slices.Contains(s.before, r.act) {
			s.storeUnknown(r.act)
		}
	}
}

// end records what the session left without an outcome. Nothing more will come.
func (s *statements) end() {
	s.cutShort()
	s.desyncInDoubt()
	s.endFailure()
	if s.desynced {
		return
	}
	s.recordUnexecuted("")
	s.endActions(false)
	s.endActions(true) // last: that a statement was not sent says nothing of the Parse and the Bind of it that were
}

// endActions records what has no answer, of what was sent or of what was withheld: first what runs statements, then what only
// keeps a text, where no row has it yet.
func (s *statements) endActions(withheld bool) {
	var kept []*action
	for _, r := range s.conv.owed.waiting() {
		switch {
		case r.act == nil || r.act.withheld != withheld:
		case !r.act.executes():
			kept = append(kept, r.act)
		case withheld:
			s.storeAnnounced(r.act)
		default:
			s.endUnanswered(r.act)
		}
	}
	for _, act := range kept {
		if withheld {
			s.storeAnnounced(act)
		} else {
			s.storeKept(act, store.Statement{Outcome: store.OutcomeCut})
		}
	}
}

// endUnanswered records a statement that was sent and has no outcome.
func (s *statements) endUnanswered(act *action) {
	if n := len(act.results); n > 0 && act.results[n-1].outcome == store.OutcomeCut {
		s.storeQuery(act, "") // the backend said why it went
		return
	}
	over := result{begun: act.sent, ended: s.clock(), outcome: store.OutcomeCut, rows: s.rows, out: s.bytesOut}
	if act.copies {
		over.copies, over.copyIn, over.copyOut = true, act.copyIn, act.copyOut
	}
	s.rows, s.bytesOut = 0, 0
	s.storeDone(act, over)
}

// isOfParser tells by the source file of an error whether the text as a whole may have been refused, before anything of it was run.
func isOfParser(file string) bool {
	switch file {
	case "scan.l", "gram.y", "parser.c", "mbutils.c":
		return true
	}
	return false
}

// blame fills in an error.
func (s *statements) blame(act *action, r *result, body []byte) {
	r.outcome = store.OutcomeError
	r.sqlstate = store.Shorten(string(errorField(body, 'C')))
	r.unparsed = r.sqlstate == codeSyntaxError || isOfParser(string(errorField(body, 'F')))
	r.message = store.Shorten(s.readsOf(act).showMessage(s.masking().MaskValue(string(errorField(body, 'M')))))
	switch {
	case s.leaving && r.sqlstate == refusal.CodeQueryCanceled, isFatal(body):
		r.outcome = store.OutcomeCut
	case act != nil && r.sqlstate == refusal.CodeQueryCanceled && s.cancels() != act.cancels:
		r.outcome = store.OutcomeCancelled
	}
	if act != nil && act.isSecret() {
		r.message = "(not kept: the statement may hold a secret)"
	}
}
