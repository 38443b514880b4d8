// Proving the log: the chain from the first event to the head, and the projection as its fold.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
)

// Head is the end of a verified chain. Kept elsewhere it shows later that nothing up to it was
// changed, and that the tail was not cut.
type Head struct {
	Seq    int64
	Hash   [32]byte
	Events int64 // how many were verified
}

// progressEvery is how many events lie between two calls of progress.
const progressEvery = 100_000

// Verify reads the whole log in one snapshot and gives its head, or a *BrokenError with the first
// event that is not what was written: changed, removed, inserted or moved. It also compares the
// sessions projection with the fold of the events. A cut tail shows only by comparing the head with
// one kept elsewhere. progress, if not nil, is called now and then and at the end.
func (r *Reader) Verify(ctx context.Context, progress func(done, total int64)) (Head, error) {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Head{}, fmt.Errorf("verify the event log: %w", err)
	}
	defer tx.Rollback() // only read
	h, err := verify(ctx, tx, progress)
	if _, broken := errors.AsType[*BrokenError](err); err != nil && !broken {
		err = fmt.Errorf("verify the event log: %w", err)
	}
	return h, err
}

func verify(ctx context.Context, tx *sql.Tx, progress func(done, total int64)) (Head, error) {
	var total int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&total); err != nil {
		return Head{}, err
	}
	p, err := openProjection(ctx, tx)
	if err != nil {
		return Head{}, err
	}
	defer p.rows.Close()
	rows, err := tx.QueryContext(ctx, `SELECT seq, time, type, session, body, hash, count FROM events ORDER BY seq`)
	if err != nil {
		return Head{}, err
	}
	defer rows.Close()
	var c chain
	for rows.Next() {
		if err := c.next(rows); err != nil {
			return c.Head, err
		}
		if err := p.next(&c.row); err != nil {
			return c.Head, err
		}
		if progress != nil && c.Events/progressEvery > (c.Events-c.row.count)/progressEvery {
			progress(c.Events, total)
		}
	}
	if err := rows.Err(); err != nil {
		return c.Head, err
	}
	if progress != nil {
		progress(c.Events, total)
	}
	return c.Head, p.end()
}

// row is an event as bytes; the driver owns them until the next row.
type row struct {
	seq, time          int64
	typ, session, body sql.RawBytes
	hash               sql.RawBytes
	count              int64
}

// chain follows the events' hashes.
type chain struct {
	Head
	row row
	buf []byte
}

func (c *chain) next(rows *sql.Rows) error {
	e := &c.row
	want := c.Seq + 1
	if err := rows.Scan(&e.seq, &e.time, &e.typ, &e.session, &e.body, &e.hash, &e.count); err != nil {
		return err
	}
	if first := e.seq - e.count + 1; first != want {
		return &BrokenError{Seq: want, What: fmt.Sprintf("this event is missing, the next one is %d", first)}
	}
	var d hash
	d, c.buf = digest(c.buf, e.seq, e.time, e.typ, e.session, e.body)
	h := link(c.Hash, d)
	if string(h[:]) != string(e.hash) {
		return &BrokenError{Seq: want, What: "its content, or its place in the log, is not the one that was written (the hash differs)"}
	}
	c.Seq, c.Hash = e.seq, h
	c.Events += e.count
	return nil
}

// projection compares the rows of sessions with the fold, in constant memory: both come in the order
// of session.connected, so that only open sessions have to be remembered.
type projection struct {
	rows  *sql.Rows
	row   *Session              // the next stored row; nil at the end
	open  map[string]comparison // sessions whose end has not been read
	known func(session string, before int64) (bool, error)
}

type comparison struct{ folded, stored Session }

func openProjection(ctx context.Context, tx *sql.Tx) (*projection, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+sessionColumns+` FROM sessions ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	p := &projection{rows: rows, open: map[string]comparison{}}
	p.known = func(session string, before int64) (known bool, err error) {
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sessions WHERE session = ? AND seq < ?)`, session, before).Scan(&known)
		return known, err
	}
	if err := p.advance(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return p, nil
}

func (p *projection) advance() error {
	p.row = nil
	if !p.rows.Next() {
		return p.rows.Err()
	}
	s, err := scanSession(p.rows.Scan)
	p.row = &s
	return err
}

// next folds one event and compares a session that it ends.
func (p *projection) next(e *row) error {
	if len(e.session) == 0 {
		return nil
	}
	fact, err := decode(string(e.typ), e.body)
	if err != nil {
		return &BrokenError{Seq: e.seq, What: err.Error()}
	}
	if fact == nil {
		return nil
	}
	id := string(e.session)
	c, open := p.open[id]
	if _, begins := fact.(SessionConnected); begins && !open {
		if c, open, err = p.begin(id, e.seq); err != nil {
			return err
		}
	}
	if !open {
		return nil // of a session that is over, or never began
	}
	c.folded = apply(c.folded, e.seq, fromMicro(e.time), fact)
	if !c.folded.over() {
		p.open[id] = c
		return nil
	}
	delete(p.open, id)
	return c.compare()
}

// begin pairs a session.connected with its stored row. A second one of the same session has none.
func (p *projection) begin(id string, seq int64) (c comparison, open bool, err error) {
	if p.row != nil && p.row.seq < seq {
		return c, false, p.stray()
	}
	if p.row == nil || p.row.seq != seq {
		again, err := p.known(id, seq)
		if err != nil || again {
			return c, false, err
		}
		return c, false, &BrokenError{Seq: seq, What: fmt.Sprintf("session %s, which begins here, is missing from the table sessions", id)}
	}
	c = comparison{folded: Session{Session: id}, stored: *p.row}
	return c, true, p.advance()
}

// end compares the sessions that are still open.
func (p *projection) end() error {
	if p.row != nil {
		return p.stray()
	}
	for _, c := range p.open {
		if err := c.compare(); err != nil {
			return err
		}
	}
	return nil
}

// stray tells of a stored row without a session.connected.
func (p *projection) stray() error {
	return &BrokenError{Seq: p.row.seq, What: fmt.Sprintf("the table sessions has session %s, which no event begins", p.row.Session)}
}

func (c comparison) compare() error {
	if reflect.DeepEqual(c.folded, c.stored) {
		return nil
	}
	return &BrokenError{Seq: c.stored.seq, What: fmt.Sprintf("the row of session %s in the table sessions is not what its events say", c.stored.Session)}
}
