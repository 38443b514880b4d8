// Somebody who owns the file and knows its tables forges it, in every way that was thought of: verify finds it, or
// docs/audit.md says that it cannot, and what does.

package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// noon is when the forgeries are looked at, or an hour before.
var noon = midnight.Add(45*oneDay + 12*time.Hour)

// The log that is forged. Of its first 29 events (threeDays) those of two days are pruned; 2 to 5 are left, for their
// session lasts.
const (
	honestPrune = 30 // the log.pruned of 1 and 6 to 21, written at noon like the rest
	youngLogin  = 31 // to 34, of the session young
	youngBlock  = 36 // two statements, of which the first has a row in texts
	youngRead   = 37 // the log.read of who looked
	youngHead   = 37 // the head that was signed; the checkpoint is kept elsewhere
	youngNoted  = 38 // the log.checkpointed
	youngEnd    = 39
	lastHonest  = 40 // a cancel.rejected
)

type originalLog struct {
	file       []byte
	checkpoint Checkpoint
}

// original makes the log once, through the public API.
var original = sync.OnceValues(func() (o originalLog, err error) {
	folder, err := os.MkdirTemp("", "gprxy-forgery")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "events.db")
	ctx := context.Background()
	d, err := Open(ctx, path, Options{now: func() time.Time { return noon }})
	if err != nil {
		return o, err
	}
	append := func(events ...Event) {
		if err == nil {
			err = d.Append(ctx, events...)
		}
	}
	for _, events := range threeDaysOfEvents() {
		append(events...)
	}
	if _, failed := d.Prune(ctx, midnight.Add(2*oneDay), "RETENTION=40d", nil); failed != nil {
		return o, failed
	}
	append(login("young", "eve", "app_admin", noon)...)
	ms := int(noon.Sub(t0).Milliseconds())
	append(block("young", prepared("delete from customers", ms), ran("select 'harmless'", ms+10)))
	append(Event{Time: noon, Fact: LogRead{OSUser: "eve", Command: "audit"}})
	key, _, failed := EnsureKey(path)
	if failed != nil {
		return o, failed
	}
	if o.checkpoint, failed = d.Checkpoint(ctx, key); failed != nil {
		return o, failed
	}
	append(Event{Time: noon, Fact: LogCheckpointed{Seq: o.checkpoint.Seq, Hash: fmt.Sprintf("%x", o.checkpoint.Hash), KeyID: key.ID()}})
	append(end("young", noon.Add(time.Minute)))
	append(Event{Time: noon.Add(2 * time.Minute), Fact: CancelRejected{Client: "10.0.0.9:1", BackendPID: 7, Reason: "unknown_key"}})
	if err = errors.Join(err, d.Close(ctx)); err != nil {
		return o, err
	}
	o.file, err = os.ReadFile(path)
	return o, err
})

// forger is at work on a copy of the log.
type forger struct {
	*testing.T
	path string
	db   *sql.DB
}

func (f *forger) sql(query string, args ...any) {
	f.Helper()
	alter(f, f.db, query, args...)
}

// hide takes out the rows from one seq to another and leaves their digests, as a prune does.
func (f *forger) hide(from, to int64) {
	f.Helper()
	for _, seq := range f.seqs(from, to) {
		hide(f, f.db, seq)
	}
}

func (f *forger) seqs(from, to int64) []int64 {
	f.Helper()
	seqs, err := collect(f.Context(), f.db, func(scan func(...any) error) (seq int64, err error) { return seq, scan(&seq) },
		`SELECT seq FROM events WHERE seq BETWEEN ? AND ?`, from, to)
	if err != nil {
		f.Fatal(err)
	}
	return seqs
}

// append adds an event as the proxy would.
func (f *forger) append(session string, at time.Time, fact Fact) {
	f.Helper()
	body, err := encodeBody(fact)
	if err != nil {
		f.Fatal(err)
	}
	f.appendBody(fact.Type(), session, at, string(body))
}

