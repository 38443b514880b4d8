package relay

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/sqltext"
	"gprxy/store"
)

// RecordStatements says what is recorded of the statements that sessions run.
type RecordStatements int

// The zero value records nothing of them.
const (
	RecordNothing RecordStatements = iota
	RecordText                     // text and outcome
	RecordParams                   // and bind values
)

// Statements is how statements are recorded.
type Statements struct {
	Record  RecordStatements
	Strict  bool // statement.started is durable before PostgreSQL has all of a statement
	MaxText int  // bytes of a text, or of the values bound to one statement, that are kept

	Names *sqltext.Names // of secrets; nil: the built-in ones
}

// statements makes a record of what one session runs. It hears of every request and
// answer from the conversation, under its mu, which guards all here.
//
// Names of statements and portals are taken at the client's word, as its messages
// come, and what PostgreSQL turns out not to have done is undone (skipped): so the
// text of a statement is known when it is sent, however far ahead of the answers.
type statements struct {
	config  Statements
	done    *rowBuffer
	cancels func() int64 // how many cancel requests the backend was sent
	conv    *conversation
	names   names
	types   *pgtype.Map // made for the first value that needs it

	who       auth.Identity    // the person
	masker    *sqltext.Masker  // made for the first text or value
	settings  sqltext.Settings // as PostgreSQL told them last
	unsettled bool             // what is under way may change them

	now        time.Time // of the chunk that is being looked at
	current    *action   // whose body is to come
	cutting    *cutText  // its text, while it is longer than what is kept
	latest     *action   // the last that runs something: COPY data belong to it
	spare      []*action // for the next messages
	before     []*action // strict: what has to be recorded before the chunk goes on
	unrecorded []*action // answered, of the batch under way: what no Execute has run yet

	unrecordedBytes int // of the values in unrecorded

	unreadable error // why the chunk that is being looked at cannot go on

	bytesIn  int64 // since the last statement was sent
	bytesOut int64 // since the last was done
	rows     int64 // DataRows since then
	lastEnd  time.Time

	failure  failure
	inBlock  bool // a transaction block is open, or may be
	inBatch  bool // something was done that is undone unless a Sync comes
	leaving  bool // the client has left: what errors come now are gprxy's doing
	desynced bool // answers can no longer be told apart
}

// chunkBegins is called before a chunk of either direction is walked. By then what the
// chunk before asked for was announced, if that is wanted, so it can be recorded.
func (s *statements) chunkBegins() {
	s.now = time.Time{}
	switch {
	case s.failure.over:
		s.endFailure()
	case s.failure.full():
		s.storeFailure()
	}
}

// clock is the time of the chunk: bytes that came at once need no other.
func (s *statements) clock() time.Time {
	if s.now.IsZero() {
		s.now = time.Now()
	}
	return s.now
}

// requested notes a request of the client, whose body is to come. skipped says that
// PostgreSQL is expected to skip it: it is recorded like any other, and in strict mode
// before it is sent.
func (s *statements) requested(kind byte, size uint32, skipped bool) (act *action, want uint32) {
	s.desyncInDoubt()
	skipped = skipped && !s.desynced // who knows
	s.bytesIn += int64(size) + wire.HeaderSize
	s.current, s.cutting = nil, nil
	switch kind {
	case wire.CopyData:
		if s.latest != nil {
			s.latest.copyIn += int64(size)
		}
		return nil, 0
	case wire.Query, wire.Parse, wire.Bind, wire.Execute, wire.Close, wire.FunctionCall:
	case wire.Describe:
		if s.config.Record != RecordParams {
			return nil, 0
		}
	default:
		return nil, 0
	}
	act = s.newAction()
	act.request, act.sent = kind, s.clock()
	if act.executes() {
		act.in, s.bytesIn = s.bytesIn, 0
		act.cancels = s.cancels()
		s.latest = act
	}
	if skipped {
		s.failure.skipped = append(s.failure.skipped, act)
		s.failure.bytes += int(min(size, s.wanted(kind)))
	}
	s.current = act
	act.skipped = skipped
	return act, s.wanted(kind)
}

// executed: a statement ended well, or a portal was suspended.
func (s *statements) executed(act *action, kind byte, body []byte) {
	if act == nil || s.desynced {
		return
	}
	r := s.result(act)
	r.rows = s.rows
	switch kind {
	case wire.CommandComplete:
		var rows int64
		if r.tag, rows = commandTag(body); rows >= 0 {
			r.rows = rows
		}
	case wire.PortalSuspended:
		r.outcome = store.OutcomeSuspended
	}
	stmt, at := act.stmt, len(act.results)
	s.noteBlock(act.request, r.tag)
	s.doneWith(act, r)
	switch {
	case changesNames(r.tag):
		s.names.changedBy(r.tag, stmt, at)
	case stmt != nil && stmt.dropsNames: // act may be recycled
		s.names.forget()
	}
}

