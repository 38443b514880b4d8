// One transaction: number, chain and store a batch of events, and fold them into the projection.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// head is the last link of the chain; the zero value is the head of an empty log.
type head struct {
	seq  int64
	hash hash
}

const (
	selectHead  = `SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1`
	insertEvent = `INSERT INTO events (seq, time, type, session, body, hash, count) VALUES (?,?,?,?,?,?,?)`
)

// appender is one connection that can append. It is not safe for concurrent use; several of
// them, in one process or many, may append to one file.
type appender struct {
	db   *sql.DB
	conn *sql.Conn
	file os.FileInfo // what stood at the path when it was opened

	last, insert, load, save *sql.Stmt
	texts                    *texts
}

// durable are the settings without which a commit could be lost: in WAL mode FULL syncs at each
// commit, and macOS needs F_FULLFSYNC for that to reach the disk.
// https://www.sqlite.org/pragma.html#pragma_synchronous
// What retention gives up must not stay readable in the file, hence secure_delete.
var durable = []string{"synchronous(full)", "fullfsync(on)", "checkpoint_fullfsync(on)", "journal_size_limit(67108864)",
	"secure_delete(on)"}

// openAppender opens an existing file. prepare, if given, runs before the statements are compiled.
func openAppender(ctx context.Context, path string, prepare func(*sql.Conn) error, pragmas ...string) (*appender, error) {
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open the event log: %w", err)
	}
	db, conn, err := openConn(ctx, path, "rw", append(pragmas, durable...)...)
	if err != nil {
		return nil, err
	}
	a := &appender{db: db, conn: conn, file: file, texts: newTexts(conn)}
	if prepare != nil {
		err = prepare(conn)
	}
	if err == nil {
		err = a.compile(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *appender) compile(ctx context.Context) error {
	for _, s := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&a.last, selectHead},
		{&a.insert, insertEvent},
		{&a.load, loadSession},
		{&a.save, saveSession},
	} {
		stmt, err := a.conn.PrepareContext(ctx, s.query)
		if err != nil {
			return fmt.Errorf("prepare to write the event log: %w", err)
		}
		*s.to = stmt
	}
	return nil
}

// close closes the statements too: those of a sql.Conn do not end with it, and one left open keeps
// SQLite from closing the file.
func (a *appender) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{a.last, a.insert, a.load, a.save} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, a.conn.Close(), a.db.Close())...)
}

// inPlace reports whether the open file is still the one at path: writing on to a removed
// file would succeed and be lost.
func (a *appender) inPlace(path string) bool {
	there, err := os.Stat(path)
	return err == nil && os.SameFile(a.file, there)
}

// append stores the events of one batch in one transaction and gives the new head. With an error
// from COMMIT itself the returned head is the one the batch would have had: it may be durable all the same.
func (a *appender) append(ctx context.Context, batch []encoded) (h head, err error) {
	err = inTx(ctx, a.conn, func() error {
		var err error
		h, err = a.write(ctx, batch)
		return err
	})
	if err != nil {
		a.texts.forget()
	}
	return h, err
}

// write does the work of append inside the caller's transaction. The head is read there each
// time, since the CLI appends too (NoteRead).
func (a *appender) write(ctx context.Context, batch []encoded) (head, error) {
	h, err := a.head(ctx)
	if err != nil {
		return head{}, err
	}
	touched := touched{a: a, rows: map[string]Session{}}
	var buf []byte
	for _, e := range batch {
		if e.body, err = a.texts.body(ctx, &e); err != nil {
			return head{}, err
		}
		h.seq += e.count()
		var d hash
		d, buf = digest(buf, h.seq, e.time, e.typ, e.session, e.body)
		h.hash = link(h.hash, d)
		if _, err := a.insert.ExecContext(ctx, h.seq, e.time, e.typ, e.session, e.body, h.hash[:], e.count()); err != nil {
			return head{}, fmt.Errorf("store %s: %w", e.typ, err)
		}
		if err := touched.fold(ctx, h.seq, e); err != nil {
			return head{}, err
		}
	}
	return h, touched.save(ctx)
}

func (a *appender) head(ctx context.Context) (head, error) {
	return scanHead(a.last.QueryRowContext(ctx))
}

func readHead(ctx context.Context, db querier) (head, error) {
	return scanHead(db.QueryRowContext(ctx, selectHead))
}

func scanHead(row *sql.Row) (head, error) {
	var (
		h   head
		sum []byte
	)
	err := row.Scan(&h.seq, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, nil
	}
	if err != nil {
		return head{}, fmt.Errorf("read the head of the event log: %w", err)
	}
	copy(h.hash[:], sum)
	return h, nil
}

// holds reports whether h is in the file.
func (a *appender) holds(ctx context.Context, h head) (bool, error) {
	var n int
	err := a.conn.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE seq = ? AND hash = ?`, h.seq, h.hash[:]).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for an earlier batch in the event log: %w", err)
	}
	return n > 0, nil
}

// touched holds the rows that a batch changes, so that each is read and written once.
type touched struct {
	a     *appender
	rows  map[string]Session
	order []string
}

func (t *touched) fold(ctx context.Context, seq int64, e encoded) error {
	if e.session == "" || e.fact == nil {
		return nil
	}
	s, known := t.rows[e.session]
	if !known {
		var err error
		if s, err = t.read(ctx, e.session); err != nil {
			return err
		}
		t.order = append(t.order, e.session)
	}
	t.rows[e.session] = apply(s, seq, fromMicro(e.time), e.fact)
	return nil
}

func (t *touched) read(ctx context.Context, id string) (Session, error) {
	s, err := scanSession(t.a.load.QueryRowContext(ctx, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{Session: id}, nil
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session %s: %w", id, err)
	}
	return s, nil
}

func (t *touched) save(ctx context.Context) error {
	for _, id := range t.order {
		s := t.rows[id]
		if s.seq == 0 {
			continue // never connected: the events stand, there is no session to show
		}
		if _, err := t.a.save.ExecContext(ctx, sessionValues(s)...); err != nil {
			return fmt.Errorf("store session %s: %w", id, err)
		}
	}
	return nil
}