func (f *forger) appendBody(typ, session string, at time.Time, body string) {
	f.Helper()
	last, err := scanHead(f.db.QueryRowContext(f.Context(),
		`SELECT seq, hash FROM events UNION ALL SELECT seq, hash FROM pruned ORDER BY seq DESC LIMIT 1`))
	if err != nil {
		f.Fatal(err)
	}
	d, _ := digest(nil, last.seq+1, at.UnixMicro(), typ, session, body)
	h := link(last.hash, d)
	f.sql(insertEvent, last.seq+1, at.UnixMicro(), typ, session, body, h[:], 1)
}

// pruned appends that retention gave up so many events.
func (f *forger) pruned(at, before time.Time, from, to, events int64) {
	f.Helper()
	f.append("", at, LogPruned{By: "RETENTION=40d", Before: before, FirstSeq: from, LastSeq: to, Events: events})
}

// forget takes out the texts that no event names any more.
func (f *forger) forget(text string) { f.sql(`DELETE FROM texts WHERE text = ?`, text) }

// rehash makes every hash fit what stands there now.
func (f *forger) rehash() {
	f.Helper()
	rows, err := collect(f.Context(), f.db, func(scan func(...any) error) (r struct {
		event
		digests []byte
	}, err error) {
		return r, scan(&r.seq, &r.time, &r.typ, &r.session, &r.body, &r.digests)
	}, `SELECT seq, time, type, session, body, NULL FROM events UNION ALL SELECT seq, 0, '', '', '', digests FROM pruned ORDER BY seq`)
	if err != nil {
		f.Fatal(err)
	}
	var h hash
	for _, r := range rows {
		table := "events"
		if r.digests != nil {
			table = "pruned"
			for next := range (&run{digests: r.digests}).links(h) {
				h = next
			}
		} else {
			d, _ := digest(nil, r.seq, r.time, r.typ, r.session, r.body)
			h = link(h, d)
		}
		f.sql(`UPDATE `+table+` SET hash = ? WHERE seq = ?`, h[:], r.seq)
	}
}

// renote makes the log.checkpointed fit the hash that its event has now.
func (f *forger) renote() {
	f.Helper()
	var h []byte
	if err := f.db.QueryRowContext(f.Context(), `SELECT hash FROM events WHERE seq = ?`, youngHead).Scan(&h); err != nil {
		f.Fatal(err)
	}
	f.sql(`UPDATE events SET body = json_set(body, '$.hash', ?) WHERE seq = ?`, fmt.Sprintf("%x", h), youngNoted)
	f.rehash()
}

// schema edits what the file says that it is made of, does something under it, and puts it back.
func (f *forger) schema(edit, under string) {
	f.Helper()
	kept, err := collect(f.Context(), f.db, func(scan func(...any) error) (r [5]any, err error) {
		return r, scan(&r[0], &r[1], &r[2], &r[3], &r[4])
	}, `SELECT * FROM sqlite_schema`)
	if err != nil {
		f.Fatal(err)
	}
	f.sql(`PRAGMA writable_schema = on; ` + edit + `; PRAGMA writable_schema = reset`)
	f.sql(under)
	f.sql(`PRAGMA writable_schema = on; DELETE FROM sqlite_schema`)
	for _, r := range kept {
		f.sql(`INSERT INTO sqlite_schema VALUES (?,?,?,?,?)`, r[:]...)
	}
	f.sql(`PRAGMA writable_schema = reset`)
}

