package session_test

import (
	"strings"
	"testing"

	"gprxy/session/relay"
	"gprxy/store"
)

// A Query of several statements that cannot be taken apart for certain has one row. It says error only if all of it is undone: what
// may have been committed before the error is unknown.
func TestAnErrorOfSeveralStatementsIsNotThatOfAll(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText), func(o *options) { o.session.Statements.MaxText = 4096 })
	const insert = "insert into items values (-9201, 'several')"
	long := " /*" + strings.Repeat("x", 6000) + "*/"
	unsure := `; select 'a\' ; select 1/0 --'` // by standard_conforming_strings, which what is under way may change
	for name, test := range map[string]struct {
		sent    []string // Queries, at once
		outcome string
		rows    string // that are there afterwards
	}{
		"cut":                 {[]string{insert + "; select 1/0" + long}, store.OutcomeError, "0"},
		"cut, committed":      {[]string{insert + "; commit; select 1/0" + long}, store.OutcomeUnknown, "1"},
		"cut, not the last":   {[]string{insert + "; commit; select 1/0; select 2" + long}, store.OutcomeUnknown, "1"},
		"cut, one":            {[]string{"select 1/0" + long}, store.OutcomeError, "0"},
		"cut, one done":       {[]string{insert + ";" + strings.Repeat(" ", 6000)}, "", "1"},
		"too many":            {[]string{insert + "; select 1/0" + strings.Repeat("; select 1", 1001)}, store.OutcomeError, "0"},
		"too many, committed": {[]string{insert + "; commit; select 1/0" + strings.Repeat("; select 1", 1001)}, store.OutcomeUnknown, "1"},
		"too many done": {[]string{insert + "; commit" + strings.Repeat("; select 1", 1001) + "; select 1/0"},
			store.OutcomeUnknown, "1"},
		"two readings":            {[]string{"select 1", insert + unsure}, store.OutcomeError, "0"},
		"two readings, committed": {[]string{"select 1", insert + "; commit" + unsure}, store.OutcomeUnknown, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(p.statements())
			conn := rawSession(t, p, "WRITER")
			var all strings.Builder
			for _, sql := range test.sent {
				all.WriteString(query(sql))
			}
			send(t, conn, all.String())
			for range test.sent {
				receiveUntil(t, conn, 'Z')
			}
			p.untilEnded(conn)
			recorded := p.statements()[before:]
			last := recorded[len(recorded)-1]
			if len(recorded) != len(test.sent) || last.Outcome != test.outcome || (last.Doubt != "") != (test.outcome == store.OutcomeUnknown) {
				t.Errorf("%d rows, the last %s, doubt %q; want the outcome %q", len(recorded), told(last), last.Doubt, test.outcome)
			}
			if got := admin(t, "with gone as (delete from items where name = 'several' returning 1) select count(*) from gone"); got != test.rows {
				t.Errorf("%s rows are there, want %s", got, test.rows)
			}
		})
	}
}

// Which of several statements an error of the text is about cannot be told: none of them was run.
func TestATextThatIsRefusedWhole(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText))
	for _, second := range []string{`select E'\u00zz'`, `select U&'\zzzz'`, "create assertion x check (true)", "selec 1", "select '\xff'"} {
		before := len(p.statements())
		conn := rawSession(t, p, "WRITER")
		sql := "insert into items values (-9301, 'whole'); " + second
		send(t, conn, query(sql))
		receiveUntil(t, conn, 'Z')
		p.untilEnded(conn)
		recorded := p.statements()[before:]
		if len(recorded) != 1 || recorded[0].Outcome != store.OutcomeError || recorded[0].Part != 0 {
			t.Errorf("%q: %d rows, the first %s", sql, len(recorded), told(recorded[0]))
		}
	}
}

// PostgreSQL before 16 reads 1_0 as a number and a name, which decides where literals begin.
func TestNumbersOfOldReleases(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText))
	for _, number := range []string{"1_0$a$", "0x1_0$a$", "1e5_0$a$", "0b1$a$", "0o17$a$"} {
		before := len(p.statements())
		conn := rawSession(t, p, "WRITER")
		send(t, conn, query("select "+number+"; insert into items values (-9401, 'numbers'); commit; select '"+number+"; select 1; select 2; --'\n; select 1/0"))
		receiveUntil(t, conn, 'Z')
		p.untilEnded(conn)
		committed := admin(t, "with gone as (delete from items where name = 'numbers' returning 1) select count(*) from gone") == "1"
		inserted := false
		for _, s := range p.statements()[before:] {
			if s.Tag == "INSERT" {
				inserted = true
				if !strings.HasPrefix(s.SQL, "insert") {
					t.Errorf("%s: the insert is recorded as %s", number, told(s))
				}
			}
		}
		if committed != inserted {
			t.Errorf("%s: committed %v, recorded %v", number, committed, inserted)
		}
	}
}
