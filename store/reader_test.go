// The questions people ask of the log, while a proxy writes it and without one.

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// shop is a log with a known story: s1 ann ended, s2 bob active, s3 eve refused, s4 still logging
// in, s5 ann active since later, and a cancel that hit nothing.
func shop(t testing.TB) (*DB, string) {
	path := logPath(t)
	d := open(t, path, Options{})
	hour := func(h int) time.Time { return t0.Add(time.Duration(h) * time.Hour) }
	mustAppend(t, d, Event{Time: hour(0), Fact: ProxyStarted{Version: "1"}})
	mustAppend(t, d, login("s1", "ann", "app_reader", hour(1))...)
	mustAppend(t, d, login("s2", "bob", "app_writer", hour(2))...)
	mustAppend(t, d, end("s1", hour(3)))
	mustAppend(t, d,
		Event{hour(4), "s3", SessionConnected{Client: "10.0.0.9:1", RequestedUser: "eve", Database: "other"}},
		Event{hour(4), "s3", AuthFailed{Method: "password", Reason: "wrong_password"}},
		Event{hour(4), "s3", SessionRefused{SQLState: "28P01", Reason: "auth_failed"}})
	mustAppend(t, d, login("s4", "dan", "", hour(5))[:1]...)
	mustAppend(t, d, login("s5", "ann", "app_writer", hour(6))...)
	mustAppend(t, d, Event{Time: hour(7), Fact: CancelRejected{Client: "10.0.0.66:6", BackendPID: 1, Reason: "unknown_key"}})
	return d, path
}

func at(hours float64) time.Time { return t0.Add(time.Duration(hours * float64(time.Hour))) }

