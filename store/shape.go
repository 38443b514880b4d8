// What the file is made of. People see the log through its indexes and views, so a proof of the events
// alone would not be one of what is shown: an index that leaves out a person hides the person.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"gprxy/migrations"
)

// part is a table, index, view or trigger.
type part struct{ kind, table, sql string }

// checkShape compares the parts of the file with those that gprxy makes.
func (s *snapshot) checkShape(ctx context.Context, conn *sql.Conn) error {
	_, version, err := fileVersion(ctx, conn)
	if err != nil {
		return err
	}
	want, err := shapes.of(ctx, version)
	if err != nil {
		return err
	}
	have, err := shape(ctx, conn)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if found, there := have[name]; !there || found != want[name] {
			return &BrokenError{Seq: s.head.seq, What: fmt.Sprintf("the %s %s of the file is not the one that gprxy makes: what is shown may "+
				"not be what is there", want[name].kind, name)}
		}
		delete(have, name)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		return &BrokenError{Seq: s.head.seq, What: fmt.Sprintf("the file has the %s %q, which gprxy does not make: what is shown may not be "+
			"what is there", have[name].kind, name)}
	}
	return nil
}

// checkTrees has SQLite look at how the pages of each table and index hang together. All else here reads tables from one end to the
// other, people are shown what a search finds: an inner page that leads astray, or two rows of one number, would make these two
// records. Entries of an index are not compared with its table, see VerifyIndexes.
func (s *snapshot) checkTrees(ctx context.Context, conn *sql.Conn) error {
	var found string
	if err := conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil || found == "ok" {
		return err
	}
	return &BrokenError{Seq: s.head.seq, What: "SQLite finds the order of the file damaged, so what is shown may not be what is there: " +
		found}
}

// VerifyIndexes compares each index of the file with its table, entry by entry, and checks that SQLite
// finds no damage. It takes several times as long as Verify, and gives a *BrokenError too.
func (r *Reader) VerifyIndexes(ctx context.Context) error {
	var found string
	err := r.db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found)
	if err == nil && found == "ok" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify the indexes of the event log: %w", err)
	}
	last, err := r.lastSeq(ctx)
	return errors.Join(&BrokenError{Seq: last, What: "the indexes do not say what the tables do, so what is shown may not be what is " +
		"there: " + found}, err)
}

// knownShapes remembers what files of a version are made of, which does not change: to find it out a file is made in memory.
type knownShapes struct {
	mu sync.Mutex // guards by
	by map[int]map[string]part
}

var shapes = knownShapes{by: map[int]map[string]part{}}

// of gives the parts, which the caller must not change.
func (k *knownShapes) of(ctx context.Context, version int) (parts map[string]part, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if parts, known := k.by[version]; known {
		return parts, nil
	}
	if parts, err = shapeOf(ctx, version); err == nil {
		k.by[version] = parts
	}
	return parts, err
}

// shapeOf is what a file of that version is made of.
func shapeOf(ctx context.Context, version int) (parts map[string]part, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for v := 1; v <= version; v++ {
		if err := migrateOne(ctx, conn, migrations.Files, v); err != nil {
			return nil, err
		}
	}
	return shape(ctx, conn)
}

// statistics are the tables that ANALYZE makes. They change no answer.
var statistics = map[string]part{
	"sqlite_stat1": {"table", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"},
	"sqlite_stat4": {"table", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"},
}

// shape gives the parts by name, but for statistics. What SQLite makes by itself is among them: under a name that
// begins with sqlite_, which SQL refuses, an edited schema may hold anything. A name that is there twice has a mark.
func shape(ctx context.Context, conn *sql.Conn) (map[string]part, error) {
	rows, err := conn.QueryContext(ctx, `SELECT name, type, tbl_name, ifnull(sql, '') FROM sqlite_schema`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	parts := map[string]part{}
	for rows.Next() {
		var name string
		var p part
		if err := rows.Scan(&name, &p.kind, &p.table, &p.sql); err != nil {
			return nil, err
		}
		if known, there := statistics[name]; there && p == known {
			continue
		}
		if _, twice := parts[name]; twice {
			name += " (again)"
		}
		parts[name] = p
	}
	return parts, rows.Err()
}
