// Files of other versions and other programs.

package store

import (
	"errors"
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
	next := fstest.MapFS{"0002_later.sql": {Data: []byte("CREATE TABLE later (x) STRICT; CREATE TABLE broken (")}}
	old, err := fs.ReadFile(migrations.Files, "0001_event_log.sql")
	if err != nil {
		t.Fatal(err)
	}
	next["0001_event_log.sql"] = &fstest.MapFile{Data: old}
	db := raw(t, path)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migrate(t.Context(), conn, path, next); err == nil {
		t.Fatal("a broken migration was applied")
	}
	if _, have, err := fileVersion(t.Context(), conn); err != nil || have != 1 {
		t.Fatalf("version %d after a broken migration (%v)", have, err)
	}
	next["0002_later.sql"].Data = []byte("CREATE TABLE later (x INTEGER) STRICT;")
	if err := migrate(t.Context(), conn, path, next); err != nil {
		t.Fatal(err)
	}
	if _, have, err := fileVersion(t.Context(), conn); err != nil || have != 2 {
		t.Fatalf("version %d after the migration (%v)", have, err)
	}
}
