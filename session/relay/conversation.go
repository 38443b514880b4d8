package relay

import (
	"sync"

	"gprxy/pool/wire"
)

// A conversation knows what the backend still owes the client. It follows both
// streams by their message types alone, the way PostgreSQL's main loop works
// through its input (PostgresMain in src/backend/tcop/postgres.c, the same from 13
// to 18 as far as it matters here): in order, one answer for each message of the
// extended protocol, one ReadyForQuery for each Query, Sync and FunctionCall,
// nothing but skipping between an error and the next Sync.
//
// Both directions of the relay call it, each under mu. A request must be noted
// before its bytes go to the backend, or its answer could overtake it.
//
// What cannot be followed for sure is in doubt, and stays so: from then on nothing
// that the backend says is taken for the answer to anything, each text is recorded
// as it is sent, and the backend is closed at the end.
type conversation struct {
	mu sync.Mutex

	owed      requests // sent and not answered, oldest first
	skipping  bool     // after an error: the backend ignores all up to the next Sync
	copyIn    bool     // the backend reads CopyData
	copyBoth  bool     // replication streams: both sides send CopyData until one of them ends
	unsynced  bool     // extended messages were sent and no Sync after them
	batch     bool     // the backend has worked on extended messages since its last ReadyForQuery
	forgotten bool     // the backend has done nothing since an error: no interrupt is pending
	status    byte     // of the last ReadyForQuery
	doubt     string   // why the rest can no longer be trusted; "" while it can
	last      byte     // type of the backend's last message that answers something
	copyIns   int      // how many COPY FROM STDIN there were
	fatal     bool     // the backend announced its end

	stamped   bool // the backend has settings of gprxy's own that RESET ALL drops, see restamp
	unstamped bool // PostgreSQL has said that it did something of the kind, and they were not made again
	resetting bool // a Query that may be of the kind was sent on, and what comes behind it waits

	room     chan struct{} // signalled when there is room for requests again
	awaiting bool          // somebody waits for room

	parameters func(name, value string) // called for each ParameterStatus
	alone      func(text string)        // called for each statement that wants a database for itself, before it is sent on
	record     *statements              // what is recorded of it; nil for nothing
	accounts   *accountWatch            // nil for none

	statements, errors, rows int64
}

// So much may be under way before the client is not read on: each request takes up
// memory, those whose record is still to be made more, and an error looks at all.
// PostgreSQL holds back less than 8 KiB of answers for want of a Sync or Flush, of
// which each has 5 bytes and more, so it answers however long the client is held up.
const (
	tooManyActs     = 2048
	tooManyRequests = 32 * 1024
)

// crowded: too much is under way. In doubt no more is added, and nothing taken off.
func (c *conversation) crowded() bool {
	return (c.owed.acts >= tooManyActs || len(c.owed.waiting()) >= tooManyRequests) && c.doubt == ""
}

// beInDoubt notes why answers can no longer be told apart, the first reason only.
func (c *conversation) beInDoubt(why string) {
	if c.doubt == "" {
		c.doubt = why
	}
}

// idle: nothing is owed, the backend waits for the next command.
func (c *conversation) idle() bool {
	return c.owed.answered() && !c.unsynced && !c.copyIn && c.doubt == ""
}

// resting is idle outside a transaction, or, where exactness is lost, what looks
// like it: good enough to end a session by, never to reuse its backend. Replication
// has no end to wait for: a client that streams goes on from where it was.
func (c *conversation) resting() bool {
	return (c.idle() || c.looksIdle()) && c.status == wire.TxIdle || c.copyBoth
}

// looksIdle: the count is in doubt, and the backend's last word was ReadyForQuery.
func (c *conversation) looksIdle() bool { return c.doubt != "" && c.last == wire.ReadyForQuery }

// clientGoesOn is called before a request is noted. It must not come before it could be told
// whose an error was, see endBatch.
func (c *conversation) clientGoesOn(r request) {
	if c.owed.head().kind == awaitedReady && !r.unanswered() {
		c.beInDoubt("the client went on before it could be told whose an error was")
	}
}

func (c *conversation) request(kind byte, act *action) {
	if kind == wire.Query || kind == wire.FunctionCall || kind == wire.Execute {
		c.statements++
	}
	if c.doubt != "" { // nothing would take the request off again
		if kind == wire.Query || kind == wire.FunctionCall || kind == wire.Sync {
			c.last = 0 // until the backend is ready it looks busy
		}
		return
	}
	switch kind {
	case wire.Query, wire.FunctionCall:
		if c.skipping {
			return // the backend will not even look at it
		}
		c.owed.push(request{kind, act})
		// The simple protocol ends with ReadyForQuery, as Sync does.
		c.unsynced = false
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.Close:
		c.unsynced = true
		if !c.skipping {
			c.owed.push(request{kind, act})
		}
	case wire.Sync:
		if c.copyIn && c.owed.tail().kind == wire.Sync && c.owed.copyEnds == 0 {
			return // ignored like the one before it, or in doubt like it
		}
		c.skipping = false
		c.unsynced = false
		c.owed.push(request{kind, act})
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush:
		c.requestUnanswered(kind)
	default:
		c.beInDoubt("the client sent a message of an unknown type")
	}
}

// undoBatch: gprxy ends a batch that the client left without its Sync, with a message that fails, and a Sync.
func (c *conversation) undoBatch() {
	if !c.skipping {
		c.owed.push(request{kind: ownUndoing})
	}
	c.request(wire.Sync, nil)
}

// requestUnanswered notes a message that has no answer of its own: it belongs to a
// COPY, or is ignored, or flushes. Which of these it will be is known when the
// backend gets there. It is kept because the error of an interrupt may fall on it.
func (c *conversation) requestUnanswered(kind byte) {
	switch {
	case c.skipping:
	case (kind == wire.CopyData || kind == wire.Flush) && (c.owed.tail().kind == kind || c.copyIn && c.owed.copyEnds == 0):
		// One of many tells no more than the first; and what a COPY reads raises no interrupt but as an error of the COPY.
	default:
		c.owed.push(request{kind: kind})
		c.dropUnanswered()
	}
}

// interruptible: the next message that the backend reads, whatever its type, may get
// the error of an interrupt that came before. PostgresMain looks for interrupts after it
// has read a message and before it looks at its type. The statement timeout runs from the
// first message of a batch to its Sync, while the backend waits too; and if it runs out
// while the backend commits, it is noticed with the next message. A conflict with recovery
// on a standby (an ERROR from version 16 on, before that the end of the connection) needs a
// transaction that has not failed. Nothing is left of any of them after an error:
// PostgresMain's error recovery forgets what is pending and stops all timeouts.
func (c *conversation) interruptible() bool { return !c.forgotten || c.status == wire.TxActive }

// dropUnanswered forgets messages without an answer at the front which the backend
// has passed by or will: outside of COPY, where no interrupt can fall on them.
func (c *conversation) dropUnanswered() {
	for !c.copyIn && !c.interruptible() && c.owed.head().unanswered() {
		c.owed.pop()
	}
}