// TestForgeries says of each forgery what verify says of the file alone, and with a checkpoint that was signed over
// the event youngHead and kept elsewhere: "" is intact. Both begin with the seq. The doubts, a line each, are those of the file alone.
func TestForgeries(t *testing.T) {
	const inFuture = "41: this log.pruned gave up events from before 2026-04-17T00:00:00Z, "
	day := func(n int) time.Time { return midnight.Add(time.Duration(n) * oneDay) } // noon is on day 45
	for _, row := range []struct {
		name   string
		how    func(f *forger)
		alone  string
		kept   string // "same" as alone
		doubts string
	}{
		{"nothing", func(f *forger) {}, "", "same", ""},

		// Somebody takes out what is young, and appends that retention did it.
		{"a reading, from before the day after tomorrow", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(noon, day(47), youngRead, youngRead, 1)
		}, inFuture + "which was in the future when it was written, 2026-04-15T12:00:00Z", "same", ""},
		{"all of it, from before the day after tomorrow", func(f *forger) {
			f.hide(1, lastHonest)
			f.sql(`DELETE FROM sessions`)
			f.sql(`DELETE FROM texts`)
			f.pruned(noon, day(47), 1, lastHonest, 40)
		}, inFuture + "which was in the future", "same", ""},
		{"the login, from before the day after tomorrow, and the rest hashed anew", func(f *forger) {
			f.hide(youngLogin, youngLogin+3)
			f.pruned(noon, day(47), youngLogin, youngLogin+3, 4)
			f.rehash()
		}, inFuture + "which was in the future", "same", ""},
		{"written in the future, where that is long ago", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(day(90), day(47), youngRead, youngRead, 1)
		}, inFuture + "and by the clock of this machine it is 2026-04-15T13:00:00Z now", "same", ""},
		{"from before today", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(noon, day(45), youngRead, youngRead, 1)
		}, "41: this log.pruned gave up events from before 2026-04-15T00:00:00Z, less than a day before it was written, 2026-04-15T12:00:00Z",
			"same", ""},
		{"from before today, said tomorrow", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(day(46), day(45), youngRead, youngRead, 1)
		}, "", "same", "41: less than RETENTION_MIN (30 days)\n41: by the clock of this machine it is 2026-04-15T13:00:00Z"},
		{"from before yesterday", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(noon, day(44), youngRead, youngRead, 1)
		}, "", "same", "41: less than RETENTION_MIN (30 days)\n37: the event before it is of 2026-04-15"},
		{"as one of last month", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(noon, day(15), youngRead, youngRead, 1)
		}, "", "same", "37: the event before it is of 2026-04-15"},
		{"all of it, as of last month", func(f *forger) {
			f.hide(1, lastHonest)
			f.sql(`DELETE FROM sessions`)
			f.sql(`DELETE FROM texts`)
			f.pruned(noon, day(15), 1, lastHonest, 40)
		}, "", "38: it was given up as one from before 2026-03-16T00:00:00Z, but it was written after 2026-04-15T12:00:00Z",
			"40: nothing is left of the time between"},
		{"what stands before the last event, as of last month", func(f *forger) {
			f.hide(1, youngEnd)
			f.sql(`DELETE FROM sessions`)
			f.sql(`DELETE FROM texts`)
			f.pruned(noon, day(15), 1, youngEnd, 39)
		}, "", "38: it was given up as one from before 2026-03-16",
			"39: the first event that is left is of 2026-04-15T12:02:00Z: nothing is left of the time between"},
		{"what came after the checkpoint, as of last month", func(f *forger) {
			f.hide(youngEnd, youngEnd)
			f.sql(`UPDATE sessions SET state = 'active', ended = NULL, statements = NULL, rows = NULL, errors = NULL, bytes_in = NULL, bytes_out = NULL, end_reason = NULL WHERE session = 'young'`)
			f.pruned(noon, day(15), youngEnd, youngEnd, 1)
		}, "", "39: it was given up as one from before 2026-03-16T00:00:00Z, but it was written after 2026-04-15T12:00:00Z, when the " +
			"checkpoint was signed", "39: the event before it is of 2026-04-15"},
		{"said long ago", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(day(3), day(1), youngRead, youngRead, 1)
		}, "", "same", "41: less than RETENTION_MIN\n41: says that it was written at 2026-03-04T00:00:00Z, but the event before it is of " +
			"2026-04-15T12:02:00Z\n37: the event before it is of 2026-04-15"},
		{"said long after, with others behind it", func(f *forger) {
			f.hide(youngRead, youngRead)
			f.pruned(day(90), day(44), youngRead, youngRead, 1)
			f.append("", noon, LogRead{})
		}, "", "same", "41: by the clock of this machine it is\n37: the event before it is of 2026-04-15"},
		{"told by the log.pruned that is there", func(f *forger) {
			f.hide(2, 5)
		}, "1: from here on 4 events more are gone than log.pruned events say", "same", ""},
		{"told by two, each of a half", func(f *forger) {
			f.hide(honestPrune+1, honestPrune+4)
			f.sql(`DELETE FROM pruned WHERE seq > 31; UPDATE pruned SET seq = 34, digests = zeroblob(128) WHERE seq = 31`)
			f.pruned(noon, day(15), 31, 32, 2)
			f.pruned(noon, day(15), 33, 34, 2)
			f.rehash()
		}, "31: this event is gone, and no log.pruned says so", "same", ""},
		{"told before it happened", func(f *forger) {
			f.pruned(noon, day(15), 42, 42, 1)
			f.append("", noon, LogRead{OSUser: "eve"})
			f.hide(42, 42)
		}, "41: this log.pruned tells of the events 42 to 42, which cannot have been pruned before it", "same", ""},
		{"told of fewer than none", func(f *forger) {
			f.pruned(noon, day(15), 1, 3, 3)
			f.pruned(noon, day(15), 1, 3, -3)
		}, "42: this log.pruned tells of -3 events among 1 to 3", "same", ""},
		{"a prune that is no JSON", func(f *forger) { f.appendBody("log.pruned", "", noon, `{"before":7}`) }, "41: ", "same", ""},
		{"a session taken out, but not its row", func(f *forger) {
			f.hide(youngLogin, youngLogin)
			f.sql(`INSERT INTO sessions (seq, session, state, started) VALUES (31, 'young', 'ended', 0)`)
			f.pruned(noon, day(15), youngLogin, youngLogin, 1)
		}, "31: the table sessions has session young, which no event begins", "same", ""},
		{"a text taken out, but not the event that names it", func(f *forger) { f.forget("delete from customers") }, "36: the text 5", "same",
			""},
		{"the event that names a text taken out, but not the text", func(f *forger) {
			f.hide(youngBlock, youngBlock)
			f.pruned(noon, day(15), youngBlock-1, youngBlock, 2)
		}, "41: the table texts has the text 5, which no event names", "same", ""},
		{"the digests of what was pruned", func(f *forger) {
			f.sql(`UPDATE pruned SET digests = zeroblob(length(digests)) WHERE first = 6`)
		}, "6: what is left of the events that were pruned", "same", ""},
		{"the digests, and the rest hashed anew", func(f *forger) {
			f.sql(`UPDATE pruned SET digests = zeroblob(length(digests)) WHERE first = 6`)
			f.rehash()
		}, "", "37: a checkpoint has another hash", "38: this log.checkpointed has another hash for the event 37"},
		{"a run that begins elsewhere", func(f *forger) { f.sql(`UPDATE pruned SET first = 7 WHERE first = 6`) }, "6: this event is missing",
			"same", ""},
		{"a run behind the head", func(f *forger) {
			f.sql(`INSERT INTO pruned SELECT 41, 41, digests, hash FROM pruned LIMIT 1`)
		}, "41: what is left of the events", "same", ""},

		// Somebody writes the past anew.
		{"another person", func(f *forger) {
			f.sql(`UPDATE events SET body = replace(body, 'eve', 'bob') WHERE seq BETWEEN 31 AND 34`)
		}, "31: its content", "same", ""},
		{"another person, and the rest hashed anew", func(f *forger) {
			f.sql(`UPDATE events SET body = replace(body, 'eve', 'bob') WHERE seq BETWEEN 31 AND 34`)
			f.sql(`UPDATE sessions SET user = 'bob', requested_user = 'bob' WHERE session = 'young'`)
			f.rehash()
		}, "", "37: a checkpoint has another hash for this event: it, or one before it, was written anew",
			"38: this log.checkpointed has another hash for the event 37"},
		{"another person, hashed anew with what says otherwise", func(f *forger) {
			f.sql(`UPDATE events SET body = replace(body, 'eve', 'bob') WHERE seq BETWEEN 31 AND 34`)
			f.sql(`UPDATE sessions SET user = 'bob', requested_user = 'bob' WHERE session = 'young'`)
			f.rehash()
			f.renote()
		}, "", "37: a checkpoint has another hash", ""},
		{"a key of the JSON twice, hashed anew", func(f *forger) { // of which a view shows the first, and gprxy the last
			f.sql(`UPDATE events SET body = replace(body, '"user":"eve"', '"user":"bob","user":"eve"') WHERE seq = 32`)
			f.rehash()
			f.renote()
		}, "", "37: a checkpoint has another hash", ""},
		{"another spelling of the JSON, hashed anew", func(f *forger) {
			f.sql(`UPDATE events SET body = replace(body, '"user":"eve"', '"us\u0065r":"eve"') WHERE seq = 32`)
			f.rehash()
			f.renote()
		}, "31: the row of session young", "same", ""},
		{"the end cut off", func(f *forger) {
			f.sql(`DELETE FROM events WHERE seq >= 37`)
			f.sql(`UPDATE sessions SET state = 'active', ended = NULL, statements = NULL, rows = NULL, errors = NULL, bytes_in = NULL, bytes_out = NULL, end_reason = NULL WHERE session = 'young'`)
		}, "", "37: the log ends before this event, but a checkpoint says that there are 37", ""},
		{"what came after the checkpoint cut off", func(f *forger) { f.sql(`DELETE FROM events WHERE seq >= 40`) }, "", "same", ""},
		{"events of the past put behind the checkpoint", func(f *forger) { f.append("", noon.Add(-time.Hour), LogRead{OSUser: "bob"}) }, "",
			"same", ""},
		{"an event taken out, with a log.gap about it", func(f *forger) {
			f.sql(`DELETE FROM events WHERE seq = 40`)
			f.sql(insertEvent, 41, 0, "log.gap", "", `{}`, make([]byte, 32), 1)
		}, "40: this event is missing", "same", ""},
		{"facts that are none", func(f *forger) { // by which nothing is hidden: a fact that gprxy never saw cannot be told from one that it saw
			f.append("", noon, LogGap{Since: noon, Until: noon, Reason: GapUnwritable, Lost: 9})
			f.append("", noon, LogCondensed{Of: "cancel.rejected", Count: 1 << 40, First: noon, Last: noon})
			f.append("young", noon, AuthSucceeded{User: "bob"})
		}, "", "same", ""},

		// Somebody makes columns hold what SQL would not let them.
		{"no session instead of an empty one, which no view shows", func(f *forger) {
			f.schema(`UPDATE sqlite_schema SET sql = replace(replace(sql, 'NOT NULL', ''), 'STRICT', '') WHERE name = 'events'`,
				`UPDATE events SET session = NULL WHERE seq = 37`)
		}, "37: its column session holds <nil> instead of string", "same", ""},
		{"a time that is no integer", func(f *forger) {
			f.schema(`UPDATE sqlite_schema SET sql = replace(sql, 'time    INTEGER', 'time    ANY') WHERE name = 'events'`,
				`UPDATE events SET time = CAST(time AS REAL) WHERE seq = 37`)
		}, "37: its column time holds float64 instead of int64", "same", ""},
		{"a session's row with another type", func(f *forger) {
			f.schema(`UPDATE sqlite_schema SET sql = replace(sql, 'started          INTEGER', 'started          ANY') WHERE name = 'sessions'`,
				`UPDATE sessions SET started = CAST(started AS REAL) WHERE session = 'young'`)
		}, "31: the row of session young in the table sessions is not what its events say", "same", ""},
		{"a text that is a blob", func(f *forger) {
			f.schema(`UPDATE sqlite_schema SET sql = replace(sql, 'text   TEXT', 'text   ANY') WHERE name = 'texts'`,
				`UPDATE texts SET text = CAST(text AS BLOB) WHERE id = 5`)
		}, "36: the text 5, which it names, is not the one that was written", "same", ""},
		{"bytes behind a NUL", func(f *forger) { f.sql(`UPDATE events SET body = body || char(0) || 'more' WHERE seq = 37`) }, "37: its content",
			"same", ""},
		{"more seqs in a row than it has statements", func(f *forger) {
			f.sql(`UPDATE events SET count = 3 WHERE seq = 36`)
		}, "35: this event is missing", "same", ""},
		{"a run that stands for an event and has no digest", func(f *forger) {
			f.schema(`UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (length(digests) > 0 AND length(digests) % 32 = 0)', '') WHERE name = 'pruned'`,
				`INSERT INTO pruned SELECT 35, 35, x'', hash FROM events WHERE seq = 34; UPDATE events SET count = 1 WHERE seq = 36`)
			f.pruned(noon, day(15), 35, 35, 1)
		}, "35: what is left of the events", "same", ""},

		// Somebody makes the file of other parts.
		{"a view that leaves out", func(f *forger) {
			f.sql(`DROP VIEW v_events; CREATE VIEW v_events AS SELECT * FROM events WHERE seq <> 37`)
		}, "40: the view v_events of the file is not the one that gprxy makes", "same", ""},
		{"a trigger on a view", func(f *forger) {
			f.sql(`CREATE TRIGGER swallow INSTEAD OF INSERT ON v_events BEGIN SELECT 1; END`)
		}, "40: the file has the trigger \"swallow\"", "same", ""},
		{"a trigger with a name of SQLite's", func(f *forger) {
			f.sql(`PRAGMA writable_schema = on`)
			f.sql(`INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_quiet', 'events', 0, 'CREATE TRIGGER sqlite_quiet AFTER INSERT ON events BEGIN DELETE FROM sessions; END')`)
		}, "40: the file has the trigger \"sqlite_quiet\"", "same", ""},
		{"statistics that are something else", func(f *forger) {
			f.sql(`PRAGMA writable_schema = on`)
			f.sql(`INSERT INTO sqlite_schema VALUES ('view', 'sqlite_stat1', 'sqlite_stat1', 0, 'CREATE VIEW sqlite_stat1(tbl,idx,stat) AS SELECT 1, 2, 3')`)
		}, "40: the file has the view \"sqlite_stat1\"", "same", ""},
		{"a trigger taken out", func(f *forger) {
			f.sql(`CREATE TRIGGER mine BEFORE UPDATE ON events BEGIN SELECT 1; END`)
		}, "40: the file has the trigger \"mine\"", "same", ""},
		{"a table that lies over another's name", func(f *forger) { f.sql(`CREATE TABLE "events " (seq)`) },
			"40: the file has the table \"events \"", "same", ""},
		{"a column that is computed", func(f *forger) {
			f.sql(`ALTER TABLE sessions ADD COLUMN who TEXT GENERATED ALWAYS AS ('bob') VIRTUAL`)
		}, "40: the table sessions of the file", "same", ""},
		{"an index that compares otherwise", func(f *forger) {
			f.sql(`DROP INDEX sessions_user; CREATE INDEX sessions_user ON sessions (user COLLATE NOCASE, started) WHERE user IS NOT NULL`)
		}, "40: the index sessions_user", "same", ""},
		{"a column that compares otherwise", func(f *forger) {
			f.sql(`PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = replace(sql, 'session          TEXT    NOT NULL UNIQUE', 'session TEXT COLLATE NOCASE NOT NULL UNIQUE') WHERE name = 'sessions'`)
		}, "40: the table sessions of the file", "same", ""},
		{"a session taken out of the table, whose index says that it began before", func(f *forger) {
			f.sql(`UPDATE sessions SET seq = 7 WHERE session = 'young'`)
			f.schema(`DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_sessions_1'; UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE', '') WHERE name = 'sessions'`,
				`DELETE FROM sessions WHERE session = 'young'`)
		}, "31: session young, which begins here, is missing from the table sessions", "same", ""},
		{"the version of an older file", func(f *forger) { f.sql(`PRAGMA user_version = 2`) }, "from an older gprxy", "same", ""},
		{"the version of a newer file", func(f *forger) { f.sql(`PRAGMA user_version = 99`) }, "was made by a newer gprxy", "same", ""},
		{"the mark of another program", func(f *forger) { f.sql(`PRAGMA application_id = 7`) }, "is not a gprxy event log", "same", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path, checkpoint := forged(t, row.how)
			if row.kept == "same" {
				row.kept = row.alone
			}
			head := judged(t, path, Expected{}, row.alone)
			judged(t, path, Expected{Checkpoint: &checkpoint}, row.kept)
			if row.alone != "" {
				return
			}
			var want []string
			if row.doubts != "" {
				want = strings.Split(row.doubts, "\n")
			}
			if len(head.Warnings) != len(want) {
				t.Fatalf("doubts %+v, want %q", head.Warnings, want)
			}
			for i, d := range head.Warnings {
				seq, what, _ := strings.Cut(want[i], ": ")
				if fmt.Sprint(d.Seq) != seq || !strings.Contains(d.What, what) {
					t.Errorf("doubt %+v, want %q", d, want[i])
				}
			}
		})
	}
}

