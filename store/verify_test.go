// Tampering shows, each kind at its first bad event; and the projection is the fold.

package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// tampered closes a log of eleven events of three sessions, and four statements, and lets somebody loose on it.
func tampered(t *testing.T, change string) error {
	t.Helper()
	path := logPath(t)
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, append(login("s1", "ann", "app_reader", t0), end("s1", t0))...)
	mustAppend(t, d, append(login("s2", "bob", "app_writer", t0), end("s2", t0))...)
	mustAppend(t, d, login("s3", "eve", "", t0)[0])
	mustAppend(t, d, block("s3", ran("inline", 20), prepared("parsed", 20), prepared("parsed, too", 20),
		prepared(strings.Repeat("packed ", 1000), 20)))
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	forge(t, path, func(db *sql.DB) { alter(t, db, change) })
	_, err = reader(t, path).Verify(t.Context(), nil)
	for _, seqs := range []int64{1, 3} {
		if again := verifyInSegments(t, path, seqs); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("%s: in segments of %d events: %v, at once: %v", change, seqs, again, err)
		}
	}
	return err
}

// verifyInSegments verifies with two connections, and so many events to each at a time.
func verifyInSegments(t *testing.T, path string, seqs int64) error {
	t.Helper()
	s, err := reader(t, path).snapshot(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.verify(t.Context(), seqs, Expected{}, nil)
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
	return err
}

func TestTamperingShows(t *testing.T) {
	const swap = `UPDATE events SET seq = 100 WHERE seq = 4; UPDATE events SET seq = 4 WHERE seq = 7; UPDATE events SET seq = 7 WHERE seq = 100`
	for _, tc := range []struct {
		name, change string
		seq          int64
		what         string
	}{
		{"nothing", `SELECT 1`, 0, ""},
		{"body", `UPDATE events SET body = replace(body, 'ann', 'amy') WHERE seq = 2`, 2, "hash differs"},
		{"one space", `UPDATE events SET body = body || ' ' WHERE seq = 11`, 11, "hash differs"},
		{"time", `UPDATE events SET time = time + 1 WHERE seq = 3`, 3, "hash differs"},
		{"type", `UPDATE events SET type = 'auth.failed' WHERE seq = 2`, 2, "hash differs"},
		{"session", `UPDATE events SET session = 's2' WHERE seq = 5`, 5, "hash differs"},
		{"hash", `UPDATE events SET hash = zeroblob(32) WHERE seq = 6`, 6, "hash differs"},
		{"body taken out", `UPDATE events SET body = NULL WHERE seq = 6`, 6, "hash differs"},
		{"first removed", `DELETE FROM events WHERE seq = 1`, 1, "missing"},
		{"one removed", `DELETE FROM events WHERE seq = 5`, 5, "missing"},
		{"one removed, numbers closed up", `DELETE FROM events WHERE seq = 5; UPDATE events SET seq = seq - 1 WHERE seq > 5`, 5, "hash differs"},
		{"two swapped", swap, 4, "hash differs"},
		{"inserted at the end", `INSERT INTO events SELECT 16, time, type, session, body, hash, count FROM events WHERE seq = 11`, 16,
			"hash differs"},
		{"inserted before the first", `INSERT INTO events SELECT 0, time, type, session, body, hash, count FROM events WHERE seq = 1`, 1,
			"missing"},
		{"another person in the table", `UPDATE sessions SET user = 'amy' WHERE session = 's1'`, 1, "session s1"},
		{"another account in the table", `UPDATE sessions SET service_account = NULL WHERE session = 's2'`, 6, "session s2"},
		{"an open session changed", `UPDATE sessions SET database = 'x' WHERE session = 's3'`, 11, "session s3"},
		{"a session taken from the table", `DELETE FROM sessions WHERE session = 's1'`, 1, "session s1"},
		{"the last session taken from the table", `DELETE FROM sessions WHERE session = 's3'`, 11, "session s3"},
		{"a session put into the table", `INSERT INTO sessions (seq, session, state, started) VALUES (2, 'x', 'ended', 0)`, 2, "session x"},
		{"a statement", `UPDATE events SET body = replace(body, 'inline', 'online') WHERE seq = 15`, 12, "hash differs"},
		{"statements removed", `DELETE FROM events WHERE seq = 15; INSERT INTO events SELECT 12, 0, '', '', '', zeroblob(32), 1`, 12,
			"hash differs"},
		{"a count", `UPDATE events SET count = 2 WHERE seq = 15`, 12, "missing"},
		{"a count that hides a removed event", `DELETE FROM events WHERE seq = 11; UPDATE events SET count = 5 WHERE seq = 15`, 11,
			"hash differs"},
		{"a text", `UPDATE texts SET text = 'harmless' WHERE id = 1`, 15, "the text 1"},
		{"a text and its hash", `UPDATE texts SET text = 'abc', bytes = 3, sha256 = x'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' WHERE id = 2`, 15, "the text 2"},
		{"a text's length", `UPDATE texts SET bytes = 7 WHERE id = 2`, 15, "the text 2"},
		{"texts swapped", `UPDATE texts SET id = 9 WHERE id = 1; UPDATE texts SET id = 1 WHERE id = 2; UPDATE texts SET id = 2 WHERE id = 9`, 15,
			"the text 1"},
		{"a text removed", `DELETE FROM texts WHERE id = 2`, 15, "the text 2"},
		{"a text added", `INSERT INTO texts (sha256, bytes, used, text) VALUES (x'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 3, 0, 'abc')`, 15, "which no event names"},
		{"a packed text that is garbage", `UPDATE texts SET packed = x'00' WHERE id = 1`, 15, "the text 1"},
		{"a text that is not packed, as if it were", `UPDATE texts SET packed = x'' WHERE packed IS NULL`, 15, "which it names"},
		{"what is shown of a packed text", `UPDATE texts SET text = 'harmless' WHERE packed IS NOT NULL`, 15, "the text 3"},
		{"less of a packed text", `UPDATE texts SET text = substr(text, 1, 9) WHERE packed IS NOT NULL`, 15, "the text 3"},
		{"an index that leaves out", `DROP INDEX events_session; CREATE INDEX events_session ON events (session) WHERE session <> 's1'`, 15,
			"the index events_session"},
		{"an index of somebody's", `CREATE INDEX more ON events (session) WHERE session <> 's1'`, 15, "which gprxy does not make"},
		{"a view that leaves out", `DROP VIEW v_sessions; CREATE VIEW v_sessions AS SELECT * FROM sessions WHERE user <> 'ann'`, 15,
			"the view v_sessions"},
		{"a trigger that changes", `CREATE TRIGGER quiet AFTER INSERT ON events BEGIN DELETE FROM sessions; END`, 15, "the trigger \"quiet\""},
		{"a table of somebody's", `CREATE TABLE "the ünseen" (n)`, 15, "which gprxy does not make"},
		{"statistics", `ANALYZE`, 0, ""},
		{"a session put behind the table", `INSERT INTO sessions (seq, session, state, started) VALUES (99, 'x', 'ended', 0)`, 99, "session x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tampered(t, tc.change)
			broken, ok := errors.AsType[*BrokenError](err)
			if ok != (tc.seq != 0) || ok && (broken.Seq != tc.seq || !strings.Contains(err.Error(), tc.what)) {
				t.Errorf("got %v, want seq %d and %q", err, tc.seq, tc.what)
			}
		})
	}
}

