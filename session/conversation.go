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

// frameStart notes a request the client sends (frameVisitor of its stream).
type clientFrames struct{ *conversation }

func (c clientFrames) frameStart(kind byte, _ uint32) bool {
	c.request(kind)
	return false
}

func (clientFrames) frameBody(byte, []byte) {}

func (c *conversation) request(kind byte) {
	switch kind {
	case msgQuery, msgFunctionCall:
		c.statements++
		if c.skipping {
			return // the backend will not even look at it
		}
		c.owed.push(kind)
		// The simple protocol ends with ReadyForQuery, as Sync does.
		c.unsynced = false
	case msgParse, msgBind, msgDescribe, msgExecute, msgClose:
		if kind == msgExecute {
			c.statements++
		}
		c.unsynced = true
		if !c.skipping {
			c.owed.push(kind)
		}
	case msgSync:
		if c.copyIn && c.owed.tail() == msgSync && !c.owed.has(msgCopyDone, msgCopyFail) {
			return // ignored like the one before it, or in doubt like it
		}
		c.skipping = false
		c.unsynced = false
		c.owed.push(kind)
	case msgCopyDone, msgCopyFail:
		// Outside COPY IN the backend ignores them; which of the two it will
		// be is known when it gets there.
		if !c.skipping {
			c.owed.push(kind)
			c.dropStrayCopyEnds()
		}
	case msgCopyData, msgFlush:
	default:
		c.doubt = "the client sent a message of an unknown type"
	}
}

// backendFrames is the visitor of the backend's stream.
type backendFrames struct{ *conversation }

func (b backendFrames) frameStart(kind byte, size uint32) bool {
	switch kind {
	case replyNotification, replyNotice, replyParameterStatus: // may come at any time
	default:
		b.last = kind
	}
	switch kind {
	case replyReady, replyParameterStatus:
		if size > maxWantedBody {
			b.doubt = "the backend sent a ParameterStatus too large to note"
		}
		return true
	case replyError:
		if size > maxWantedBody {
			b.failed(nil)
		}
		return size <= maxWantedBody
	default:
		b.reply(kind)
		return false
	}
}

func (b backendFrames) frameBody(kind byte, body []byte) {
	switch kind {
	case replyReady:
		b.ready(body)
	case replyParameterStatus:
		name, rest, _ := bytes.Cut(body, []byte{0})
		value, _, found := bytes.Cut(rest, []byte{0})
		if found && b.parameters != nil {
			b.parameters(string(name), string(value))
		}
	case replyError:
		b.failed(body)
	}
}

func (c *conversation) reply(kind byte) {
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
		if c.owed.head() == msgDescribe {
			c.owed.pop()
		}
	case replyCommandComplete:
		if c.copyIn {
			c.endCopyIn()
		}
		if c.owed.head() == msgExecute {
			c.owed.pop()
		}
	case replyEmptyQuery, replySuspended:
		if c.owed.head() == msgExecute {
			c.owed.pop()
		}
	case replyCopyIn:
		c.copyIn = true
		c.copyIns++
	case replyCopyBoth:
		c.copyBoth = true
	case replyCopyOut, msgCopyData, msgCopyDone, replyNotice, replyNotification,
		replyParameterDesc, replyFunctionCall:
	default:
		c.doubt = "the backend sent a message of an unknown type"
	}
	c.dropStrayCopyEnds()
}

// answered takes the request that kind answers off the front.
func (c *conversation) answered(request byte) {
	if c.owed.head() != request {
		c.doubt = "the backend answered something that was not asked"
		return
	}
	c.owed.pop()
}

// endCopyIn: a COPY FROM STDIN succeeded. The backend has read everything up to
// CopyDone and has ignored each Sync before it.
func (c *conversation) endCopyIn() {
	c.copyIn = false
	first := c.owed.pop() // the Query or Execute that copies
	for !c.owed.empty() {
		if c.owed.pop() == msgCopyDone {
			c.unsynced = c.unsynced || first == msgExecute && !c.owed.has(msgSync, msgQuery, msgFunctionCall)
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
	switch c.owed.head() {
	case msgParse, msgBind, msgDescribe, msgExecute, msgClose:
		for !c.owed.empty() && c.owed.head() != msgSync {
			c.owed.pop()
		}
		c.skipping = c.owed.empty()
		if c.skipping {
			c.unsynced = true
		}
	}
	c.dropStrayCopyEnds()
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
	switch c.owed.head() {
	case msgQuery, msgFunctionCall, msgSync:
		c.owed.pop()
	default:
		c.doubt = "the backend was ready more often than asked"
	}
	c.dropStrayCopyEnds()
}

// dropStrayCopyEnds forgets CopyDone and CopyFail at the front: the backend
// ignores them when it is not copying.
func (c *conversation) dropStrayCopyEnds() {
	for !c.copyIn && (c.owed.head() == msgCopyDone || c.owed.head() == msgCopyFail) {
		c.owed.pop()
	}
}

// isFatal looks for severity FATAL or PANIC in field V, which is never translated,
// or in S of servers before 9.6, which have no V.
func isFatal(body []byte) bool {
	var severity []byte
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 1 && (field[0] == 'V' || field[0] == 'S' && severity == nil) {
			severity = field[1:]
		}
	}
	return string(severity) == "FATAL" || string(severity) == "PANIC"
}