// forged is a copy of the log under the hands of a forger.
func forged(t *testing.T, how func(*forger)) (path string, c Checkpoint) {
	t.Helper()
	o, err := original()
	if err != nil {
		t.Fatal(err)
	}
	path = logPath(t)
	if err := os.WriteFile(path, o.file, 0o600); err != nil {
		t.Fatal(err)
	}
	forge(t, path, func(db *sql.DB) { how(&forger{t, path, db}) })
	return path, o.checkpoint
}

// judged verifies at once and in short segments, and wants the verdict: "" for intact, or how it begins.
func judged(t *testing.T, path string, e Expected, want string) (h Head) {
	t.Helper()
	e.Now, e.RetentionMin = noon.Add(time.Hour), 30*oneDay
	r, err := OpenReader(t.Context(), path)
	if err == nil {
		defer r.Close()
		h, err = r.VerifyAgainst(t.Context(), e, nil)
	}
	got := ""
	if broken, ok := errors.AsType[*BrokenError](err); ok {
		got = fmt.Sprintf("%d: %s", broken.Seq, broken.What)
	} else if err != nil {
		got = err.Error()
	}
	if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Contains(want, ": ") && !strings.HasPrefix(got, want) {
		t.Errorf("verify says %q, want %q (with a checkpoint: %t)", got, want, e.Checkpoint != nil)
	}
	if r == nil || e.Checkpoint != nil && want == "" {
		return h
	}
	for _, seqs := range []int64{3} {
		s, err2 := r.snapshot(t.Context(), 2)
		if err2 != nil {
			t.Fatal(err2)
		}
		again, err2 := s.verify(t.Context(), seqs, e, nil)
		err2 = errors.Join(verifyError(err2, again), s.close(t.Context()))
		if a, b := fmt.Sprint(again.Warnings, err2), fmt.Sprint(h.Warnings, err); a != b {
			t.Errorf("in segments of %d: %s\nat once: %s", seqs, a, b)
		}
	}
	return h
}

