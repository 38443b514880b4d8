package session

import "bytes"

// requests is a queue of message types: one byte for each request under way. It
// needs no memory while at most a few are, and its growth is bounded by what the
// sockets between here and the backend hold.
type requests struct {
	kinds []byte
	first int
}

// Capacity kept when the queue runs empty.
const requestsKept = 64

func (q *requests) empty() bool { return q.first == len(q.kinds) }

// head is the oldest request, 0 when there is none.
func (q *requests) head() byte {
	if q.empty() {
		return 0
	}
	return q.kinds[q.first]
}

// tail is the newest request, 0 when there is none.
func (q *requests) tail() byte {
	if q.empty() {
		return 0
	}
	return q.kinds[len(q.kinds)-1]
}

func (q *requests) push(kind byte) {
	if q.first > requestsKept && q.first > len(q.kinds)/2 {
		q.kinds = q.kinds[:copy(q.kinds, q.kinds[q.first:])]
		q.first = 0
	}
	q.kinds = append(q.kinds, kind)
}

// pushFront puts back what pop took.
func (q *requests) pushFront(kind byte) {
	if q.first > 0 {
		q.first--
		q.kinds[q.first] = kind
		return
	}
	q.kinds = append([]byte{kind}, q.kinds...)
}

// pop takes the oldest request; 0 when there is none.
func (q *requests) pop() byte {
	if q.empty() {
		return 0
	}
	kind := q.kinds[q.first]
	q.first++
	if q.empty() {
		q.first = 0
		q.kinds = q.kinds[:0]
		if cap(q.kinds) > requestsKept {
			q.kinds = nil
		}
	}
	return kind
}

// has tells whether a request of one of these kinds is under way.
func (q *requests) has(kinds ...byte) bool { return q.oldest(kinds...) != 0 }

// oldest is the oldest request of these kinds, 0 when there is none.
func (q *requests) oldest(kinds ...byte) byte {
	i := bytes.IndexAny(q.kinds[q.first:], string(kinds))
	if i < 0 {
		return 0
	}
	return q.kinds[q.first+i]
}
