// The reading handle: opened beside a running proxy or without one, never changing the file.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// oldestReadable is the first version whose tables the queries understand. Files older than this
// are refused until a proxy has brought them up to date: a reader never changes the file.
const oldestReadable = 4

// Reader answers questions about the log. It is safe for concurrent use. No query keeps a
// snapshot while the caller takes its time, except Verify: an open snapshot would keep the
// proxy's write-ahead log growing.
type Reader struct {
	path string
	db   *sql.DB

	mu    sync.Mutex           // guards texts
	texts cache[int64, []byte] // by id, as JSON strings
}

// OpenReader opens the log at path for reading. The caller closes it.
//
// Errors: *NotFoundError if there is no file, *SchemaError if it is a newer program's, an older
// one's or no log at all.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if err := mustExist(path); err != nil {
		return nil, err
	}
	db, conn, err := openConn(ctx, path, "ro", "query_only(on)")
	if err != nil {
		return nil, err
	}
	err = errors.Join(checkSchema(ctx, conn, path, oldestReadable), conn.Close())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Reader{path: path, db: db, texts: cache[int64, []byte]{limit: readTexts}}, nil
}

// Close ends the reader; no iterator of it may be in use.
func (r *Reader) Close() error { return r.db.Close() }

// conditions collects the parts of a WHERE clause with their arguments.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// addUser asks for a person: under one name the index gives the rows in their order.
func (c *conditions) addUser(column, user, also string) {
	if also == "" || also == user {
		c.add(column+` = ?`, user)
		return
	}
	c.add(column+` IN (?, ?)`, user, also)
}

// where gives the clause, or "" without conditions.
func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// collect runs the query and gives all its rows; for results that are known to be few.
func collect[T any](ctx context.Context, db querier, scan func(func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// NoteRead appends that somebody read the log, from a process that is not the proxy. It needs
// write access to the file and does not make or update it.
func NoteRead(ctx context.Context, path string, read LogRead) error {
	e, err := encode(Event{Fact: read}, time.Now())
	if err != nil {
		return err
	}
	a, err := openOthers(ctx, path)
	if err != nil {
		return fmt.Errorf("note the reading: %w", err)
	}
	if _, err := a.append(ctx, []encoded{e}); err != nil {
		return errors.Join(fmt.Errorf("note the reading: %w", err), a.close())
	}
	return a.close()
}

// openOthers opens the log for a process that is not its proxy: to append, but not to make or update it.
func openOthers(ctx context.Context, path string) (*appender, error) {
	if err := mustExist(path); err != nil {
		return nil, err
	}
	known, err := currentVersion()
	if err != nil {
		return nil, err
	}
	return openAppender(ctx, path, func(c *sql.Conn) error {
		return checkSchema(ctx, c, path, known)
	})
}