// What was signed over stood there: a prune about a day that had not come yet, by a clock that was set right before the
// checkpoint was signed, is a break for ever.
func TestAPruneByAClockThatWasAheadShowsAgainstACheckpoint(t *testing.T) {
	path, now := logPath(t), noon
	d := open(t, path, Options{now: func() time.Time { return now }})
	mustAppend(t, d, Event{Time: noon, Fact: ProxyStarted{}})
	now = noon.Add(40 * oneDay)
	if _, err := d.Prune(t.Context(), noon.Add(5*oneDay), "RETENTION=35d", nil); err != nil {
		t.Fatal(err)
	}
	now = noon
	key, _, err := EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, Event{Time: noon, Fact: ProxyStopped{}})
	h, err := reader(t, path).VerifyAgainst(t.Context(), Expected{Now: noon.Add(50 * oneDay)}, nil)
	if err != nil || len(h.Warnings) != 1 || !strings.Contains(h.Warnings[0].What, "the event after it is of 2026-04-15") {
		t.Errorf("by itself: %+v, %v", h.Warnings, err)
	}
	_, err = reader(t, path).VerifyAgainst(t.Context(), Expected{Now: noon.Add(50 * oneDay), Checkpoint: &c}, nil)
	if broken, ok := errors.AsType[*BrokenError](err); !ok || broken.Seq != 2 || !strings.Contains(broken.What,
		"stood in the log already at 2026-04-15T12:00:00Z") {
		t.Errorf("with the checkpoint: %v", err)
	}
}

