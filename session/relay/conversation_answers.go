package relay

import (
	"strings"

	"gprxy/pool/wire"
)

// What the backend's messages mean for what is owed.

// answersTo says which requests each message of the backend can belong to.
var answersTo = [256]string{
	wire.ParseComplete:        "P",
	wire.BindComplete:         "B",
	wire.CloseComplete:        "C",
	wire.ParameterDescription: "D",
	wire.NoData:               "D",
	wire.RowDescription:       "DQ",
	wire.DataRow:              "QE",
	wire.CommandComplete:      "QE",
	wire.EmptyQueryResponse:   "QE",
	wire.PortalSuspended:      "E",
	wire.CopyInResponse:       "QE",
	wire.CopyOutResponse:      "QE",
	wire.CopyBothResponse:     "QE",
	wire.CopyData:             "QE",
	wire.CopyDone:             "QE",
	wire.FunctionCallResponse: "F",
	wire.ReadyForQuery:        "QFS" + string(rune(awaitedReady)),
}

// reply notes an answer. body is there for those that a record is made of.
func (c *conversation) reply(kind byte, body []byte) {
	if kind == wire.DataRow {
		c.rows++
	}
	switch {
	case kind == wire.NoticeResponse, kind == wire.NotificationResponse, kind == wire.ParameterStatus:
		return // may come at any time
	case !c.reach(kind):
		return
	}
	switch kind {
	case wire.ParseComplete, wire.BindComplete, wire.CloseComplete:
		c.answered()
	case wire.RowDescription, wire.NoData:
		if c.owed.head().kind == wire.Describe {
			c.answered()
		}
	case wire.CommandComplete:
		if !c.copyIn || c.endCopyIn() {
			c.executed(kind, body)
		}
	case wire.EmptyQueryResponse, wire.PortalSuspended:
		c.executed(kind, nil)
	case wire.CopyInResponse:
		c.copyIn = true
		c.copyIns++
		c.recordCopying()
	case wire.CopyOutResponse:
		c.recordCopying()
	case wire.CopyBothResponse:
		c.copyBoth = true
		c.recordCopying()
	case wire.ParameterDescription:
		if c.record != nil {
			c.record.described(c.owed.head().act, body)
		}
	}
}

// reach finds the request that an answer belongs to: the oldest that has an answer. The
// backend has passed by those before it without a word. An answer that does not belong to
// it shows that something was not followed.
func (c *conversation) reach(kind byte) (ok bool) {
	if c.doubt != "" {
		return false
	}
	c.dropAhead()
	head := c.owed.head().kind
	switch {
	case answersTo[kind] == "":
		c.beInDoubt("the backend sent a message of an unknown type")
	case head == 0 || strings.IndexByte(answersTo[kind], head) < 0:
		c.beInDoubt("the backend answered something that was not asked")
	}
	c.batch = c.batch || isExtended(head)
	c.forgotten = c.forgotten && kind == wire.ReadyForQuery
	return c.doubt == ""
}

// isExtended tells whether a message belongs to a batch that a Sync ends.
func isExtended(kind byte) bool {
	switch kind {
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.Close, ownUndoing:
		return true
	}
	return false
}

// isSimple tells whether a message is answered with a ReadyForQuery of its own, and is no
// Sync.
func isSimple(kind byte) bool { return kind == wire.Query || kind == wire.FunctionCall }

// answered takes the request that is answered off the front.
func (c *conversation) answered() {
	r := c.owed.pop()
	switch {
	case r.act == nil:
	case r.kind == wire.Describe:
		c.record.recycle(r.act)
	default:
		r.act.confirm()
		c.record.answered(r.act)
	}
}

// executed: a statement is done, one of a Query or the one of an Execute.
func (c *conversation) executed(kind byte, tag []byte) {
	done := c.owed.head()
	if done.kind == wire.Execute {
		c.owed.pop()
	}
	if c.record != nil {
		c.record.executed(done.act, kind, tag)
	}
}

func (c *conversation) recordCopying() {
	if c.record != nil {
		c.record.copying(c.owed.head().act)
	}
}

// endCopyIn: a COPY FROM STDIN succeeded. The backend has read everything up to
// CopyDone and has ignored each Sync and Flush before it. ok is false where that cannot
// be.
func (c *conversation) endCopyIn() (ok bool) {
	read, ended := 1, false
	for _, r := range c.owed.waiting()[1:] {
		read++
		if ended = r.kind == wire.CopyDone; ended || r.kind != wire.Sync && !r.unanswered() {
			break
		}
	}
	if !ended {
		c.beInDoubt("the backend ended a COPY before the client did")
		return false
	}
	c.copyIn = false
	copying := c.owed.pop() // the Query or Execute that copies
	for range read - 1 {
		c.owed.pop()
	}
	c.unsynced = c.unsynced || copying.kind == wire.Execute && !c.owed.has(wire.Sync, wire.Query, wire.FunctionCall)
	c.owed.pushFront(copying)
	return true
}

// ready: a ReadyForQuery with its transaction status.
func (c *conversation) ready(body []byte) {
	if len(body) != 1 {
		c.beInDoubt("the backend sent a ReadyForQuery without a status")
		return
	}
	c.status = body[0]
	c.copyBoth = false
	if !c.reach(wire.ReadyForQuery) {
		return
	}
	c.batch = false
	r := c.owed.pop()
	if c.record != nil {
		c.record.ready(r.act, c.status)
	}
	c.dropUnanswered()
	if c.accounts != nil && c.owed.empty() {
		c.accounts.rest()
	}
}
