// Restamp: the settings of a lease once more, in the middle of its session.
package pool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A Restamp makes the settings of a lease again, after the session's own RESET ALL or DISCARD ALL has dropped them. Whoever
// holds the connection does the writing and reading: it writes Bytes while the backend is at rest outside a transaction, and
// gives what PostgreSQL says from then on to Take, until that is over.
//
// It leaves no trace but the settings. The extended protocol is used, with statements under names that nobody can know, since a
// simple Query would drop the session's unnamed statement; the unnamed portal of the session's has ended with its last
// transaction. The transaction is one of its own, at an isolation level that never waits (see question), and without the
// session's time limit for statements.
//
// As with question, a value that nobody could foresee shows that an answer is one to this and not to something that the
// session had queued. An answer of any other shape is an error, after which the backend must be closed.
type Restamp struct {
	bytes   []byte
	answers []answer // still to come
	status  byte     // the transaction's, once it is over
	refused error    // PostgreSQL's error
	pending []byte   // of a message that has not come whole
	asides  int
	seen    int
}

// answer is a message that PostgreSQL must send. body is compared if it is not nil.
type answer struct {
	kind byte
	body []byte
}

// Restamp prepares the next attempt; before is the one that PostgreSQL refused, or nil. It returns nil if the lease has no
// settings.
func (l *Lease) Restamp(before *Restamp) *Restamp {
	if len(l.settings) == 0 {
		return nil
	}
	r := &Restamp{}
	if before != nil && before.status != 'I' {
		r.run("ROLLBACK", "ROLLBACK", nil)
	}
	value := unforeseeable()
	columns := settingColumns(l.settings, l.backend.observer.parameter("server_encoding"))
	row := [][]byte{[]byte(value)}
	for range columns {
		row = append(row, []byte("f")) // set_config returned something
	}
	r.run("BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN", nil)
	r.run("SET LOCAL statement_timeout TO 0", "SET", nil)
	r.run("SELECT '"+value+"'::pg_catalog.text, "+strings.Join(columns, ", "), "SELECT 1", row)
	r.run("COMMIT", "COMMIT", nil)
	r.send('S')
	r.answers = append(r.answers, answer{'Z', []byte{'I'}})
	return r
}

// run adds a statement, with the tag and the row that it must be answered with.
func (r *Restamp) run(sql, tag string, row [][]byte) {
	name := "gprxy_" + unforeseeable()
	r.send('P', name+"\x00", sql+"\x00", "\x00\x00")
	r.send('B', "\x00", name+"\x00", "\x00\x00\x00\x00\x00\x00")
	r.send('E', "\x00", "\x00\x00\x00\x00")
	r.send('C', "S", name+"\x00")
	r.answers = append(r.answers, answer{'1', []byte{}}, answer{'2', []byte{}})
	if row != nil {
		r.answers = append(r.answers, answer{'D', dataRow(row)})
	}
	r.answers = append(r.answers, answer{'C', []byte(tag + "\x00")}, answer{'3', []byte{}})
}

func (r *Restamp) send(kind byte, parts ...string) {
	body := strings.Join(parts, "")
	r.bytes = append(r.bytes, kind)
	r.bytes = binary.BigEndian.AppendUint32(r.bytes, uint32(len(body)+4))
	r.bytes = append(r.bytes, body...)
}

// dataRow is the body of a DataRow with these values as text.
func dataRow(values [][]byte) (body []byte) {
	body = binary.BigEndian.AppendUint16(body, uint16(len(values)))
	for _, v := range values {
		body = binary.BigEndian.AppendUint32(body, uint32(len(v)))
		body = append(body, v...)
	}
	return body
}

// Bytes is what to send.
func (r *Restamp) Bytes() []byte { return r.bytes }

// Refused is PostgreSQL's error, once all is over, and nil if the settings are made. Nothing of the attempt is left then but,
// perhaps, a failed transaction, which the next attempt ends. A cancel request that came late can be the reason.
func (r *Restamp) Refused() error { return r.refused }

// Take reads what PostgreSQL says. client is what of it is the session's: whole messages that may come at any time, and once it
// is over all that follows. The error says that PostgreSQL said something else than it must.
func (r *Restamp) Take(chunk []byte) (client []byte, over bool, err error) {
	if r.seen += len(chunk); r.seen > maxAnswerBytes {
		return nil, false, errors.New("PostgreSQL sent too many bytes with the answers")
	}
	r.pending = append(r.pending, chunk...)
	for len(r.pending) >= 5 {
		size := uint64(binary.BigEndian.Uint32(r.pending[1:])) + 1
		if size < 5 || size > maxMessage {
			return nil, false, errors.New("PostgreSQL sent a message of impossible length")
		}
		if uint64(len(r.pending)) < size {
			break
		}
		message := r.pending[:size]
		r.pending = r.pending[size:]
		theirs, over, err := r.message(message[0], message[5:])
		if err != nil {
			return nil, false, err
		}
		if theirs {
			client = append(client, message...)
		}
		if over {
			return append(client, r.pending...), true, nil
		}
	}
	return client, false, nil
}

// message takes one message. theirs says that it is for the session.
func (r *Restamp) message(kind byte, body []byte) (theirs, over bool, err error) {
	switch kind {
	case 'N', 'A', 'S':
		if r.asides++; r.asides > maxAsides {
			return false, false, errors.New("PostgreSQL sent too many notices or notifications with the answers")
		}
		return true, false, nil
	case 'E':
		return r.fail(body)
	}
	switch {
	case kind == 'Z' && r.refused != nil && len(body) == 1:
		r.status = body[0]
		return false, true, nil
	case r.refused != nil || len(r.answers) == 0:
		return false, false, fmt.Errorf("PostgreSQL sent an unexpected %q", kind)
	}
	want := r.answers[0]
	r.answers = r.answers[1:]
	if kind != want.kind || !bytes.Equal(body, want.body) {
		return false, false, fmt.Errorf("PostgreSQL answered with another %q than it must", kind)
	}
	return false, kind == 'Z', nil
}

// fail takes an ErrorResponse. The end of the backend is told to the session; of another error it hears nothing.
func (r *Restamp) fail(body []byte) (theirs, over bool, err error) {
	severity, code := "", ""
	for field := range bytes.SplitSeq(body, []byte{0}) {
		switch {
		case len(field) == 0:
		case field[0] == 'V':
			severity = string(field[1:])
		case field[0] == 'C':
			code = string(field[1:])
		}
	}
	if severity != "ERROR" {
		return true, false, nil
	}
	if r.refused != nil {
		return false, false, errors.New("PostgreSQL sent a second error")
	}
	r.refused = fmt.Errorf("PostgreSQL refused with SQLSTATE %s", code)
	return false, false, nil
}