// A page that is no page any more is a finding like any other.
func TestADamagedPage(t *testing.T) {
	d, path := shop(t)
	for i := range 200 {
		mustAppend(t, d, login(sessionID(i), strings.Repeat("ann", 100), "app_reader", at(9))...)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	pages, err := collect(t.Context(), raw(t, path), func(scan func(...any) error) (page int64, err error) { return page, scan(&page) },
		`SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path`)
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, page := range []int64{pages[len(pages)/2], pages[len(pages)-1]} { // the last has the head
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), (page-1)*4096); err != nil {
			t.Fatal(err)
		}
		_, err = reader(t, path).Verify(t.Context(), nil)
		if broken, ok := errors.AsType[*BrokenError](err); !ok || !strings.Contains(broken.What, "damaged") {
			t.Errorf("got %v", err)
		}
	}
}

// Somebody who can write the file can also make an index lie about its table.
func TestAnIndexThatLies(t *testing.T) {
	_, path := shop(t)
	if err := reader(t, path).VerifyIndexes(t.Context()); err != nil {
		t.Fatal(err)
	}
	forge(t, path, func(db *sql.DB) {
		var made string
		if err := db.QueryRowContext(t.Context(), `SELECT sql FROM sqlite_schema WHERE name = 'events_session'`).Scan(&made); err != nil {
			t.Fatal(err)
		}
		alter(t, db, `DROP INDEX events_session`)
		alter(t, db, `CREATE INDEX events_session ON events (session, seq) WHERE session <> 's1'`)
		alter(t, db, `PRAGMA writable_schema = on`)
		alter(t, db, `UPDATE sqlite_schema SET sql = ? WHERE name = 'events_session'`, made)
		alter(t, db, `PRAGMA writable_schema = reset`)
	})
	r := reader(t, path)
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Errorf("without a look at the indexes: %v", err)
	}
	if _, broken := errors.AsType[*BrokenError](r.VerifyIndexes(t.Context())); !broken {
		t.Error("the index that leaves out a session was not found")
	}
}