// A clock that was set back is told, and does not make an honest prune a forged one.
func TestAPruneBehindACheckpointOfAClockThatWasAhead(t *testing.T) {
	path, now := logPath(t), noon.Add(300*oneDay)
	d := open(t, path, Options{now: func() time.Time { return now }})
	mustAppend(t, d, Event{Time: now, Fact: ProxyStarted{}})
	key, _, err := EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for day := range 60 {
		mustAppend(t, d, Event{Time: noon.Add(time.Duration(day) * oneDay), Fact: ProxyStopped{}})
	}
	now = noon.Add(60 * oneDay)
	if done, err := d.Prune(t.Context(), noon.Add(20*oneDay), "RETENTION=40d", nil); err != nil || done.Events != 20 {
		t.Fatal(done, err)
	}
	h, err := reader(t, path).VerifyAgainst(t.Context(), Expected{Now: now, Checkpoint: &c}, nil)
	if err != nil || len(h.Warnings) != 2 || !strings.Contains(h.Warnings[1].What, "the clock was set back") {
		t.Errorf("%+v, %v", h.Warnings, err)
	}
}

// A prune whose clock is set back under it stops, rather than say what verify would not believe.
func TestAPruneStopsWhenTheClockIsSetBack(t *testing.T) {
	path := logPath(t)
	looks := 0
	d := open(t, path, Options{now: func() time.Time {
		if looks++; looks < 3 { // the opening, and the beginning of the prune
			return midnight.Add(5 * oneDay)
		}
		return midnight.Add(5*oneDay - time.Second)
	}})
	looks = 1
	mustAppend(t, d, Event{Time: t0, Fact: ProxyStarted{}})
	looks = 1
	_, err := d.Prune(t.Context(), midnight.Add(4*oneDay), "ann", nil)
	if err == nil || !strings.Contains(err.Error(), "the day 2026-03-05 begins less than 24 hours before now (2026-03-05T23:59:59Z)") {
		t.Errorf("got %v", err)
	}
	if h := verified(t, path); h.Events != 1 || len(h.Pruned) != 0 {
		t.Errorf("head %+v", h)
	}
}

