package relay

import (
	"bytes"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// What an error means for what is owed: whose it is, and what the backend skips.

// failed: an ErrorResponse. The backend may still have to roll back, which can take long,
// and what the client sends meanwhile is worked through after it.
func (c *conversation) failed(body []byte) {
	if c.owed.head().kind != ownUndoing {
		c.errors++
	}
	fatal := isFatal(body)
	c.fatal = c.fatal || fatal
	c.forgotten = true
	if c.accounts != nil {
		c.accounts.refused = true
	}
	switch {
	case c.doubt != "":
		return
	case c.owed.head().unanswered() && fatal:
		return // the end of all, and nobody's
	case fatal:
	case c.copyIn:
		if !c.failCopyIn(body) {
			return
		}
	case c.owed.empty() || c.owed.head().unanswered() || c.batch && isSimple(c.owed.head().kind):
		c.interrupted(body)
		return
	}
	c.headFailed(body)
}

// headFailed: the error is that of the oldest request. In the extended protocol everything
// up to the next Sync falls away.
func (c *conversation) headFailed(body []byte) {
	head := c.owed.head()
	if c.record != nil {
		c.record.failed(head, body)
	}
	if isExtended(head.kind) {
		c.skip()
	}
}

// interrupted: an error came that need not be that of the oldest request with an answer.
// The backend found an interrupt
//   - when it had read one of the messages without an answer, or what follows them
//     (see interruptible), or
//   - after it had answered the message before: what it logs of a statement then, its
//     duration say, lets interrupts in (errfinish in src/backend/utils/error/elog.c).
//
// The message's type decides what comes then (PostgresMain's error recovery): after
// CopyData, CopyDone, CopyFail and those of the simple protocol ReadyForQuery, and the
// next message is worked on; after Flush, as after all of the extended protocol, skipping
// to the next Sync. Where these differ, and both are possible, it cannot be told from
// outside which it was.
func (c *conversation) interrupted(body []byte) {
	flush, copying, next := c.unansweredAhead()
	interrupt := isInterrupt(body)
	switch {
	case next == 0 && !interrupt, c.owed.empty() && !c.batch:
		c.failInDoubt("the backend reported an error that nothing had asked for", body)
	case !interrupt:
		c.dropAhead()
		c.headFailed(body)
	case isSimple(next), copying && (flush || next != 0):
		c.failInDoubt("an error came that may be that of one of several messages", body)
	default:
		c.dropAhead()
		c.endBatch(body, copying, next)
	}
}

// failInDoubt: an error shows that answers can no longer be told apart.
func (c *conversation) failInDoubt(why string, body []byte) {
	c.beInDoubt(why)
	if c.record != nil {
		c.record.failedInDoubt(body)
	}
}

// isInterrupt tells whether an error may be that of an interrupt. Those have one of few
// SQLSTATEs (ProcessInterrupts in src/backend/tcop/postgres.c): that of a cancel or the
// statement timeout, of the lock timeout, and of a conflict with recovery. Statements can
// have these too.
func isInterrupt(body []byte) bool {
	return isInterruptState(string(errorField(body, 'C')))
}

func isInterruptState(sqlstate string) bool {
	switch sqlstate {
	case refusal.CodeQueryCanceled, "55P03", "40001", "40P01":
		return true
	}
	return false
}

func (c *conversation) dropAhead() {
	for c.owed.head().unanswered() {
		c.owed.pop()
	}
}

// endBatch: the error was that of CopyData and the like, if copying, else that of a Flush or
// of the next request, if there is one, which makes no difference to what follows.
func (c *conversation) endBatch(body []byte, copying bool, next byte) {
	switch {
	case copying:
		// Unless it was that of the message before. ReadyForQuery will tell, if the client
		// does not go on before it comes.
		c.batch, c.unsynced = false, false
		c.owed.push(request{kind: awaitedReady})
		if c.record != nil {
			c.record.interrupted(body)
		}
	case next == 0:
		if c.record != nil {
			c.record.flushFailed(body)
		}
		c.skip()
	default:
		c.headFailed(body)
	}
}

// unansweredAhead tells what stands before the oldest request with an answer, and that
// request's type, 0 if there is none.
func (c *conversation) unansweredAhead() (flush, copying bool, next byte) {
	for _, r := range c.owed.waiting() {
		switch {
		case r.kind == wire.Flush:
			flush = true
		case r.unanswered():
			copying = true
		default:
			return flush, copying, r.kind
		}
	}
	return flush, copying, 0
}

// skip: the backend ignores all up to the next Sync.
func (c *conversation) skip() {
	c.batch = false
	for !c.owed.empty() && c.owed.head().kind != wire.Sync {
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

// failCopyIn: a COPY FROM STDIN failed. What the client had sent by then was read by the
// COPY up to an unknown place: its data, what ended it, or one message that does not belong
// there, which fails it and is lost (CopyGetData in copyfromparse.c, in copy.c before
// version 14). That place makes no difference where only data and an end were sent. It
// does for a Sync, which is ignored or answered; and for anything else in the simple
// protocol, which is lost or worked on. ok is false where it cannot be told.
func (c *conversation) failCopyIn(body []byte) (ok bool) {
	c.copyIn = false
	copying := c.owed.head().kind
	for _, r := range c.owed.waiting()[1:] {
		switch {
		case r.kind == wire.CopyDone, r.kind == wire.CopyFail:
			return true
		case r.unanswered():
		case r.kind == wire.Sync:
			c.failInDoubt("a COPY failed with a Sync under way", body)
			return false
		case copying == wire.Execute:
			return true // skipped or lost, it is not run
		default:
			c.failInDoubt("a COPY failed with something under way that is no data", body)
			return false
		}
	}
	return true
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