// noteBlock: a statement that was run begins or ends a transaction block. AND CHAIN and TO SAVEPOINT, after which it goes
// on, have the same tags; an error at the Sync undoes what was done in it then as well.
func (s *statements) noteBlock(request byte, tag string) {
	switch tag {
	case "BEGIN", "START TRANSACTION":
		s.inBlock = true
	case "COMMIT", "ROLLBACK", "PREPARE TRANSACTION":
		s.inBlock, s.inBatch = false, false
	case "COMMIT PREPARED", "ROLLBACK PREPARED":
		s.inBatch = false
	default:
		s.inBatch = s.inBatch || request == wire.Execute && !stands(tag)
	}
}

// result begins what is to be said of a statement that ends now.
func (s *statements) result(act *action) result {
	now := s.clock()
	if act == nil {
		return result{begun: now, ended: now}
	}
	begun := act.sent
	if begun.Before(s.lastEnd) {
		begun = s.lastEnd // PostgreSQL had something else to do
	}
	r := result{begun: begun, ended: now, out: s.bytesOut, rows: s.rows, copies: act.copies}
	if act.copies {
		r.copyIn, r.copyOut = act.copyIn, act.copyOut
		act.copyIn, act.copyOut, act.copies = 0, 0, false
	}
	s.lastEnd = now
	return r
}

// doneWith records the result of an Execute, and keeps that of a Query until it is over.
func (s *statements) doneWith(act *action, r result) {
	s.bytesOut, s.rows = 0, 0
	if act.request == wire.Execute {
		s.storeExecute(act, r)
		s.recycle(act)
		return
	}
	act.add(r)
}

// mostSpare is how many actions are kept: those of a Bind, its Describe and its Execute.
const mostSpare = 3

// newAction gives one that was recycled, if it can: sessions run the same few messages
// over and over.
func (s *statements) newAction() *action {
	last := len(s.spare) - 1
	if last < 0 {
		return new(action)
	}
	act := s.spare[last]
	s.spare = s.spare[:last]
	return act
}

// recycle takes back an action that nothing refers to any more.
func (s *statements) recycle(act *action) {
	if act == nil || s.current == act { // answered before it was whole
		return
	}
	if s.latest == act {
		s.latest = nil
	}
	if len(s.spare) == mostSpare {
		return
	}
	results := act.results[:0]
	clear(act.results)
	if cap(results) > 4 {
		results = nil
	}
	*act = action{results: results}
	s.spare = append(s.spare, act)
}

// failed: an ErrorResponse while head was the oldest request.
func (s *statements) failed(head request, body []byte) {
	if s.desynced {
		return
	}
	act := head.act
	switch head.kind {
	case wire.Query, wire.FunctionCall:
		r := s.result(act)
		s.blame(act, &r, body)
		s.doneWith(act, r)
		if act.drops() { // prepared statements are in no transaction
			s.names.forget()
		}
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.Close:
		r := s.result(act)
		s.blame(act, &r, body)
		s.bytesOut, s.rows = 0, 0
		s.failure = failure{open: true, at: act, error: r}
	case wire.Sync:
		s.syncFailed(body)
	case ownUndoing:
		s.undone()
	}
}

// undone: the client left a batch without its Sync, which was rolled back. In a transaction block that is so anyway.
func (s *statements) undone() {
	if !s.inBatch || s.inBlock {
		return
	}
	now := s.clock()
	s.undoPending(result{begun: now, ended: now, outcome: store.OutcomeCut, message: "rolled back: the session ended before the Sync"})
}

// syncFailed: the implicit transaction of the statements before a Sync could not be
// committed, so what they did is undone. In a transaction block they are done, and only
// what comes at the Sync's turn failed; the same behind what has committed by itself.
func (s *statements) syncFailed(body []byte) {
	now := s.clock()
	r := result{begun: now, ended: now}
	s.blame(nil, &r, body)
	s.undoPending(r)
	s.bytesOut, s.rows = 0, 0
}

// undoPending says of the last statement that was done why it was undone, with those before it in the batch; in a row without a
// text if there is none, or it is in the log already.
func (s *statements) undoPending(r result) {
	st := s.undoable()
	if st == nil {
		s.storeInterrupt(r)
		return
	}
	if st.SQLState, st.Message, st.Outcome = r.sqlstate, r.message, r.outcome; mayCommit(st.Tag) {
		s.conv.beInDoubt("an error came at the Sync behind a statement that may have committed by itself")
		st.Outcome, st.Doubt = store.OutcomeUnknown, s.conv.doubt
	}
}

