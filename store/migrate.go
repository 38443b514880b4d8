// Bringing a file up to the newest version.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"gprxy/migrations"
)

// migrate applies the files that conn's database has not seen, each in its own transaction.
// It refuses a file that a newer program made, and a database that is not an event log.
func migrate(ctx context.Context, conn *sql.Conn, path string, files fs.FS) error {
	known, err := newestVersion(files)
	if err != nil {
		return err
	}
	for {
		id, have, err := fileVersion(ctx, conn)
		if err != nil {
			return err
		}
		fresh, err := empty(ctx, conn)
		if err != nil {
			return err
		}
		switch {
		case id != applicationID && !fresh:
			return &SchemaError{Path: path, Known: known}
		case have > known:
			return &SchemaError{Path: path, Have: have, Known: known}
		case have == known:
			return nil
		}
		if err := migrateOne(ctx, conn, files, have+1); err != nil {
			return err
		}
	}
}

func migrateOne(ctx context.Context, conn *sql.Conn, files fs.FS, version int) error {
	names, err := fs.Glob(files, fmt.Sprintf("%04d_*.sql", version))
	if err != nil || len(names) != 1 {
		return fmt.Errorf("find migration %d: %d files, %v", version, len(names), err)
	}
	script, err := fs.ReadFile(files, names[0])
	if err != nil {
		return fmt.Errorf("read migration %s: %w", names[0], err)
	}
	err = inTx(ctx, conn, func() error {
		if _, have, err := fileVersion(ctx, conn); err != nil || have != version-1 {
			return err // another process was faster
		}
		if _, err := conn.ExecContext(ctx, string(script)); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(version))
		return err
	})
	if err != nil {
		return fmt.Errorf("apply migration %s to the event log: %w", names[0], err)
	}
	return nil
}

// newestVersion is the number of the last file.
func newestVersion(files fs.FS) (int, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("list migrations: %d files, %v", len(names), err)
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	return strconv.Atoi(number)
}

// empty reports whether the database has no table yet.
func empty(ctx context.Context, conn *sql.Conn) (bool, error) {
	var tables int
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
	if err != nil {
		return false, fmt.Errorf("read the event log's schema: %w", err)
	}
	return tables == 0, nil
}

// currentVersion is the version of the files this program writes.
func currentVersion() (int, error) { return newestVersion(migrations.Files) }
