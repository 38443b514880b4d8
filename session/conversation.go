package session

import (
	"bytes"
	"sync"
)

// Messages of the protocol that matter to who owes whom an answer.
const (
	msgQuery        = 'Q'
	msgParse        = 'P'
	msgBind         = 'B'
	msgDescribe     = 'D'
	msgExecute      = 'E'
	msgClose        = 'C'
	msgFlush        = 'H'
	msgSync         = 'S'
	msgFunctionCall = 'F'
	msgCopyData     = 'd'
	msgCopyDone     = 'c'
	msgCopyFail     = 'f'
	msgTerminate    = 'X'

	replyParseComplete   = '1'
	replyBindComplete    = '2'
	replyCloseComplete   = '3'
	replyNotification    = 'A'
	replyCommandComplete = 'C'
	replyDataRow         = 'D'
	replyError           = 'E'
	replyCopyIn          = 'G'
	replyCopyOut         = 'H'
	replyCopyBoth        = 'W' // replication alone
	replyEmptyQuery      = 'I'
	replyKeyData         = 'K'
	replyNotice          = 'N'
	replyParameterStatus = 'S'
	replyRowDescription  = 'T'
	replyFunctionCall    = 'V'
	replyNoData          = 'n'
	replySuspended       = 's'
	replyParameterDesc   = 't'
	replyReady           = 'Z'
)

// Transaction status as ReadyForQuery reports it.
const txIdle = 'I'

// A conversation knows what the backend still owes the client. It follows both
// streams by their message types alone, the way PostgreSQL's main loop works
// through its input (src/backend/tcop/postgres.c): in order, one answer for each
// message of the extended protocol, one ReadyForQuery for each Query, Sync and
// FunctionCall, nothing but skipping between an error and the next Sync.
//
// Both directions of the relay call it, each under mu. A request must be noted
// before its bytes go to the backend, or its answer could overtake it.
type conversation struct {
	mu sync.Mutex

	owed     requests // sent and not answered, oldest first
	skipping bool     // after an error: the backend ignores all up to the next Sync
	copyIn   bool     // the backend reads CopyData
	copyBoth bool     // replication streams: both sides send CopyData until one of them ends
	unsynced bool     // extended messages were sent and no Sync after them
	status   byte     // of the last ReadyForQuery
	doubt    string   // why the rest can no longer be trusted; "" while it can
	last     byte     // type of the backend's last message that answers something
	copyIns  int      // how many COPY FROM STDIN there were
	fatal    bool     // the backend announced its end

	parameters func(name, value string) // called for each ParameterStatus
	record     *statements              // what is recorded of it; nil for nothing

	statements, errors, rows int64
}

// idle: nothing is owed, the backend waits for the next command.
func (c *conversation) idle() bool {
	return c.owed.empty() && !c.unsynced && !c.copyIn && c.doubt == ""
}

// resting is idle outside a transaction, or, where exactness is lost, what looks
// like it: good enough to end a session by, never to reuse its backend. Replication
// has no end to wait for: a client that streams goes on from where it was.
func (c *conversation) resting() bool {
	return (c.idle() || c.looksIdle()) && c.status == txIdle || c.copyBoth
}

// looksIdle: the count is in doubt, and the backend's last word was ReadyForQuery.
func (c *conversation) looksIdle() bool { return c.doubt != "" && c.last == replyReady }

func (c *conversation) request(kind byte, act *action) {
	if kind == msgQuery || kind == msgFunctionCall || kind == msgExecute {
		c.statements++
	}
	if c.doubt != "" { // nothing would take the request off again
		if kind == msgQuery || kind == msgFunctionCall || kind == msgSync {
			c.last = 0 // until the backend is ready it looks busy
		}
		return
	}
	switch kind {
	case msgQuery, msgFunctionCall:
		if c.skipping {
			return // the backend will not even look at it
		}
		c.owed.push(request{kind, act})
		// The simple protocol ends with ReadyForQuery, as Sync does.
		c.unsynced = false
	case msgParse, msgBind, msgDescribe, msgExecute, msgClose:
		c.unsynced = true
		if !c.skipping {
			c.owed.push(request{kind, act})
		}
	case msgSync:
		if c.copyIn && c.owed.tail().kind == msgSync && !c.owed.has(msgCopyDone, msgCopyFail) {
			return // ignored like the one before it, or in doubt like it
		}
		c.skipping = false
		c.unsynced = false
		c.owed.push(request{kind, act})
	case msgCopyDone, msgCopyFail:
		// Outside COPY IN the backend ignores them; which of the two it will
		// be is known when it gets there.
		if !c.skipping {
			c.owed.push(request{kind, act})
			c.dropStrayCopyEnds()
		}
	case msgCopyData, msgFlush:
	default:
		c.doubt = "the client sent a message of an unknown type"
	}
}

