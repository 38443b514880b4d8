// Statements of the pools' own on a backend, and the exact answers they must get.
package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// step is one simple query and the command tag PostgreSQL must answer it with.
type step struct{ sql, answer string }

// converse sends all steps at once and returns the row of each, nil where there is none. PostgreSQL must have said
// nothing else.
func converse(ctx context.Context, pg *pgconn.PgConn, steps ...step) (rows [][][]byte, err error) {
	for _, s := range steps {
		pg.Frontend().Send(&pgproto3.Query{String: s.sql})
	}
	if err := pg.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("sending a statement: %w", err)
	}
	for _, s := range steps {
		row, err := answer(ctx, pg, s)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if pg.Frontend().ReadBufferLen() != 0 {
		return nil, errors.New("PostgreSQL sent more than the answers")
	}
	return rows, nil
}

// answer reads the answer to one step and insists on exactly that: an answer that belongs to something else would
// shift all that follow. It returns the row, if there was one.
func answer(ctx context.Context, pg *pgconn.PgConn, s step) (row [][]byte, err error) {
	answered := false
	for {
		m, err := pg.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			if !answered || m.TxStatus != 'I' {
				return nil, fmt.Errorf("%s ended with transaction status %q", s.answer, m.TxStatus)
			}
			return row, nil
		case *pgproto3.CommandComplete:
			if answered || string(m.CommandTag) != s.answer {
				return nil, errors.New("an unexpected answer")
			}
			answered = true
		case *pgproto3.DataRow:
			for _, value := range m.Values {
				row = append(row, append([]byte(nil), value...)) // valid only until the next message
			}
		case *pgproto3.RowDescription, *pgproto3.ParameterStatus, *pgproto3.NoticeResponse, *pgproto3.NotificationResponse:
		case *pgproto3.ErrorResponse:
			return nil, fmt.Errorf("PostgreSQL refused a statement: %w", pgconn.ErrorResponseToPgError(m))
		default:
			return nil, fmt.Errorf("an unexpected %T in the answer", m)
		}
	}
}
