// Statements in the log: blocks, their seqs and times, and texts that are kept once.

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// ran is a statement of 10 ms that ended so long after t0.
func ran(sql string, endedMS int) Statement {
	return Statement{Kind: KindSimple, SQL: sql, Tag: "SELECT", Rows: 1, US: 10_000, TxStatus: "I",
		Start: t0.Add(time.Duration(endedMS-10) * time.Millisecond)}
}

func block(session string, statements ...Statement) Event {
	return Event{Session: session, Fact: StatementsExecuted{statements}}
}

func prepared(sql string, endedMS int) Statement {
	s := ran(sql, endedMS)
	s.Kind, s.Name, s.Parsed = KindExtended, "s1", true
	return s
}

func TestEachStatementHasItsSeqAndTime(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	slow := ran("slow", 30)
	slow.Start, slow.US = t0.Add(-time.Second), 1_030_000
	mustAppend(t, d, block("s1", ran("select 1", 20), slow, prepared("select $1", 45)), end("s1", t0.Add(time.Second)))

	var got []string
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{}))
	for _, rec := range recs[4:] {
		var s Statement
		if err := json.Unmarshal(rec.Detail, &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(rec.Seq, " ", rec.Type, " ", rec.User, " ", rec.Time.Sub(t0), " ", s.SQL))
	}
	wantEqual(t, "events", got, []string{
		"5 statement.executed ann 20ms select 1", "6 statement.executed ann 30ms slow", "7 statement.executed ann 45ms select $1",
		"8 session.ended ann 1s ",
	})
	if recs[4].Hash != recs[6].Hash || recs[6].Hash == recs[7].Hash {
		t.Error("the statements of one event must share its hash, and others not")
	}
	if h := verified(t, path); h.Seq != 8 || h.Events != 8 {
		t.Errorf("head %+v", h)
	}
}

func TestStatementsAreFoundAndCutToTheLimit(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)                                  // 1-4
	mustAppend(t, d, login("s2", "bob", "app_writer", t0)...)                                  // 5-8
	mustAppend(t, d, block("s1", ran("a", 20), ran("b", 21), ran("c", 22)))                    // 9-11
	mustAppend(t, d, block("s2", ran("d", 1000), ran("e", 1001)), block("s1", ran("f", 2000))) // 12-14
	r := reader(t, path)
	for _, tc := range []struct {
		name string
		f    EventFilter
		want string
	}{
		{"type", EventFilter{Type: "statement.executed"}, "9 10 11 12 13 14"},
		{"the newest of a type, from within a block", EventFilter{Type: "statement.executed", Limit: 4}, "11 12 13 14"},
		{"user", EventFilter{User: "ann", Limit: 3}, "10 11 14"},
		{"all of a user", EventFilter{User: "bob"}, "5 6 7 8 12 13"},
		{"session", EventFilter{Session: "s2", Limit: 1}, "13"},
		{"since", EventFilter{Since: t0.Add(time.Second), Limit: 2}, "13 14"},
		{"until", EventFilter{Until: t0.Add(time.Second), Limit: 2}, "10 11"},
		{"after a block", EventFilter{AfterSeq: 11}, "12 13 14"},
	} {
		for _, way := range []string{"", "walking", "by sessions"} {
			var got []string
			for _, rec := range all(t, eventsBy(t, r, way, tc.f)) {
				got = append(got, fmt.Sprint(rec.Seq))
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%s %s: got %q, want %q", tc.name, way, s, tc.want)
			}
		}
	}
}

// storedTexts gives the texts of the content table by id.
func storedTexts(t *testing.T, path string) (texts []string) {
	t.Helper()
	rows, err := collect(t.Context(), raw(t, path), scanString, `SELECT text FROM texts ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTextsAreKeptOnce(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	long := "select '" + strings.Repeat("x", inlineText) + "'"
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	mustAppend(t, d, block("s1", ran("once", 20), ran("again", 20), prepared("parsed", 20), ran(long, 20)))
	wantEqual(t, "after the first time", storedTexts(t, path), []string{"parsed", long})
	mustAppend(t, d, block("s1", ran("again", 30), ran("again", 30), prepared("parsed", 30), ran(long, 30)))
	wantEqual(t, "after the second", storedTexts(t, path), []string{"parsed", long, "again"})

	bodies, err := collect(t.Context(), raw(t, path), scanString, `SELECT body FROM events WHERE type = 'statement.executed' ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	if first := bodies[0]; !strings.Contains(first, `"sql":"once"`) || !strings.Contains(first, `"sql":"again"`) ||
		!strings.Contains(first, `"texts":[{"id":1,"sha256":"`) {
		t.Errorf("the first event is %s", first)
	}
	want := fmt.Sprintf(`"texts":[{"id":3,"sha256":"%x","bytes":5}]}`, sha256.Sum256([]byte("again")))
	if second := bodies[1]; strings.Contains(second, `"sql"`) || !strings.HasSuffix(second, want) {
		t.Errorf("the second event is %s, want it to end in %s", second, want)
	}
	var got []string
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "statement.executed"})) {
		var s Statement
		if err := json.Unmarshal(rec.Detail, &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s.SQL)
	}
	wantEqual(t, "texts read", got, []string{"once", "again", "parsed", long, "again", "again", "parsed", long})
	verified(t, path)
}

