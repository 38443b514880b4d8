// What the tests share: a log in a temporary folder, and the events of a login.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// t0 is when the sessions of the tests begin.
var t0 = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

func TestMain(m *testing.M) {
	if path := os.Getenv("GPRXY_STORE_CRASH"); path != "" {
		os.Exit(appendUntilKilled(path))
	}
	if path := os.Getenv("GPRXY_STORE_PRUNE"); path != "" {
		os.Exit(pruneUntilKilled(path))
	}
	os.Exit(m.Run())
}

func logPath(t testing.TB) string {
	return filepath.Join(t.TempDir(), "events.db")
}

func open(t testing.TB, path string, o Options) *DB {
	t.Helper()
	if o.retryEvery == 0 {
		o.retryEvery = 10 * time.Millisecond
	}
	d, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := d.Close(ctx); err != nil && !t.Failed() {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func mustAppend(t testing.TB, d *DB, events ...Event) {
	t.Helper()
	if err := d.Append(t.Context(), events...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func reader(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// all drains an iterator of the reader.
func all[T any](t testing.TB, seq func(func(T, error) bool)) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func verified(t testing.TB, path string) Head {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h, err := r.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// raw is the file as somebody with plain SQLite sees it.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// forge lets somebody loose on the file who takes the triggers out of the way, and puts them back.
func forge(t testing.TB, path string, change func(db *sql.DB)) {
	t.Helper()
	db := raw(t, path)
	triggers, err := collect(t.Context(), db, scanString, `SELECT name || '#' || sql FROM sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	for _, trigger := range triggers {
		name, _, _ := strings.Cut(trigger, "#")
		alter(t, db, "DROP TRIGGER "+name)
	}
	change(db)
	for _, trigger := range triggers {
		_, made, _ := strings.Cut(trigger, "#")
		alter(t, db, made)
	}
}

func alter(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// login are the events of a session up to the one that a backend serves.
func login(id, user, account string, at time.Time) []Event {
	return []Event{
		{at, id, SessionConnected{Client: "10.0.0.7:50412", RequestedUser: user, Database: "shop", ApplicationName: "psql", TLS: "TLSv1.3",
			Protocol: "3.0"}},
		{at.Add(time.Millisecond), id, AuthSucceeded{Method: "token", User: user, Issuer: "https://login.example/", Subject: "u|" + user,
			Roles: []string{"reader", "dev"}, TokenID: "t1"}},
		{at.Add(2 * time.Millisecond), id, RoleMapped{Role: "reader", ServiceAccount: account, Rule: "ROLE_MAPPING_READER"}},
		{at.Add(3 * time.Millisecond), id, SessionStarted{ServiceAccount: account, BackendPID: 4711, Backend: "127.0.0.1:5432", WaitMS: 1.5,
			Reused: true}},
	}
}

func end(id string, at time.Time) Event {
	return Event{at, id, SessionEnded{Reason: "client_left", DurationMS: 1000, Statements: 3, Errors: 1, Rows: 42, BytesIn: 100,
		BytesOut: 2000}}
}

func sessionID(n int) string { return fmt.Sprintf("%016d", n) }

func ids(sessions []Session) (out []string) {
	for _, s := range sessions {
		out = append(out, s.Session)
	}
	return out
}

func wantEqual[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got  %v\n want %v", what, got, want)
	}
}

// assertSameRow checks that the one row of a view has the names and values of v's JSON.
func assertSameRow(t testing.TB, db *sql.DB, query string, arg, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), query, arg)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		t.Fatalf("%s %v: no row (%v)", query, arg, err)
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if got := viewValue(name, values[i]); !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%v %s: the view has %v, JSON %v", arg, name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("%v: not in the view: %v", arg, want)
	}
}

// viewValue gives a column as JSON would.
func viewValue(name string, v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case string:
		var parsed any
		if (name == "detail" || name == "roles") && json.Unmarshal([]byte(v), &parsed) == nil {
			return parsed
		}
	}
	return v
}

func scanString(scan func(...any) error) (s string, err error) {
	err = scan(&s)
	return s, err
}
