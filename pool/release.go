// Release: a backend goes back only when PostgreSQL itself has said that nothing of the session is left.
package pool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Release gives the backend back for the next session. The caller vouches that the connection is at a frame boundary,
// that PostgreSQL owes no answer, that nobody reads or writes it any more and that it has no deadline; inTransaction
// is the last ReadyForQuery's status not being idle.
//
// Release waits until no cancel is in flight, rolls back, and runs DISCARD ALL; all of it within ctx and a few seconds.
// If anything is odd the backend is closed instead and the error says why: the caller has nothing left to do either
// way. Release after Discard, or twice, does nothing and returns nil.
//
// A walsender need not be at rest: it is told to end, and cancelled if it does not.
func (l *Lease) Release(ctx context.Context, inTransaction bool) error {
	if !l.begin() {
		return nil
	}
	defer l.free()
	ctx, cancel := context.WithTimeout(ctx, resetLimit)
	defer cancel()
	if l.Replicates() || l.backend.tag.single {
		return l.dismiss(ctx)
	}
	if err := l.reset(ctx, inTransaction); err != nil {
		l.drop()
		return fmt.Errorf("the backend was closed instead of reused: %w", err)
	}
	if l.backend.tag.single {
		return l.dismiss(ctx) // the session has made the trigger
	}
	l.backend.person = l.person
	l.backend.served = true
	l.conn.Release()
	return nil
}

// dismiss ends a backend that nobody else can use.
func (l *Lease) dismiss(ctx context.Context) error {
	l.conn.Hijack()
	if goodbye(l.backend.wire, l.backend.socket) {
		return nil
	}
	return l.sendCancel(ctx)
}

func (l *Lease) reset(ctx context.Context, inTransaction bool) error {
	if err := l.awaitCancels(ctx); err != nil {
		return err
	}
	b := l.backend
	if deadline, ok := ctx.Deadline(); ok {
		if err := b.wire.SetDeadline(deadline); err != nil {
			return fmt.Errorf("limiting the reset: %w", err)
		}
	}
	l.mu.Lock()
	b.tap.parameters = slices.Clone(l.parameters) // what PostgreSQL last told the session; the reset reports what it changes
	l.mu.Unlock()
	now, err := b.clean(ctx, l.pg, inTransaction)
	if err != nil {
		return err
	}
	if now.user != b.tag.user {
		return errors.New("current_user is another one after the reset")
	}
	// Once something could have survived, it may be there for as long as the backend.
	b.tag.personal = b.tag.personal || now.personal
	b.tag.single = now.single
	if err := b.wire.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("ending the reset: %w", err)
	}
	return nil
}

// step is one simple query of the reset and the command tag PostgreSQL must answer it with.
type step struct{ sql, answer string }

// clean runs the reset in one round trip: separate messages, because DISCARD ALL is refused inside a transaction and in
// a string of several statements. The tag is asked for again, since the session may have installed an extension.
func (b *backend) clean(ctx context.Context, pg *pgconn.PgConn, inTransaction bool) (tag, error) {
	seed, err := randomSeed()
	if err != nil {
		return tag{}, err
	}
	steps := []step{{"DISCARD ALL", "DISCARD ALL"}, {tagSQL + seed, "SELECT 1"}}
	if inTransaction {
		steps = append([]step{{"ROLLBACK", "ROLLBACK"}}, steps...)
	}
	for _, s := range steps {
		pg.Frontend().Send(&pgproto3.Query{String: s.sql})
	}
	if err := pg.Frontend().Flush(); err != nil {
		return tag{}, fmt.Errorf("sending the reset: %w", err)
	}
	var row [][]byte
	for _, s := range steps {
		var err error
		if row, err = answer(ctx, pg, s); err != nil {
			return tag{}, err
		}
	}
	if pg.Frontend().ReadBufferLen() != 0 {
		return tag{}, errors.New("PostgreSQL sent more than the answers to the reset")
	}
	if len(row) == 4 {
		row = row[:3] // the fourth is setseed's, which has no value
	}
	return parseTag(row)
}

// randomSeed is one more column for tagSQL: setseed survives DISCARD ALL, and whoever called it could foretell what
// random() gives the next person.
func randomSeed() (column string, err error) {
	const steps = 1 << 52
	n, err := rand.Int(rand.Reader, big.NewInt(steps))
	if err != nil {
		return "", fmt.Errorf("drawing a seed: %w", err)
	}
	return fmt.Sprintf(", pg_catalog.setseed('%.17g'::pg_catalog.float8)", float64(n.Int64())/steps), nil
}

// answer reads the answer to one step and insists on exactly that: an answer that belongs to something else would
// shift all that follow. It returns the row, if there was one.
func answer(ctx context.Context, pg *pgconn.PgConn, s step) (row [][]byte, err error) {
	answered := false
	for {
		m, err := pg.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the answer to the reset: %w", err)
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			if !answered || m.TxStatus != 'I' {
				return nil, fmt.Errorf("the reset ended with transaction status %q", m.TxStatus)
			}
			return row, nil
		case *pgproto3.CommandComplete:
			if answered || string(m.CommandTag) != s.answer {
				return nil, errors.New("an unexpected answer to the reset")
			}
			answered = true
		case *pgproto3.DataRow:
			for _, value := range m.Values {
				row = append(row, append([]byte(nil), value...)) // valid only until the next message
			}
		case *pgproto3.RowDescription, *pgproto3.ParameterStatus, *pgproto3.NoticeResponse, *pgproto3.NotificationResponse:
		case *pgproto3.ErrorResponse:
			return nil, fmt.Errorf("PostgreSQL refused the reset: %w", pgconn.ErrorResponseToPgError(m))
		default:
			return nil, fmt.Errorf("an unexpected %T in the answer to the reset", m)
		}
	}
}