func TestLongTextsArePacked(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	long := strings.Repeat("select 'ünïcode \U0001f512 \xff' union ", 20_000)
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	mustAppend(t, d, block("s1", ran(long, 20)))
	var size, begins, packed int
	err := raw(t, path).QueryRowContext(t.Context(), `SELECT bytes, length(CAST(text AS BLOB)), length(packed) FROM texts`).Scan(&size,
		&begins, &packed)
	valid := strings.ToValidUTF8(long, "\ufffd")
	if err != nil || size != len(valid) || begins > plainText || begins < plainText-3 || packed > size/20 {
		t.Errorf("%d bytes stored as %d and %d packed (%v)", size, begins, packed, err)
	}
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{Session: "s1", Limit: 1}))
	var s Statement
	if err := json.Unmarshal(recs[0].Detail, &s); err != nil || s.SQL != valid {
		t.Errorf("read %d bytes, want %d (%v)", len(s.SQL), len(valid), err)
	}
}

func TestTextsAreBoundAnewEachDay(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	day := 24 * 60 * 60 * 1000
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	for _, ms := range []int{20, 30, day, day + 10, 40, 2 * day} { // the fifth is late
		mustAppend(t, d, block("s1", prepared("parsed", ms)))
	}
	var bound []bool
	bodies, err := collect(t.Context(), raw(t, path), scanString, `SELECT body FROM events WHERE type = 'statement.executed' ORDER BY seq`)
	for _, b := range bodies {
		bound = append(bound, strings.Contains(b, `"texts":[{"id":1,`))
	}
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "bound", bound, []bool{true, false, true, false, false, true})
	var used int64
	if err := raw(t, path).QueryRowContext(t.Context(), `SELECT used FROM texts`).Scan(&used); err != nil ||
		used != t0.UnixMicro()/microsInDay+2 {
		t.Errorf("used on day %d (%v)", used, err)
	}
}

// A transaction that was rolled back has left no text, whatever the writer remembers of it.
func TestTextsOfAFailedBatchAreForgotten(t *testing.T) {
	path := logPath(t)
	a := appenderOn(t, path)
	add := func(e Event) error {
		enc, err := encodeAll([]Event{e}, t0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.append(t.Context(), enc)
		return err
	}
	db := raw(t, path)
	alter(t, db, `CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'broken'); END`)
	if err := add(block("s1", prepared("parsed", 20))); err == nil {
		t.Fatal("the broken log took an event")
	}
	alter(t, db, `DROP TRIGGER broken`)
	if err := add(block("s1", prepared("parsed", 20))); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "texts", storedTexts(t, path), []string{"parsed"})
	verified(t, path)
}

func TestStartedStatementIsDurableAndNumbered(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	for want := int64(5); want < 8; want++ {
		seq, err := d.AppendStarted(t.Context(), "s1", Statement{Kind: KindExtended, SQL: "select $1", Parsed: true,
			Params: []Param{{Text: "7"}}, Start: t0})
		if err != nil || seq != want {
			t.Fatalf("seq %d (%v), want %d", seq, err, want)
		}
	}
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "statement.started"}))
	if len(recs) != 3 || !bytes.HasSuffix(recs[2].Detail, []byte(`{"kind":"extended","text":1,"params":["7"],"sql":"select $1"}`)) ||
		!recs[2].Time.Equal(t0) {
		t.Errorf("%d events, the last is %s", len(recs), recs[len(recs)-1].Detail)
	}
	verified(t, path)
}

