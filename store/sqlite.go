// Opening the SQLite file: the settings that durability rests on, and the check that it is ours.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"gprxy/migrations"
)

// applicationID marks the file as ours ("gpxy"); migrations/0001 sets it.
const applicationID = 0x67707879

// busyTimeout is how long a transaction waits for another process's.
const busyTimeout = 5 * time.Second

// dataSource names the file for the driver. Its path goes in as a URI so that no character
// in it can be read as a parameter.
func dataSource(path, mode string, pragmas ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the event log's path: %w", err)
	}
	q := url.Values{
		"mode":          {mode},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_pragma":       append([]string{"trusted_schema(off)"}, pragmas...),
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	return u.String(), nil
}

// openConn opens one connection to the file; closing both is the caller's.
func openConn(ctx context.Context, path, mode string, pragmas ...string) (*sql.DB, *sql.Conn, error) {
	name, err := dataSource(path, mode, pragmas...)
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, nil, fmt.Errorf("open the event log: %w", err)
	}
	conn, err := db.Conn(ctx)
	if sqliteCode(err) == sqlite3.SQLITE_NOTADB {
		err = &SchemaError{Path: path}
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the event log %s: %w", path, err), db.Close())
	}
	return db, conn, nil
}

// checkSchema refuses a file that is not an event log of a version from oldest on.
func checkSchema(ctx context.Context, conn *sql.Conn, path string, oldest int) error {
	known, err := newestVersion(migrations.Files)
	if err != nil {
		return err
	}
	id, have, err := fileVersion(ctx, conn)
	if sqliteCode(err) == sqlite3.SQLITE_NOTADB {
		return &SchemaError{Path: path, Known: known}
	}
	if err != nil {
		return err
	}
	if id != applicationID {
		have = 0
	}
	if have < oldest || have > known {
		return &SchemaError{Path: path, Have: have, Known: known}
	}
	return nil
}

func fileVersion(ctx context.Context, conn *sql.Conn) (id, version int, err error) {
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, 0, fmt.Errorf("read the event log's header: %w", err)
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, 0, fmt.Errorf("read the event log's version: %w", err)
	}
	return id, version, nil
}

// mustExist turns a missing file into a NotFoundError.
func mustExist(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &NotFoundError{Path: path}
	case err != nil:
		return fmt.Errorf("look for the event log: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory: EVENT_LOG names the file in it, such as %s", path, filepath.Join(path, "events.db"))
	}
	return nil
}

// inTx runs do in a transaction that holds the write lock from its start, so that what do reads
// is still true when it writes.
func inTx(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	err := do()
	if err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// SQLite may have rolled back by itself; and err is the news, not this.
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}