func TestSessionFilters(t *testing.T) {
	_, path := shop(t)
	r := reader(t, path)
	for _, tc := range []struct {
		name string
		f    SessionFilter
		want string
	}{
		{"all, newest first, none that is logging in", SessionFilter{}, "s5 s3 s2 s1"},
		{"limit", SessionFilter{Limit: 2}, "s5 s3"},
		{"active", SessionFilter{Active: true}, "s5 s2"},
		{"user", SessionFilter{User: "ann"}, "s5 s1"},
		{"active user", SessionFilter{User: "ann", Active: true}, "s5"},
		{"account", SessionFilter{ServiceAccount: "app_writer"}, "s5 s2"},
		{"database", SessionFilter{Database: "other"}, "s3"},
		{"since: also what began before and lasted", SessionFilter{Since: at(3.5)}, "s5 s3 s2"},
		{"since, account", SessionFilter{Since: at(3.5), ServiceAccount: "app_reader"}, ""},
		{"since and user", SessionFilter{Since: at(3.5), User: "ann"}, "s5"},
		{"until", SessionFilter{Until: at(4)}, "s2 s1"},
		{"between", SessionFilter{Since: at(3.5), Until: at(5)}, "s3 s2"},
		{"nobody", SessionFilter{User: "nobody"}, ""},
	} {
		got := strings.Join(ids(all(t, r.Sessions(t.Context(), tc.f))), " ")
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestEventFilters(t *testing.T) {
	_, path := shop(t)
	r := reader(t, path)
	for _, tc := range []struct {
		name string
		f    EventFilter
		want string
	}{
		{"all", EventFilter{}, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"},
		{"the newest, oldest first", EventFilter{Limit: 3}, "17 18 19"},
		{"after", EventFilter{AfterSeq: 17}, "18 19"},
		{"user", EventFilter{User: "ann"}, "2 3 4 5 10 15 16 17 18"},
		{"the newest of a user", EventFilter{User: "ann", Limit: 5}, "10 15 16 17 18"},
		{"the newest of a user and a time", EventFilter{User: "ann", Until: at(5.5), Limit: 2}, "5 10"},
		{"the newest of a user and a type", EventFilter{User: "ann", Type: "session.connected", Limit: 1}, "15"},
		{"account", EventFilter{ServiceAccount: "app_writer"}, "6 7 8 9 15 16 17 18"},
		{"account and user", EventFilter{ServiceAccount: "app_writer", User: "ann"}, "15 16 17 18"},
		{"database", EventFilter{Database: "other"}, "11 12 13"},
		{"type", EventFilter{Type: "session.started"}, "5 9 18"},
		{"the newest of a type", EventFilter{Type: "session.started", Limit: 1}, "18"},
		{"type of a user", EventFilter{Type: "session.started", User: "bob"}, "9"},
		{"type that is not there", EventFilter{Type: "statement.executed"}, ""},
		{"session", EventFilter{Session: "s1"}, "2 3 4 5 10"},
		{"session and type", EventFilter{Session: "s1", Type: "session.ended"}, "10"},
		{"since", EventFilter{Since: at(5.5)}, "15 16 17 18 19"},
		{"until", EventFilter{Until: at(0.5)}, "1"},
		{"between, of a user", EventFilter{Since: at(2.5), Until: at(3.5), User: "ann"}, "10"},
		{"never", EventFilter{Since: at(100)}, ""},
		{"requested user", EventFilter{RequestedUser: "eve"}, "11 12 13"},
		{"the newest of a requested user", EventFilter{RequestedUser: "eve", Limit: 1}, "13"},
		{"SQLSTATE", EventFilter{SQLState: "28P01"}, "13"},
		{"SQLSTATE of a session", EventFilter{SQLState: "28P01", Session: "s1"}, ""},
		{"the newest of a SQLSTATE", EventFilter{SQLState: "28P01", Limit: 1}, "13"},
	} {
		for _, way := range []string{"", "walking", "by sessions"} {
			if way != "" && tc.f.byContent() {
				continue // has a way of its own
			}
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

func TestFindsContentFarBack(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	ran := func(sql, state string) Statement {
		return Statement{Kind: KindSimple, SQL: sql, SQLState: state, Start: t0.Add(time.Second)}
	}
	many := make([]Statement, recentEvents)
	for i := range many {
		many[i] = ran("select 1", "")
	}
	for _, statements := range [][]Statement{{ran("select a", "42703"), ran("SELECT b", "42703")}, many,
		{ran("Select c", "42703"), ran("select 1", "")}} {
		mustAppend(t, d, Event{Session: "s1", Fact: StatementsExecuted{statements}})
	}
	r := reader(t, path)
	for limit, want := range []string{"a b c", "c", "b c", "a b c", "a b c"} {
		var got []string
		for _, rec := range all(t, r.Events(t.Context(), EventFilter{SQLState: "42703", Text: "select", User: "ann", Limit: limit})) {
			var s struct{ SQL string }
			if err := json.Unmarshal(rec.Detail, &s); err != nil {
				t.Fatal(err)
			}
			got = append(got, s.SQL[len("select "):])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("limit %d: %q, want %q", limit, s, want)
		}
	}
}

// eventsBy answers as Events does, or as it would if a filter matched too much to be sorted.
func eventsBy(t *testing.T, r *Reader, way string, f EventFilter) func(func(Record, error) bool) {
	switch {
	case way == "":
		return r.Events(t.Context(), f)
	case way == "by sessions":
		return newestBySessions(t, r, f)
	}
	return func(yield func(Record, error) bool) {
		to, err := r.lastSeq(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.span(t.Context(), f, to)
		if err != nil {
			t.Fatal(err)
		}
		skip := int64(0)
		if f.Limit > 0 && !s.empty() {
			var n int
			if s.from, n, err = r.newestFrom(t.Context(), f, s); err != nil {
				t.Fatal(err)
			}
			skip = f.over(n)
		}
		if err := r.walk(t.Context(), f, s, skip, func(rec Record) bool { return yield(rec, nil) }); err != nil {
			t.Fatal(err)
		}
	}
}

// newestBySessions answers as Events does for who is seldom in a long log.
func newestBySessions(t *testing.T, r *Reader, f EventFilter) func(func(Record, error) bool) {
	if !f.bySession() || f.Limit == 0 {
		return r.Events(t.Context(), f)
	}
	return func(yield func(Record, error) bool) {
		to, err := r.lastSeq(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, err := r.span(t.Context(), f, to)
		if err != nil {
			t.Fatal(err)
		}
		hits, err := r.newestHits(t.Context(), f, in)
		if err != nil {
			t.Fatal(err)
		}
		hits, skip := f.newest(hits)
		if err := r.giveHits(t.Context(), hits, skip, func(rec Record) bool { return yield(rec, nil) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFactsLateForTheirPlaceAreFoundByTheirTime(t *testing.T) {
	d, path := shop(t)
	mustAppend(t, d, Event{Time: at(0.25), Fact: ProxyStopped{Reason: "told late"}})
	got := all(t, reader(t, path).Events(t.Context(), EventFilter{Until: at(0.5)}))
	if len(got) != 2 || got[1].Type != "proxy.stopped" {
		t.Errorf("got %v", got)
	}
}

func TestPagesJoinWithoutSeam(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	n := 2*pageRows + 7
	var events []Event
	for i := range n {
		events = append(events, login(sessionID(i), "ann", "app_reader", t0)[0], end(sessionID(i), t0)) // all of one moment
	}
	mustAppend(t, d, events...)
	r := reader(t, path)
	sessions := ids(all(t, r.Sessions(t.Context(), SessionFilter{})))
	if len(sessions) != n || sessions[0] != sessionID(n-1) || sessions[n-1] != sessionID(0) {
		t.Errorf("%d sessions, want %d", len(sessions), n)
	}
	if got := len(all(t, r.Sessions(t.Context(), SessionFilter{Limit: pageRows + 1}))); got != pageRows+1 {
		t.Errorf("%d sessions with a limit", got)
	}
	for _, f := range []EventFilter{{}, {Database: "shop"}} {
		recs := all(t, r.Events(t.Context(), f))
		for i, rec := range recs {
			if rec.Seq != int64(i+1) {
				t.Fatalf("%+v: record %d has seq %d", f, i, rec.Seq)
			}
		}
		if len(recs) != 2*n {
			t.Errorf("%+v: %d records", f, len(recs))
		}
	}
	for range r.Events(t.Context(), EventFilter{}) {
		break // must not be called again
	}
}

func TestNewestOfSomebodyLongGone(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	filler := make([]Event, recentEvents)
	for i := range filler {
		filler[i] = Event{Time: t0, Fact: ProxyStopped{}}
	}
	mustAppend(t, d, filler...)
	mustAppend(t, d, end("s1", t0))
	for limit, want := range map[int]string{1: "[20005]", 3: "[3 4 20005]", 9: "[1 2 3 4 20005]"} {
		var got []int64
		for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{User: "ann", Limit: limit})) {
			got = append(got, rec.Seq)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("limit %d: got %v, want %s", limit, got, want)
		}
	}
}

func TestFollowSeesWhatIsCommitted(t *testing.T) {
	d, path := shop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []int64
	for rec, err := range reader(t, path).Follow(ctx, EventFilter{User: "ann", Limit: 1}, minPoll) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec.Seq)
		switch rec.Seq {
		case 18:
			mustAppend(t, d, end("s2", at(8)), end("s5", at(8))) // 20 is bob's, 21 is ann's
		case 21:
			mustAppend(t, d, login("s6", "ann", "app_reader", at(9))...)
		case 25:
			cancel() // ends it without an error
		}
	}
	wantEqual(t, "followed", got, []int64{18, 21, 22, 23, 24, 25})
}

func TestRecordJSON(t *testing.T) {
	_, path := shop(t)
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "cancel.rejected"}))
	b, err := json.Marshal(recs[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":19,"time":"2026-03-01T16:30:00.123456Z","type":"cancel.rejected","session":null,"user":null,"service_account":null,` +
		`"database":null,"client":"10.0.0.66:6","detail":{"client":"10.0.0.66:6","backend_pid":1,"reason":"unknown_key"},"hash":"` +
		fmt.Sprintf("%x", recs[0].Hash) + `"}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestViewsSayTheSameAsJSON(t *testing.T) {
	_, path := shop(t)
	r := reader(t, path)
	db := raw(t, path)
	for _, s := range all(t, r.Sessions(t.Context(), SessionFilter{})) {
		assertSameRow(t, db, `SELECT * FROM v_sessions WHERE session = ?`, s.Session, s)
	}
	for _, rec := range all(t, r.Events(t.Context(), EventFilter{})) {
		assertSameRow(t, db, `SELECT * FROM v_events WHERE seq = ?`, rec.Seq, rec)
	}
}

func TestAccountUse(t *testing.T) {
	_, path := shop(t)
	got, err := collect(t.Context(), raw(t, path), scanString, `
		SELECT printf('%s %s sessions=%d active=%d refused=%d first=%s statements=%d',
			coalesce(service_account, '-'), coalesce(user, '-'), sessions, active, refused, substr(first, 12, 5), statements)
		FROM v_account_use
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "v_account_use", got, []string{
		"- - sessions=0 active=0 refused=1 first=13:30 statements=0",
		"app_reader ann sessions=1 active=0 refused=0 first=10:30 statements=3",
		"app_writer ann sessions=1 active=1 refused=0 first=15:30 statements=0",
		"app_writer bob sessions=1 active=1 refused=0 first=11:30 statements=0",
	})
}

// TestQuestionsUseIndexes keeps what people type from reading the whole log.
func TestQuestionsUseIndexes(t *testing.T) {
	_, path := shop(t)
	r := reader(t, path)
	for _, f := range []SessionFilter{{}, {Active: true}, {User: "ann"}, {ServiceAccount: "a"}, {Database: "d"}, {Since: t0}} {
		source, err := r.sessionSource(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		c := f.conditions()
		plan := explain(t, r, `SELECT `+sessionColumns+` FROM `+source+c.where()+` ORDER BY started DESC, seq DESC LIMIT 5`, c.args)
		if (strings.Contains(plan, "SCAN") && !strings.Contains(plan, "USING INDEX")) || strings.Contains(plan, "SCAN sessions\n") {
			t.Errorf("%+v reads the whole table:\n%s", f, plan)
		}
	}
	for _, f := range []EventFilter{{}, {Type: "log.read"}, {Session: "s1"}, {Session: "s1", Type: "log.read"}, {User: "ann"}} {
		c := &conditions{}
		f.ofSession(c)
		f.ofEvent(c, span{1, 10})
		plan := explain(t, r, `SELECT e.seq FROM `+f.walked()+c.where()+` ORDER BY e.seq LIMIT 5`, c.args)
		if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%+v reads the whole table or sorts:\n%s", f, plan)
		}
	}
}

func explain(t *testing.T, r *Reader, query string, args []any) string {
	t.Helper()
	steps, err := collect(t.Context(), r.db, func(scan func(...any) error) (step string, err error) {
		var id, parent, unused int
		err = scan(&id, &parent, &unused, &step)
		return step, err
	}, `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n") + "\n"
}