func TestStatementsAreInTheViewsAsInJSON(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	failed := everyField
	failed.Start = t0
	mustAppend(t, d, block("s1", ran("select 1", 20), prepared("select $1", 30), failed),
		Event{Session: "s1", Fact: StatementStarted{prepared("select $1", 40)}})
	db := raw(t, path)
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{}))
	for _, rec := range recs {
		assertSameRow(t, db, `SELECT * FROM v_events WHERE seq = ?`, rec.Seq, rec)
	}
	for seq, want := range map[int64]string{
		5: `2026-03-01T09:30:00.143456Z s1 ann app_reader shop 10.0.0.7:50412 simple select 1 SELECT 1 ok 10 I`,
		6: `2026-03-01T09:30:00.153456Z s1 ann app_reader shop 10.0.0.7:50412 extended select $1 SELECT 1 ok 10 I`,
		7: `2026-03-01T09:30:00.124706Z s1 ann app_reader shop 10.0.0.7:50412 extended select $1 SELECT 3 error 1.25 T`,
	} {
		var got string
		err := db.QueryRowContext(t.Context(), `
			SELECT concat_ws(' ', time, session, user, service_account, database, client, kind, text, tag, rows, outcome, format('%g', duration_ms), tx)
			FROM v_statements WHERE seq = ?`, seq).Scan(&got)
		if err != nil || got != want {
			t.Errorf("%d:\n got  %s (%v)\n want %s", seq, got, err, want)
		}
	}
	plan, err := collect(t.Context(), db, func(scan func(...any) error) (s string, err error) {
		var a, b, c int
		err = scan(&a, &b, &c, &s)
		return s, err
	}, `EXPLAIN QUERY PLAN SELECT * FROM v_statements WHERE session = 's1'`)
	if err != nil || !strings.Contains(strings.Join(plan, "\n"), "events_session") {
		t.Errorf("the statements of a session are found by %v (%v)", plan, err)
	}
}

// WaitForSpace holds sessions up while more waits than may, and no statement is refused or lost.
func TestSessionsAreHeldUpInsteadOfLosingStatements(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{limits: limits{events: 100, bytes: 1 << 20, statements: 4000}})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	db := raw(t, path)
	alter(t, db, "BEGIN IMMEDIATE") // nothing can be written
	n := 0
	for ; ; n++ {
		ctx, cancel := contextWithTimeout(t, 20*time.Millisecond)
		err := d.WaitForSpace(ctx)
		cancel()
		if err != nil {
			break
		}
		d.Enqueue(block("s1", ran(fmt.Sprint("select ", n), 20)))
	}
	if n < 10 || n > 30 {
		t.Fatalf("%d statements were let through", n)
	}
	entered := make(chan error, 1)
	go func() { entered <- d.WaitForSpace(context.WithoutCancel(t.Context())) }()
	d.Enqueue(block("s1", ran("one that does not ask", 20)), end("s1", t0.Add(time.Second)))
	alter(t, db, "ROLLBACK")
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := verified(t, path); h.Events != int64(4+n+1+1) {
		t.Errorf("%d events, want the login, %d statements and the end", h.Events, n+1)
	}
}

// However many statements were announced, those that are in the log take no place of the others.
func TestAnnouncedStatementsLeaveTheQueue(t *testing.T) {
	d := open(t, logPath(t), Options{limits: limits{events: 10, bytes: 10 << 10, statements: 10 << 10}})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	for n := range 100 {
		if _, err := d.AppendStarted(t.Context(), "s1", Statement{Kind: KindSimple, SQL: fmt.Sprint("select ", n), Start: t0}); err != nil {
			t.Fatalf("statement %d: %v", n, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queue.events != 0 || d.queue.bytes != 0 || d.queue.statements != 0 {
		t.Errorf("the queue counts %d events, %d and %d bytes", d.queue.events, d.queue.bytes, d.queue.statements)
	}
}

// DecodeStatement reads what encoding/json reads, member by member.
func TestDecodeStatement(t *testing.T) {
	whole := Statement{Start: t0}
	v := reflect.ValueOf(&whole).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(fmt.Sprint("field \"", i, "\"\n"))
		case reflect.Int64:
			f.SetInt(int64(i + 1))
		}
	}
	whole.Params = []Param{{Text: "x"}, {Null: true}, {Text: "eA==", Base64: true}, {Cut: true}}
	detail, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var want Statement
	if err := json.Unmarshal(detail, &want); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeStatement(detail)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, broken := range []string{"", "[]", `{"kind":1}`, `{"rows":"x"}`, `{"params":[`} {
		if _, err := DecodeStatement([]byte(broken)); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}
