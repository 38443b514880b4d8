// Facts as the bytes that are stored and hashed, and back.

package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxBody bounds one payload, since parts of it come from clients. The largest honest one
// holds the roles of a 64 kB token.
const maxBody = 128 << 10

// maxStatements bounds the statements of one event.
const maxStatements = 64 << 20

// maxSession bounds a session id; ids are also one line of the hashed text.
const maxSession = 64

// encoded is an event as it will stand in the file, without seq and hash.
type encoded struct {
	time    int64 // microseconds since 1970 UTC
	typ     string
	session string
	body    string // "" while statements are not placed
	fact    Fact   // decoded from body, so that the fold sees what a later reader will see

	statements []Statement // whose body the writer makes, since it gives their texts their rows
}

// count is how many seqs the event takes.
func (e *encoded) count() int64 {
	if e.typ == (StatementsExecuted{}).Type() {
		return int64(len(e.statements))
	}
	return 1
}

// size is about how many bytes the event takes in memory.
func (e *encoded) size() int {
	n := len(e.body)
	for i := range e.statements {
		n += e.statements[i].size()
	}
	return n
}

func encodeAll(events []Event, now time.Time) ([]encoded, error) {
	out := make([]encoded, len(events))
	for i, e := range events {
		enc, err := encode(e, now)
		if err != nil {
			return nil, err
		}
		out[i] = enc
	}
	return out, nil
}

func encode(e Event, now time.Time) (encoded, error) {
	if e.Fact == nil {
		return encoded{}, errors.New("record an event: it has no fact")
	}
	typ := e.Fact.Type()
	if len(e.Session) > maxSession || strings.ContainsFunc(e.Session, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return encoded{}, fmt.Errorf("record %s: the session id is not one", typ)
	}
	switch f := e.Fact.(type) {
	case StatementsExecuted:
		return encodeStatements(e.Session, typ, f.Statements)
	case StatementStarted:
		return encodeStatements(e.Session, typ, []Statement{f.Statement})
	}
	body, err := encodeBody(e.Fact)
	if err != nil {
		return encoded{}, fmt.Errorf("record %s: %w", typ, err)
	}
	if len(body) > maxBody {
		return encoded{}, fmt.Errorf("record %s: its %d bytes are more than the %d an event may have", typ, len(body), maxBody)
	}
	fact, err := decode(typ, body)
	if err != nil {
		return encoded{}, err
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	return encoded{time: e.Time.UnixMicro(), typ: typ, session: e.Session, body: string(body), fact: fact}, nil
}

// encodeStatements leaves the body to the writer. What limits texts and values is the session; here
// is only what SQLite and memory can bear.
func encodeStatements(session, typ string, statements []Statement) (encoded, error) {
	if len(statements) == 0 || session == "" {
		return encoded{}, fmt.Errorf("record %s: it has no statement, or no session", typ)
	}
	e := encoded{time: statements[0].end().UnixMicro(), typ: typ, session: session, statements: statements}
	if n := e.size(); n > maxStatements {
		return encoded{}, fmt.Errorf("record %s: its %d bytes are more than the %d an event may have", typ, n, maxStatements)
	}
	return e, nil
}

// encodeBody writes the fact's JSON: control characters escaped, invalid UTF-8 replaced,
// and <, > and & left as people wrote them.
func encodeBody(f Fact) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func fromMicro(us int64) time.Time { return time.UnixMicro(us).UTC() }
