// Questions of the pools' own to a backend, and the exact answers that PostgreSQL must give.
package pool

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A question is one simple Query whose answer proves that PostgreSQL has read everything that a session sent before, and
// that the backend is the pools' again. It must hold against a session that has sent more than gprxy's record of it says:
// messages of any kind and number that are still to be run when the question arrives, made to be answered as a question is.
//
// Why no such queue has these answers:
//
//   - The session's bytes come before the question's, all of them, and PostgreSQL reads one message after the other
//     (src/backend/tcop/postgres.c, PostgresMain). So whatever it says to a message of the session's it says before it
//     has begun with the question, and every question holds a value of 128 random bits that nobody had before it was
//     sent. A complete message of the session's cannot be answered with that value. It could learn it only if the
//     question became a part of it; what it says then is covered by the last point.
//   - Every message is compared, from the first on, but for notices, notifications and parameters, whose number is bounded.
//     A queue's answers come first. They can be like the beginning of the expected ones, a ROLLBACK or SETs, but not go on
//     with the value.
//   - A question that PostgreSQL does not take as a question has no answer, or an error. In COPY FROM STDIN a Query is
//     refused (copyfromparse.c, until 13 copy.c, CopyGetData); after an error in the extended protocol everything is
//     skipped up to a Sync (postgres.c, ignore_till_sync), which no question is.
//   - A message that the session left unfinished takes the beginning of the question for its own end. A string in it ends
//     at the first NUL, within the length of the Query, and what follows is refused (pqformat.c, pq_getmsgend). In a value
//     with a length (Bind, FunctionCall, CopyData) all of the question may disappear, and SQL of the session's may see
//     it, but there is no message behind it any more that could answer: Bind says BindComplete, FunctionCall a result of
//     its own kind (fastpath.c), CopyData nothing.
//
// Once the value was answered, nothing of the session's is left in the stream, and what follows is the pools' alone. Code of
// the session's may still run inside a statement of the pools' (a trigger deferred to the commit of a transaction that was
// left open): it can send notices, or fail, but no rows and no tags. And the next value is another one, which nothing that
// runs before has seen.
//
// The statements name everything with its schema, since search_path may be the session's, and no transaction of theirs takes
// a snapshot at an isolation level of the session's: a serializable one that is deferrable waits for strangers
// (predicate.c, GetSafeSnapshot), as it may by a default of the role or of the startup packet too.
type question []statement

// statement is one statement of a question and the answer to it: a command tag, behind a row if there are columns. The first
// of these must be the value.
type statement struct {
	sql     string
	tag     string
	columns int
	value   string
}

// unforeseeable is a value that nobody can have known before it was sent.
func unforeseeable() string {
	var bits [16]byte
	rand.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}

// selecting is the question for a row: of n columns that are written as in a SELECT. SET TRANSACTION takes no snapshot, and in
// one Query with the SELECT it is of its transaction. Without LOCAL, pg_settings would say to the session that it had set
// transaction_isolation itself.
func selecting(n int, columns string) question {
	value := unforeseeable()
	sql := "SELECT '" + value + "'::pg_catalog.text"
	if n > 0 {
		sql += ", " + columns
	}
	return question{
		{sql: "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED", tag: "SET"},
		{sql: sql, tag: "SELECT 1", columns: 1 + n, value: value},
	}
}

// untimed has questions asked without the session's time limit for statements, which may be a millisecond: as a startup parameter
// or a default of the role it is what a new or clean backend has, and what RESET returns to.
func untimed(questions ...question) []question {
	all := append([]question{{{sql: "SET statement_timeout TO 0", tag: "SET"}}}, questions...)
	return append(all, question{{sql: "RESET statement_timeout", tag: "RESET"}})
}

// What may stand between the answers: a session may listen to channels, and have asked for notices of everything.
const (
	maxAsides      = 1000
	maxAnswerBytes = maxMessage
)