// reply notes an answer. body is there for those that a record is made of.
func (c *conversation) reply(kind byte, body []byte) {
	switch kind {
	case replyDataRow:
		c.rows++
	case replyParseComplete:
		c.answered(msgParse)
	case replyBindComplete:
		c.answered(msgBind)
	case replyCloseComplete:
		c.answered(msgClose)
	case replyRowDescription, replyNoData:
		if c.owed.head().kind == msgDescribe {
			act := c.owed.pop().act
			if c.record != nil {
				c.record.recycle(act)
			}
		}
	case replyCommandComplete:
		if c.copyIn {
			c.endCopyIn()
		}
		c.executed(kind, body)
	case replyEmptyQuery, replySuspended:
		c.executed(kind, nil)
	case replyCopyIn:
		c.copyIn = true
		c.copyIns++
	case replyCopyBoth:
		c.copyBoth = true
	case replyParameterDesc:
		if c.record != nil {
			c.record.described(c.owed.head().act, body)
		}
	case replyCopyOut, msgCopyData, msgCopyDone, replyNotice, replyNotification, replyFunctionCall:
	default:
		c.doubt = "the backend sent a message of an unknown type"
	}
	if c.record != nil && (kind == replyCopyIn || kind == replyCopyOut || kind == replyCopyBoth) {
		c.record.copying(c.owed.head().act)
	}
	c.dropStrayCopyEnds()
}

// answered takes the request that is answered off the front.
func (c *conversation) answered(kind byte) {
	if c.owed.head().kind != kind {
		c.doubt = "the backend answered something that was not asked"
		return
	}
	if act := c.owed.pop().act; act != nil {
		act.confirm()
		c.record.answered(act)
	}
}

// executed: a statement is done, one of a Query or the one of an Execute.
func (c *conversation) executed(kind byte, tag []byte) {
	done := c.owed.head()
	if done.kind == msgExecute {
		c.owed.pop()
	}
	if c.record != nil {
		c.record.executed(done.act, kind, tag)
	}
}

// endCopyIn: a COPY FROM STDIN succeeded. The backend has read everything up to
// CopyDone and has ignored each Sync before it.
func (c *conversation) endCopyIn() {
	c.copyIn = false
	first := c.owed.pop() // the Query or Execute that copies
	for !c.owed.empty() {
		if c.owed.pop().kind == msgCopyDone {
			c.unsynced = c.unsynced || first.kind == msgExecute && !c.owed.has(msgSync, msgQuery, msgFunctionCall)
			c.owed.pushFront(first)
			return
		}
	}
	c.doubt = "the backend ended a COPY before the client did"
}

// failed: an ErrorResponse. In the extended protocol everything up to the next
// Sync falls away.
func (c *conversation) failed(body []byte) {
	c.errors++
	if isFatal(body) {
		c.fatal = true
	}
	if c.copyIn {
		c.failCopyIn()
	}
	head := c.owed.head()
	if c.record != nil {
		c.record.failed(head, body)
	}
	switch head.kind {
	case msgParse, msgBind, msgDescribe, msgExecute, msgClose:
		c.skip()
	}
	c.dropStrayCopyEnds()
}

// skip: the backend ignores all up to the next Sync.
func (c *conversation) skip() {
	for !c.owed.empty() && c.owed.head().kind != msgSync {
		r := c.owed.pop()
		if c.record != nil {
			c.record.skipped(r.act)
		}
	}
	c.skipping = c.owed.empty()
	switch {
	case c.skipping:
		c.unsynced = true
	case c.record != nil:
		c.record.endFailure()
	}
}

// failCopyIn: a COPY FROM STDIN failed. Whether a Sync sent by then was ignored
// (read while copying) or will be answered (read while skipping) cannot be told
// from outside, unless the client had ended the COPY before it.
func (c *conversation) failCopyIn() {
	c.copyIn = false
	if c.owed.oldest(msgSync, msgCopyDone, msgCopyFail) == msgSync {
		c.doubt = "a COPY failed with a Sync under way"
	}
}

// ready: a ReadyForQuery with its transaction status.
func (c *conversation) ready(body []byte) {
	if len(body) != 1 {
		c.doubt = "the backend sent a ReadyForQuery without a status"
		return
	}
	c.status = body[0]
	c.copyBoth = false
	switch head := c.owed.head(); head.kind {
	case msgQuery, msgFunctionCall, msgSync:
		c.owed.pop()
		if c.record != nil {
			c.record.ready(head.act, c.status)
		}
	default:
		c.doubt = "the backend was ready more often than asked"
	}
	c.dropStrayCopyEnds()
}

// dropStrayCopyEnds forgets CopyDone and CopyFail at the front: the backend
// ignores them when it is not copying.
func (c *conversation) dropStrayCopyEnds() {
	for !c.copyIn && (c.owed.head().kind == msgCopyDone || c.owed.head().kind == msgCopyFail) {
		c.owed.pop()
	}
}

// isFatal looks for severity FATAL or PANIC in field V, which is never translated,
// or in S of servers before 9.6, which have no V.
func isFatal(body []byte) bool {
	severity := errorField(body, 'V')
	if severity == nil {
		severity = errorField(body, 'S')
	}
	return string(severity) == "FATAL" || string(severity) == "PANIC"
}

// errorField gives a field of an ErrorResponse, nil if it has none.
func errorField(body []byte, field byte) []byte {
	for f := range bytes.SplitSeq(body, []byte{0}) {
		if len(f) > 1 && f[0] == field {
			return f[1:]
		}
	}
	return nil
}
