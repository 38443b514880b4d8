// Files of other versions and other programs.

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"gprxy/migrations"
)

func TestFilesThatAreNotOurLogAreRefusedUntouched(t *testing.T) {
	for _, tc := range []struct {
		name, change, want string
	}{
		{"newer version", "PRAGMA user_version = 99", "newer gprxy (version 99"},
		{"another program's", "PRAGMA application_id = 7", "not a gprxy event log"},
	} {
		path := logPath(t)
		d, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		alter(t, raw(t, path), tc.change)
		assertRefused(t, tc.name, path, tc.want)
	}
	garbage := logPath(t)
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	assertRefused(t, "garbage", garbage, "not a gprxy event log")
}

func assertRefused(t *testing.T, name, path, want string) {
	t.Helper()
	_, errOpen := Open(t.Context(), path, Options{})
	_, errRead := OpenReader(t.Context(), path)
	errNote := NoteRead(t.Context(), path, LogRead{})
	for by, err := range map[string]error{"Open": errOpen, "OpenReader": errRead, "NoteRead": errNote} {
		if _, ok := errors.AsType[*SchemaError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, %s: %v", name, by, err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	path := logPath(t)
	_, errRead := OpenReader(t.Context(), path)
	for _, err := range []error{errRead, NoteRead(t.Context(), path, LogRead{})} {
		if _, ok := errors.AsType[*NotFoundError](err); !ok || !strings.Contains(err.Error(), "EVENT_LOG") {
			t.Errorf("missing file: %v", err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("reading made a file")
	}
}

func TestNewerProgramBringsOlderFileUpToDate(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	have, later := withLater(t, "CREATE TABLE later (x) STRICT; CREATE TABLE broken (")
	db := raw(t, path)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migrate(t.Context(), conn, path, later); err == nil {
		t.Fatal("a broken migration was applied")
	}
	if _, v, err := fileVersion(t.Context(), conn); err != nil || v != have {
		t.Fatalf("version %d after a broken migration (%v)", v, err)
	}
	_, later = withLater(t, "CREATE TABLE later (x INTEGER) STRICT;")
	if err := migrate(t.Context(), conn, path, later); err != nil {
		t.Fatal(err)
	}
	if _, v, err := fileVersion(t.Context(), conn); err != nil || v != have+1 {
		t.Fatalf("version %d after the migration (%v)", v, err)
	}
}

// withLater gives the newest version, and the migrations with one more.
func withLater(t *testing.T, script string) (newest int, files fstest.MapFS) {
	t.Helper()
	files = fstest.MapFS{}
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(migrations.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	files[fmt.Sprintf("%04d_later.sql", len(names)+1)] = &fstest.MapFile{Data: []byte(script)}
	return len(names), files
}
