package session_test

import (
	"strings"
	"testing"
	"time"

	"gprxy/session/relay"
)

// A COPY that failed with a Sync under way: what was sent behind it has no outcome that is certain.
func TestAnAnswerInDoubtIsNobodys(t *testing.T) {
	t.Parallel()
	admin(t, "create table answered (n int)")
	admin(t, "grant all on answered to app_writer")
	t.Cleanup(func() { admin(t, "drop table answered") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	run := func(sql string) string { return parseAs("", sql) + bindTo("", "") + executePortal("", 0) }
	send(t, conn, run("copy answered from stdin")+message('H', ""))
	receiveUntil(t, conn, 'G')
	send(t, conn, syncing+message('f', "no\x00")+run("select 'skipped'")+syncing+run("select 'evil'")+syncing)
	receiveUntil(t, conn, 'Z')
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || !strings.Contains(got[0], "evil") {
		t.Errorf("got %q: this tests nothing", got)
	}
	p.untilEnded(conn)
	for _, s := range p.statements() {
		if strings.HasPrefix(s.SQL, "select") && s.Outcome != "unknown" {
			t.Errorf("recorded %s", told(s))
		}
	}
	p.wantText("select 'evil'", "statement.executed")
}

// In doubt nothing is taken off what is under way: that there is much of it holds nobody up.
func TestDoubtHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	admin(t, "create table doubting (n int)")
	admin(t, "grant all on doubting to app_writer")
	t.Cleanup(func() { admin(t, "drop table doubting") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	send(t, conn, query("copy doubting from stdin"))
	receiveUntil(t, conn, 'G')
	send(t, conn, syncing+message('f', "no\x00")+parseAs("", "select 1")+strings.Repeat(bindTo("", "")+executePortal("", 0), 1500)+syncing)
	receiveUntil(t, conn, 'Z')
	receiveUntil(t, conn, 'Z')
	send(t, conn, query("select 'here'"))
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	p.wantText("select 'here'", "statement.executed")
}

// A Flush that is wrong makes PostgreSQL skip to the next Sync, though it owes no answer.
func TestAWrongFlushMisleadsNobody(t *testing.T) {
	t.Parallel()
	admin(t, "create table flushed (n int)")
	admin(t, "grant all on flushed to app_writer")
	t.Cleanup(func() { admin(t, "drop table flushed") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	const evil = "insert into flushed values (1)"
	send(t, conn, message('H', "x"))
	receiveUntil(t, conn, 'E')
	for _, sent := range []string{query("select 'skipped'") + syncing, query(evil), query("select 1/0")} {
		send(t, conn, sent)
		receiveUntil(t, conn, 'Z')
	}
	p.untilEnded(conn)
	p.wantText(evil, "statement.executed")
	for _, s := range p.statements() {
		if s.SQL == evil && s.Outcome != "" && s.Outcome != "unknown" || strings.Contains(s.SQL, "skipped") && s.Outcome == "" {
			t.Errorf("recorded %s", told(s))
		}
	}
	if got := admin(t, "select count(*) from flushed"); got != "1" {
		t.Errorf("%s rows: this tests nothing", got)
	}
}

// END is a name as well as the end of a body.
func TestNoLabelMisleadsTheRecord(t *testing.T) {
	t.Parallel()
	admin(t, "create schema labels")
	admin(t, "create table labels.t (n int)")
	admin(t, "grant all on schema labels to app_writer; grant all on labels.t to app_writer")
	t.Cleanup(func() { admin(t, "drop schema labels cascade") })
	committed := serverMajor(t) >= 14 // before, BEGIN ATOMIC is a syntax error, and nothing runs of a Query with it
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	for _, label := range []string{"as end", "end"} {
		conn := rawSession(t, p, "WRITER")
		const evil = "insert into labels.t values (666)"
		send(t, conn, query("create or replace function labels.f() returns int begin atomic select 1 "+label+"; select 1; end; begin; "+
			""+evil+"; commit; select 1/0"))
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 0 {
			t.Errorf("it gave %q", got)
		}
		before := len(p.statements())
		p.untilEnded(conn)
		for _, s := range p.statements()[before:] {
			if s.SQL == evil && (s.Outcome == "") != committed {
				t.Errorf("%s: %s, but that it was committed is %v", label, told(s), committed)
			}
		}
	}
	if got := admin(t, "select count(*) from labels.t"); got != map[bool]string{true: "2", false: "0"}[committed] {
		t.Errorf("%s rows: this tests nothing", got)
	}
}

// What makes gprxy believe that a name stands for another text than PostgreSQL runs.
func TestNoNameMisleadsTheRecord(t *testing.T) {
	t.Parallel()
	const evil, harmless = "select 'evil'", "select 'harmless'"
	run := bindTo("", "") + executePortal("", 0) + syncing
	many := strings.Repeat("select 1;", 1000)
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	for name, test := range map[string]struct {
		sent  string
		ready int
		want  string
	}{
		"a Query that is skipped drops no statement": {
			parseAs("", evil) + syncing + parseAs("x", "selec") + query(harmless) + syncing + run, 3,
			`extended "select 'evil'" tag=SELECT rows=1 tx=I`},
		"a Query without an end drops no statement": {
			parseAs("", evil) + message('Q', harmless) + run, 2, `extended "select 'evil'" tag=SELECT rows=1 tx=I`},
		"a Query with two ends drops no statement": {
			parseAs("", evil) + syncing + message('Q', harmless+"\x00\x00") + run, 3, `extended "select 'evil'" tag=SELECT rows=1 tx=I`},
		"a Query of nothing drops no statement": {
			parseAs("", evil) + syncing + message('Q', "") + run, 3, `extended "select 'evil'" tag=SELECT rows=1 tx=I`},
		"a Query of no statement leaves the portal": {
			query("begin") + parseAs("", "select 'evil' from generate_series(1, 9)") + bindTo("", "") + executePortal("", 1) + syncing + query(";") +
				executePortal("", 1) + syncing, 4,
			`extended "select 'evil' from generate_series(1, 9)" part=2 rows=1 outcome=suspended tx=T`},
		"PREPARE in a DO": {
			parseAs("s", harmless) + syncing + query("do $$begin execute 'deallocate s'; execute 'prepare s as "+strings.ReplaceAll(evil, "'",
				"''")+"'; end$$") + bindTo("", "s") + executePortal("", 0) + syncing, 3,
			`extended "" name=s tag=SELECT rows=1 tx=I`},
		"PREPARE in a DO that fails": {
			parseAs("s", harmless) + syncing + parseAs("", "do $$begin execute 'DEALLOCATE s'; execute 'prepare s as "+strings.ReplaceAll(evil, "'",
				"''")+
				"'; raise exception 'no'; end$$") + bindTo("", "") + executePortal("", 0) + syncing + bindTo("", "s") + executePortal("", 0) + syncing,
			3,
			`extended "" name=s tag=SELECT rows=1 tx=I`},
		"DEALLOCATE ALL spares the unnamed statement": {
			parseAs("d", "deallocate all") + parseAs("", evil) + bindTo("", "d") + executePortal("", 0) + syncing + run, 2,
			`extended "select 'evil'" tag=SELECT rows=1 tx=I`},
		"PREPARE with an escaped name": {
			parseAs("s", harmless) + syncing + query(`deallocate U&"\0073"; prepare U&"\0073" as `+evil) + bindTo("", "s") + executePortal("", 0) +
				syncing, 3,
			`extended "" name=s tag=SELECT rows=1 tx=I`},
		"PREPARE with a name that only Go lowers": {
			parseAs("É", harmless) + syncing + query(`deallocate É; prepare É as `+evil) + bindTo("", "É") + executePortal("", 0) + syncing, 3,
			`extended "" name=É tag=SELECT rows=1 tx=I`},
		"PREPARE among more than are told apart": {
			parseAs("s", harmless) + syncing + query(many+"deallocate s; prepare s as "+evil) + bindTo("", "s") + executePortal("", 0) + syncing, 3,
			`extended "" name=s tag=SELECT rows=1 tx=I`},
		"a cursor in the place of a portal": {
			query("begin") + parseAs("", harmless) + bindTo("c", "") + syncing + query("close c; declare c cursor for "+evil) +
				executePortal("c", 0) + syncing, 4,
			`extended "" portal=c tag=SELECT rows=1 tx=T`},
	} {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, test.sent)
		var last []received
		for range test.ready {
			last = receiveUntil(t, conn, 'Z')
		}
		if got := rows(last); len(got) != 1 || !strings.Contains(got[0], "evil") {
			t.Errorf("%s: it gave %q: this tests nothing", name, got)
		}
		p.untilEnded(conn)
		all := p.statements()
		if got := told(all[len(all)-1]); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
}
