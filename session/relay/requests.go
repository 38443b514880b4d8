package relay

import (
	"slices"

	"gprxy/pool/wire"
)

// request is one message of the client that the backend is to work on.
type request struct {
	kind byte    // of the message, or one of those below
	act  *action // what is to be recorded of it; nil where nothing is
}

const (
	// awaitedReady stands for a message whose error has come and whose ReadyForQuery has not.
	awaitedReady = 'z'
	// ownUndoing stands for gprxy's own Bind that fails, so that a batch is undone.
	ownUndoing = 'u'
)

// unanswered tells whether the message has no answer of its own. It can get an error all
// the same, see conversation.interrupted.
func (r request) unanswered() bool {
	switch r.kind {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush:
		return true
	}
	return false
}

// requests is a queue of what is under way. It needs no memory while at most a few
// are, and its growth is bounded by tooManyActs and tooManyRequests.
type requests struct {
	all   []request
	first int

	acts     int // of them: those with an action
	quiet    int // those without an answer
	copyEnds int // those of them that end a COPY
}

// Capacity kept when the queue runs empty.
const requestsKept = 16

func (q *requests) empty() bool { return q.first == len(q.all) }

// waiting is what is under way, oldest first. It is valid until the next change.
func (q *requests) waiting() []request { return q.all[q.first:] }

// head is the oldest request; its kind is 0 when there is none.
func (q *requests) head() request {
	if q.empty() {
		return request{}
	}
	return q.all[q.first]
}

// tail is the newest request; its kind is 0 when there is none.
func (q *requests) tail() request {
	if q.empty() {
		return request{}
	}
	return q.all[len(q.all)-1]
}

func (q *requests) push(r request) {
	if q.first > requestsKept && q.first > len(q.all)/2 {
		left := copy(q.all, q.all[q.first:])
		clear(q.all[left:])
		q.all = q.all[:left]
		q.first = 0
	}
	q.all = append(q.all, r)
	q.count(r, 1)
}

func (q *requests) count(r request, n int) {
	if r.act != nil {
		q.acts += n
	}
	if r.unanswered() {
		q.quiet += n
	}
	if r.kind == wire.CopyDone || r.kind == wire.CopyFail {
		q.copyEnds += n
	}
}

// answered tells whether nothing is under way that has an answer.
func (q *requests) answered() bool { return len(q.waiting()) == q.quiet }

// pushFront puts back what pop took.
func (q *requests) pushFront(r request) {
	q.count(r, 1)
	if q.first > 0 {
		q.first--
		q.all[q.first] = r
		return
	}
	q.all = append([]request{r}, q.all...)
}

// pop takes the oldest request; its kind is 0 when there is none.
func (q *requests) pop() request {
	if q.empty() {
		return request{}
	}
	r := q.all[q.first]
	q.all[q.first] = request{}
	q.first++
	q.count(r, -1)
	if q.empty() {
		q.first = 0
		q.all = q.all[:0]
		if cap(q.all) > requestsKept {
			q.all = nil
		}
	}
	return r
}

// flushed tells whether there is a Flush behind something of the extended protocol.
func (q *requests) flushed() bool {
	extended := false
	for _, r := range q.waiting() {
		if extended && r.kind == wire.Flush {
			return true
		}
		extended = extended || isExtended(r.kind)
	}
	return false
}

// has tells whether a request of one of these kinds is under way.
func (q *requests) has(kinds ...byte) bool {
	return slices.ContainsFunc(q.waiting(), func(r request) bool { return slices.Contains(kinds, r.kind) })
}