// undoable is the row of the last statement that was done and that an error at the Sync undoes; nil if there is none, or the
// row was handed over.
func (s *statements) undoable() *store.Statement {
	pending := s.done.pending()
	if s.inBlock || len(pending) == 0 {
		return nil
	}
	st := &pending[0]
	if st.Outcome != "" && st.Outcome != store.OutcomeSuspended || stands(st.Tag) {
		return nil
	}
	return st
}

// stands tells by its command tag whether what a statement did stays, whatever comes at the Sync. It has committed, or rolled
// back, before PostgreSQL said that it was done (exec_execute_message in src/backend/tcop/postgres.c), or is about prepared
// statements, which are in no transaction.
func stands(tag string) bool {
	switch tag {
	case "COMMIT", "ROLLBACK", "PREPARE TRANSACTION", "COMMIT PREPARED", "ROLLBACK PREPARED", "PREPARE", "DEALLOCATE", "DEALLOCATE ALL":
		return true
	}
	return false
}

// failedInDoubt records the error that made it impossible to tell whose answers are whose. It is nobody's for certain, and the
// last statement that was done may be undone by it.
func (s *statements) failedInDoubt(body []byte) {
	if s.desynced {
		return
	}
	if st := s.undoable(); st != nil {
		st.Outcome, st.Doubt = store.OutcomeUnknown, s.conv.doubt
	}
	s.desync()
	now := s.clock()
	r := result{begun: now, ended: now}
	s.blame(nil, &r, body)
	s.storeInterrupt(r)
}

// mayCommit tells by its command tag whether a statement may have committed by itself: those that are refused in a transaction
// block, in some of their forms perhaps (PreventInTransactionBlock; CONCURRENTLY), and code that may hold a COMMIT.
func mayCommit(tag string) bool {
	switch tag {
	case "CALL", "DO", "DISCARD ALL", "VACUUM", "ANALYZE", "CLUSTER", "REPACK", "REINDEX", "CREATE INDEX", "DROP INDEX", "ALTER TABLE",
		"ALTER INDEX", "ALTER SYSTEM":
		return true
	}
	verb, kind, _ := strings.Cut(tag, " ")
	switch kind {
	case "DATABASE", "TABLESPACE", "SUBSCRIPTION":
		return verb == "CREATE" || verb == "ALTER" || verb == "DROP"
	}
	return false
}

// interrupted records an error that is no statement's: that of an interrupt which came
// between two of them.
func (s *statements) interrupted(body []byte) {
	if s.desynced {
		return
	}
	now := s.clock()
	r := result{begun: now, ended: now}
	s.blame(nil, &r, body)
	s.storeInterrupt(r)
	s.bytesOut, s.rows = 0, 0
}

func (s *statements) storeInterrupt(r result) {
	st := s.row(&action{}, r)
	st.Kind = store.KindExtended
	s.done.add(&st)
}

// copying: PostgreSQL began to copy.
func (s *statements) copying(act *action) {
	if act != nil {
		act.copies = true
	}
}

// replied counts what PostgreSQL sends.
func (s *statements) replied(kind byte, size uint32) {
	s.desyncInDoubt()
	s.bytesOut += int64(size) + wire.HeaderSize
	switch {
	case kind == wire.DataRow:
		s.rows++
	case kind == wire.CopyData && s.latest != nil:
		s.latest.copyOut += int64(size)
	}
}

// described: the types of a statement's parameters.
func (s *statements) described(act *action, body []byte) {
	if act == nil || s.config.Record != RecordParams {
		return
	}
	stmt := act.stmt
	if stmt != nil && len(body) >= 2 {
		stmt.types = objectIDs(body)
	}
}

// ready: a ReadyForQuery that answers act, or a Sync.
func (s *statements) ready(act *action, status byte) {
	switch {
	case act != nil && !s.desynced:
		if act.request == wire.Query && act.failedFirst() {
			// PostgreSQL need not have come to drop the unnamed statement and portal: a Query that is malformed, or met by
			// an interrupt, or in a failed transaction, fails before (exec_simple_query in src/backend/tcop/postgres.c). If
			// it has, nothing can run them.
			s.names.undo([]*action{act})
		}
		if act.request == wire.Query && act.wasEmpty() {
			s.names.keepPortal(act)
		}
		s.storeQuery(act, txStatuses[status])
		s.recycle(act)
	default:
		pending := s.done.pending()
		for i := range pending {
			pending[i].TxStatus = txStatuses[status]
		}
	}
	s.done.settle()
	s.inBlock, s.inBatch = status != wire.TxIdle, false
	s.settle()
	s.recordUnexecuted(txStatuses[status])
	s.bytesOut, s.rows = 0, 0
	if status == wire.TxIdle {
		s.names.endPortals()
	}
	if status == wire.TxIdle && s.conv.owed.answered() && !s.desynced {
		s.recycle(s.names.portal) // its Executes are recorded
		s.names.portal = nil
	}
}

var txStatuses = map[byte]string{'I': "I", 'T': "T", 'E': "E"}
