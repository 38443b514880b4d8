// Rows as the driver gives them. database/sql takes longer to convert a row than SQLite to read it,
// which matters to who reads millions.

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// rawConn asks queries below database/sql. It lives as long as the call of onRaw that made it.
type rawConn struct {
	driver.QueryerContext
	ctx context.Context // of that call, without its end: the driver would look for it with each row
}

// onRaw lends the connection's own side to do.
func onRaw(ctx context.Context, conn *sql.Conn, do func(rawConn) error) error {
	return conn.Raw(func(c any) error {
		q, ok := c.(driver.QueryerContext)
		if !ok {
			return fmt.Errorf("the driver's %T takes no queries", c)
		}
		return do(rawConn{q, context.WithoutCancel(ctx)})
	})
}

// rawRows is an open query.
type rawRows struct {
	rows driver.Rows
	row  []driver.Value // of the last next; the next one overwrites it
	err  error          // of a column that is not what its table says
}

// query opens a query, which the caller closes. Who reads many rows looks for the end of its context itself.
func (c rawConn) query(query string, args ...driver.Value) (*rawRows, error) {
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := c.QueryContext(c.ctx, query, named)
	if err != nil {
		return nil, err
	}
	return &rawRows{rows: rows, row: make([]driver.Value, len(rows.Columns()))}, nil
}

// next reports whether there is another row.
func (r *rawRows) next() (bool, error) {
	if r.err != nil {
		return false, r.err
	}
	err := r.rows.Next(r.row)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

func (r *rawRows) close() error { return r.rows.Close() }

func (r *rawRows) int(i int) int64   { return column[int64](r, i, false) }
func (r *rawRows) text(i int) string { return column[string](r, i, false) }
func (r *rawRows) blob(i int) []byte { return column[[]byte](r, i, false) }

// textOrNull and blobOrNull are of columns that may hold nothing.
func (r *rawRows) textOrNull(i int) string { return column[string](r, i, true) }
func (r *rawRows) blobOrNull(i int) []byte { return column[[]byte](r, i, true) }

// columnError says that a column holds what its table does not allow: the file was not written through SQLite's tables.
type columnError struct {
	name string
	got  any
	want any
}

func (e *columnError) Error() string {
	return fmt.Sprintf("its column %s holds %T instead of %T", e.name, e.got, e.want)
}

func column[T any](r *rawRows, i int, null bool) T {
	v, ok := r.row[i].(T)
	if !ok && (r.row[i] != nil || !null) && r.err == nil {
		r.err = &columnError{r.rows.Columns()[i], r.row[i], v}
	}
	return v
}
