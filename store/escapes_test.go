package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// hostile holds one of each kind: a command to the terminal, line breaks, a delete, a C1 control, text that runs backwards,
// what is not seen, and beside them what is to stay.
const (
	hostile      = "x\x01\x1b[2J\a\t\r\n\x7f\u0085\u009b\u00ad\u200b\u2028\u202eevé\ufeff\\日"
	hostileName  = `x\x01\x1b[2J\a\t\r\n\x7f\u0085\u009b\u00ad\u200b\u2028\u202eevé\ufeff\日`
	hostileLines = `x\x01\x1b[2J\a` + "\t" + `\r` + "\n" + `\x7f\u0085\u009b\u00ad\u200b\u2028\u202eevé\ufeff\日`
)

// Nothing that a stranger, a token or a statement brings reaches a terminal as it is through sqlite3: in none of the views.
func TestViewsEscapeWhatATerminalWouldObey(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	d := open(t, path, Options{})
	at := func(session string, f Fact) Event { return Event{Time: t0, Session: session, Fact: f} }
	statement := ran("select 'x'", 20)
	statement.SQL, statement.Name, statement.Portal, statement.Message = hostile, hostile, hostile, hostile
	statement.Params = []Param{{Text: hostile}}
	for _, s := range []struct{ id, name string }{{"06d3k2p8w1zvq4ta", hostile}, {"06d3k2p8w1zvq4tb", "plain"}} {
		mustAppend(t, d,
			at(s.id, SessionConnected{Client: "10.0.0.1:1", RequestedUser: s.name, Database: s.name, ApplicationName: s.name}),
			at(s.id, AuthSucceeded{Method: "password", User: s.name, Roles: []string{s.name}}),
			at(s.id, RoleMapped{Role: s.name, ServiceAccount: s.name}),
			at(s.id, SessionStarted{ServiceAccount: s.name, BackendPID: 1}),
			block(s.id, statement), at(s.id, StatementStarted{statement}),
			at(s.id, SessionEnded{Reason: "client_terminated"}))
	}
	db := raw(t, path)
	for _, view := range []string{"v_sessions", "escaped_sessions", "v_account_use", "v_statements", "v_events"} {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+view)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for i, column := range columns {
				text, _ := (*values[i].(*any)).(string)
				lines := view == "v_statements" && (column == "text" || column == "message")
				if at := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !(lines && (r == '\n' || r == '\t')) }); at >= 0 {
					t.Errorf("%s.%s holds %q", view, column, text)
				}
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}

	for query, want := range map[string]string{
		`SELECT user FROM v_sessions WHERE session = '06d3k2p8w1zvq4ta'`:                            hostileName,
		`SELECT requested_user FROM v_sessions WHERE database = '` + hostileName + `'`:              hostileName,
		`SELECT user FROM v_sessions WHERE user = 'plain'`:                                          "plain",
		`SELECT text FROM v_statements WHERE user = '` + hostileName + `'`:                          hostileLines,
		`SELECT name FROM v_statements WHERE user = 'plain'`:                                        hostileName,
		`SELECT params ->> '$[0]' FROM v_statements LIMIT 1`:                                        hostile,
		`SELECT count(*) FROM v_sessions`:                                                           "2",
		`SELECT count(*) FROM v_events`:                                                             "14",
		`SELECT count(*) FROM v_statements`:                                                         "2",
		`SELECT roles ->> 0 FROM v_sessions ORDER BY session LIMIT 1`:                               hostile,
		`SELECT detail ->> 'requested_user' FROM v_events WHERE type = 'session.connected' LIMIT 1`: "plain",
		`SELECT group_concat(user) FROM (SELECT user FROM v_account_use ORDER BY length(user))`:     "plain," + hostileName,
		`SELECT service_account FROM v_events WHERE user = '` + hostileName + `' GROUP BY 1`:        hostileName,
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\n got  %q (%v)\n want %q", query, got, err, want)
		}
	}
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{})) { // JSON says the same as before
		var shown string
		if err := db.QueryRowContext(t.Context(), `SELECT detail FROM v_events WHERE seq = ?`, rec.Seq).Scan(&shown); err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(shown), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(rec.Detail, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %s is not %s", rec.Seq, shown, rec.Detail)
		}
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	verified(t, path)
}

// A file of the version before has them after a start.
func TestOlderFilesGetTheEscapes(t *testing.T) {
	t.Parallel()
	shapes, err := shapeOf(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	older, err := shapeOf(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := older["escaped_sessions"]; there || shapes["escaped_sessions"].kind != "view" ||
		shapes["v_sessions"] == older["v_sessions"] {
		t.Errorf("version 4 %v, version 5 %v", older["escaped_sessions"], shapes["escaped_sessions"])
	}
}

// What people are looked for by is still found by the indexes, and not by reading the whole log.
func TestViewsAreFoundByIndexes(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, login("s1", "ann", "app_reader", t0.Add(time.Second))...)
	db := raw(t, path)
	for query, index := range map[string]string{
		`SELECT * FROM v_sessions WHERE user = 'ann'`:             "sessions_user",
		`SELECT * FROM v_sessions WHERE service_account = 'a'`:    "sessions_service_account",
		`SELECT * FROM v_sessions WHERE database = 'd'`:           "sessions_database",
		`SELECT * FROM v_events WHERE user = 'ann'`:               "sessions_user",
		`SELECT * FROM v_events WHERE session = 's1'`:             "events_session",
		`SELECT * FROM v_events WHERE type = 'session.connected'`: "events_type",
	} {
		plan, err := collect(t.Context(), db, func(scan func(...any) error) (s string, err error) {
			var a, b, c int
			err = scan(&a, &b, &c, &s)
			return s, err
		}, `EXPLAIN QUERY PLAN `+query)
		if all := strings.Join(plan, "\n"); err != nil || !strings.Contains(all, index) || !strings.Contains(all, "sessions_escaped") &&
			!strings.Contains(all, "autoindex") {
			t.Errorf("%s is found by\n%s (%v)", query, all, err)
		}
	}
}