func TestCutTailShowsAgainstAKeptHead(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Time: t0, Fact: ProxyStopped{Reason: "1"}}, Event{Time: t0, Fact: ProxyStopped{Reason: "2"}})
	kept := verified(t, path)
	forge(t, path, func(db *sql.DB) { alter(t, db, `DELETE FROM events WHERE seq = 2`) })
	if now := verified(t, path); now.Seq == kept.Seq || now.Hash == kept.Hash {
		t.Errorf("head %+v after the cut, %+v before", now, kept)
	}
}

func TestTriggersRefuseChanges(t *testing.T) {
	_, path := shop(t)
	db := raw(t, path)
	for _, change := range []string{
		`UPDATE events SET body = '{}' WHERE seq = 2`,
		`DELETE FROM events WHERE seq = 2`,
		`DELETE FROM events`,
		`REPLACE INTO events SELECT seq, time, type, session, '{}', hash, count FROM events WHERE seq = 2`,
		`INSERT INTO events SELECT 100, time, type, session, body, hash, count FROM events WHERE seq = 2`,
		`INSERT INTO events SELECT 20, time, type, session, body, hash, 2 FROM events WHERE seq = 2`,
		`INSERT INTO events (time, type, session, body, hash) SELECT time, type, session, body, zeroblob(31) FROM events WHERE seq = 2`,
	} {
		if _, err := db.ExecContext(t.Context(), change); err == nil {
			t.Errorf("accepted: %s", change)
		}
	}
	verified(t, path)
}

func TestRebuiltProjectionIsTheSame(t *testing.T) {
	d, path := shop(t)
	mustAppend(t, d, Event{at(8), "s2", SessionConnected{Database: "again"}}) // must change nothing
	mustAppend(t, d, Event{at(8), "lost", AuthSucceeded{User: "nobody"}})
	var many []Event
	for i := range 400 {
		many = append(many, login(sessionID(i), "ann\xff", "app_reader", at(9))...)
	}
	mustAppend(t, d, many...)
	db := raw(t, path)
	before := rowsOf(t, db)
	alter(t, db, `DELETE FROM sessions WHERE seq % 2 = 0`)
	alter(t, db, `UPDATE sessions SET user = 'x'`)
	if err := d.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := rowsOf(t, db); len(before) != 405 || !reflect.DeepEqual(after, before) {
		t.Errorf("%d rows before, %d after, not equal", len(before), len(after))
	}
	verified(t, path)
}

func rowsOf(t *testing.T, db *sql.DB) []Session {
	t.Helper()
	rows, err := collect(t.Context(), db, scanSession, `SELECT `+sessionColumns+` FROM sessions ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestVerifyWhileTheProxyWrites(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := d.Append(t.Context(), append(login(sessionID(i), "ann", "a", t0), end(sessionID(i), t0.Add(time.Second)))...); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	r := reader(t, path)
	for range 20 {
		calls := 0
		h, err := r.Verify(t.Context(), func(done, total int64) { calls++ })
		if err != nil || h.Events != h.Seq || h.Seq%5 != 0 || calls == 0 {
			t.Errorf("head %+v, %v, %d calls of progress", h, err, calls)
		}
	}
	close(stop)
	<-done
}