// ask sends all questions at once and returns the row of each that has one, without its value. PostgreSQL must have said
// nothing else; anything else is an error, after which the backend must be closed.
func (b *backend) ask(ctx context.Context, pg *pgconn.PgConn, questions ...question) (rows [][][]byte, err error) {
	for _, q := range questions {
		pg.Frontend().Send(&pgproto3.Query{String: q.text()})
	}
	if err := pg.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("sending a question: %w", err)
	}
	l := &listening{backend: b, pg: pg, until: b.observer.bytes + maxAnswerBytes}
	for _, q := range questions {
		row, err := l.to(ctx, q)
		if err != nil {
			return nil, err
		}
		if row != nil {
			rows = append(rows, row)
		}
	}
	return rows, b.silent(pg)
}

func (q question) text() string {
	texts := make([]string, len(q))
	for i, s := range q {
		texts[i] = s.sql
	}
	return strings.Join(texts, "; ")
}

// listening reads what PostgreSQL says to the questions of one ask.
type listening struct {
	backend *backend
	pg      *pgconn.PgConn
	asides  int
	until   uint64 // how much the observer may have seen
}

// to reads the answer to one question, whose row it returns.
func (l *listening) to(ctx context.Context, q question) (row [][]byte, err error) {
	for _, s := range q {
		if s.columns > 0 {
			if row, err = l.row(ctx, s); err != nil {
				return nil, err
			}
		}
		tag, err := expect[*pgproto3.CommandComplete](ctx, l, s)
		switch {
		case err != nil:
			return nil, err
		case string(tag.CommandTag) != s.tag:
			return nil, fmt.Errorf("PostgreSQL answered %s with another command's tag", s.name())
		}
	}
	last := q[len(q)-1]
	ready, err := expect[*pgproto3.ReadyForQuery](ctx, l, last)
	switch {
	case err != nil:
		return nil, err
	case ready.TxStatus != 'I':
		return nil, fmt.Errorf("%s ended with transaction status %q", last.name(), ready.TxStatus)
	}
	return row, nil
}

// row reads the description of a row and the row.
func (l *listening) row(ctx context.Context, s statement) ([][]byte, error) {
	description, err := expect[*pgproto3.RowDescription](ctx, l, s)
	switch {
	case err != nil:
		return nil, err
	case len(description.Fields) != s.columns:
		return nil, fmt.Errorf("PostgreSQL described %d columns of %s, not %d", len(description.Fields), s.name(), s.columns)
	}
	data, err := expect[*pgproto3.DataRow](ctx, l, s)
	switch {
	case err != nil:
		return nil, err
	case len(data.Values) != s.columns:
		return nil, fmt.Errorf("PostgreSQL gave %d columns of %s, not %d", len(data.Values), s.name(), s.columns)
	case string(data.Values[0]) != s.value:
		return nil, fmt.Errorf("the answer to %s has not the value that was sent", s.name())
	}
	row := make([][]byte, 0, s.columns-1)
	for _, value := range data.Values[1:] {
		row = append(row, append([]byte{}, value...)) // valid only until the next message
	}
	return row, nil
}

// name is the statement's first word, for errors: values stay out of the log.
func (s statement) name() string {
	word, _, _ := strings.Cut(s.sql, " ")
	return word
}

// expect reads the next message but what may come at any time, and insists on its type.
func expect[M pgproto3.BackendMessage](ctx context.Context, l *listening, s statement) (wanted M, err error) {
	for {
		m, err := l.pg.ReceiveMessage(ctx)
		if err != nil {
			return wanted, fmt.Errorf("reading the answer to %s: %w", s.name(), err)
		}
		if l.backend.observer.bytes > l.until {
			return wanted, errors.New("PostgreSQL sent too many bytes with the answers")
		}
		if wanted, ok := m.(M); ok {
			return wanted, nil
		}
		switch m := m.(type) {
		case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse, *pgproto3.NotificationResponse:
			if l.asides++; l.asides > maxAsides {
				return wanted, errors.New("PostgreSQL sent too many notices or notifications with the answers")
			}
		case *pgproto3.ErrorResponse:
			return wanted, fmt.Errorf("PostgreSQL refused %s: %w", s.name(), pgconn.ErrorResponseToPgError(m))
		default:
			return wanted, fmt.Errorf("PostgreSQL sent an unexpected %T in the answer to %s", m, s.name())
		}
	}
}
