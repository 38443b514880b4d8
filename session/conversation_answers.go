package session

import "strings"

// What the backend's messages mean for what is owed.

// answersTo says which requests each message of the backend can belong to.
var answersTo = [256]string{
	replyParseComplete:   "P",
	replyBindComplete:    "B",
	replyCloseComplete:   "C",
	replyParameterDesc:   "D",
	replyNoData:          "D",
	replyRowDescription:  "DQ",
	replyDataRow:         "QE",
	replyCommandComplete: "QE",
	replyEmptyQuery:      "QE",
	replySuspended:       "E",
	replyCopyIn:          "QE",
	replyCopyOut:         "QE",
	replyCopyBoth:        "QE",
	msgCopyData:          "QE",
	msgCopyDone:          "QE",
	replyFunctionCall:    "F",
	replyReady:           "QFS" + string(rune(awaitedReady)),
}

// reply notes an answer. body is there for those that a record is made of.
func (c *conversation) reply(kind byte, body []byte) {
	if kind == replyDataRow {
		c.rows++
	}
	switch {
	case kind == replyNotice, kind == replyNotification, kind == replyParameterStatus:
		return // may come at any time
	case !c.reach(kind):
		return
	}
	switch kind {
	case replyParseComplete, replyBindComplete, replyCloseComplete:
		c.answered()
	case replyRowDescription, replyNoData:
		if c.owed.head().kind == msgDescribe {
			c.answered()
		}
	case replyCommandComplete:
		if !c.copyIn || c.endCopyIn() {
			c.executed(kind, body)
		}
	case replyEmptyQuery, replySuspended:
		c.executed(kind, nil)
	case replyCopyIn:
		c.copyIn = true
		c.copyIns++
		c.recordCopying()
	case replyCopyOut:
		c.recordCopying()
	case replyCopyBoth:
		c.copyBoth = true
		c.recordCopying()
	case replyParameterDesc:
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
	c.forgotten = c.forgotten && kind == replyReady
	return c.doubt == ""
}

// isExtended tells whether a message belongs to a batch that a Sync ends.
func isExtended(kind byte) bool {
	switch kind {
	case msgParse, msgBind, msgDescribe, msgExecute, msgClose:
		return true
	}
	return false
}

// isSimple tells whether a message is answered with a ReadyForQuery of its own, and is no
// Sync.
func isSimple(kind byte) bool { return kind == msgQuery || kind == msgFunctionCall }

// answered takes the request that is answered off the front.
func (c *conversation) answered() {
	r := c.owed.pop()
	switch {
	case r.act == nil:
	case r.kind == msgDescribe:
		c.record.recycle(r.act)
	default:
		r.act.confirm()
		c.record.answered(r.act)
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
		if ended = r.kind == msgCopyDone; ended || r.kind != msgSync && !r.unanswered() {
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
	c.unsynced = c.unsynced || copying.kind == msgExecute && !c.owed.has(msgSync, msgQuery, msgFunctionCall)
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
	if !c.reach(replyReady) {
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