// What stands in a write-ahead log beside the file is read with it by everybody, so verify judges both; what an index of
// it (-shm) says that nobody has open is not believed.
func TestAWriteAheadLogOfSomebodys(t *testing.T) {
	honest, _ := forged(t, func(*forger) {})
	writtenBack(t, honest)
	file, err := os.ReadFile(honest)
	if err != nil {
		t.Fatal(err)
	}
	other := logPath(t)
	if err := os.WriteFile(other, file, 0o600); err != nil {
		t.Fatal(err)
	}
	db := raw(t, other)
	alter(t, db, `PRAGMA wal_autocheckpoint = 0; DROP TRIGGER events_no_update; UPDATE events SET body = replace(body, 'eve', 'bob') WHERE seq = 37`)
	wal, err := os.ReadFile(other + "-wal")
	if err != nil || len(wal) == 0 {
		t.Fatal(len(wal), err)
	}
	for _, row := range []struct {
		beside  string
		content []byte
		want    string
	}{
		{"-shm", bytes.Repeat([]byte{0xa5}, 32<<10), ""},
		{"-wal", wal[:4096], ""}, // no whole transaction
		{"-wal", wal, "37: its content"},
	} {
		path := logPath(t)
		if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(path+row.beside, row.content, 0o600)); err != nil {
			t.Fatal(err)
		}
		judged(t, path, Expected{}, row.want)
	}
}
