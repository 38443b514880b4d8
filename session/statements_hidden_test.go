package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/session/relay"
	"gprxy/store"
)

func strictly(o *options) {
	recordingAs(relay.RecordText)(o)
	o.session.Statements.Strict = true
}

// wantText requires that the log has a text in rows of the type, or in any.
func (p *proxy) wantText(text string, types ...string) {
	p.t.Helper()
	if len(types) == 0 {
		types = []string{"statement.executed", "statement.started"}
	}
	for _, kind := range types {
		found := false
		for _, r := range p.records(kind) {
			found = found || strings.Contains(string(r.Detail), text)
		}
		if !found {
			var all []string
			for _, s := range p.statements() {
				all = append(all, told(s))
			}
			p.t.Errorf("the text %q stands in no %s; recorded:\n%s", text, kind, strings.Join(all, "\n"))
		}
	}
}

// Whatever way PostgreSQL comes to run a text, the log has it, and in strict mode before.
func TestNoTextIsHidden(t *testing.T) {
	t.Parallel()
	const evil = "select 'evil' from items limit 3"
	long := strings.Repeat("x", 600)
	letters := strings.Repeat("n", 62)
	for name, sent := range map[string]string{
		"EXECUTE in SQL": parseAs("s", evil) + syncing + query("execute s"),
		"FETCH in SQL":   query("begin") + parseAs("", evil) + bindTo("c", "") + query("fetch all from c"),
		"a portal with a long name": parseAs("evil", evil) + parseAs("", "select 'harmless'") + bindTo(long, "evil") +
			executePortal(long, 0) + syncing + query("select 1"),
		"names that end within a character": parseAs(letters+"é", evil) + parseAs(letters, "select 'harmless'") +
			bindTo("", letters+"é") + executePortal("", 0) + syncing + query("select 1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, quietly, strictly)
			conn := rawSession(t, p, "WRITER")
			send(t, conn, sent)
			ran := 0
			for range 2 {
				ran += strings.Count(strings.Join(rows(receiveUntil(t, conn, 'Z')), " "), "evil")
			}
			p.untilEnded(conn)
			p.wantText("'evil' from items", "statement.executed", "statement.started")
			if ran != 3 {
				t.Errorf("it gave %d rows, want 3", ran)
			}
		})
	}
}

// PostgreSQL runs what seems immutable when it plans, which is the Bind's.
func TestABindAloneIsRecorded(t *testing.T) {
	t.Parallel()
	admin(t, "create table bound (n int)")
	admin(t, "grant all on bound to app_writer")
	admin(t, "create function put(n int) returns int language plpgsql volatile as $$ begin insert into bound values (n); return n; end $$")
	admin(t, "create function puts(n int) returns int language plpgsql immutable as $$ begin return put(n); end $$")
	t.Cleanup(func() { admin(t, "drop table bound cascade"); admin(t, "drop function put, puts") })
	p := startProxy(t, quietly, strictly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, parseAs("", "select puts(7)")+bindTo("", "")+syncing)
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	if got := admin(t, "select count(*) from bound"); got != "1" {
		t.Errorf("the Bind inserted %s rows: this tests nothing", got)
	}
	if got := p.statements(); len(got) != 1 || told(got[0]) != `bind "select puts(7)" tx=I` || got[0].SeqStarted == 0 {
		t.Errorf("recorded %+v", got)
	}
}

// A name that does not fit into what is looked at ends the session before PostgreSQL has it.
func TestNamesTooLongToRecord(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	for _, sent := range []string{
		parseAs(strings.Repeat("x", 13_000), "select 1"), bindTo(strings.Repeat("x", 3000), ""), bindTo("", strings.Repeat("x", 3000)),
		executePortal(strings.Repeat("x", 3000), 0),
	} {
		conn := rawSession(t, p, "READER")
		send(t, conn, sent+syncing)
		if m := wantFatal(t, conn, "08P01"); m.field('H') == "" {
			t.Errorf("no hint in %v", m)
		}
	}
	p.untilAllEnded()
	if got := p.sessions()[0].EndReason; got != "long_name" {
		t.Errorf("ended for %q", got)
	}
}

// A COPY that failed with a Sync under way leaves it open which answer is whose. Strict
// mode announces all the same.
func TestStrictInDoubt(t *testing.T) {
	t.Parallel()
	admin(t, "create table doubted (n int)")
	admin(t, "grant all on doubted to app_writer")
	t.Cleanup(func() { admin(t, "drop table doubted") })
	p := startProxy(t, quietly, strictly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("copy doubted from stdin"))
	receiveUntil(t, conn, 'G')
	send(t, conn, syncing+message('f', "no\x00"))
	receiveUntil(t, conn, 'Z')
	send(t, conn, parseAs("s", "select 'in doubt'")+bindTo("", "s")+executePortal("", 0)+syncing)
	receiveUntil(t, conn, 'Z')
	eventually(t, "the statement is in the log", 20*time.Second, func() bool {
		return slices.ContainsFunc(p.statements(), func(s store.Statement) bool { return s.SQL == "select 'in doubt'" })
	})
	p.wantText("in doubt", "statement.started", "statement.executed")
	folder := filepath.Dir(p.log)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	send(t, conn, query("insert into doubted values (1)"))
	if said := untilReadyOrGone(t, conn); !strings.Contains(said, "C58030\x00") {
		t.Errorf("got %q, want 58030", said)
	}
	if got := admin(t, "select count(*) from doubted"); got != "0" {
		t.Errorf("%s rows were inserted while the log could not be written", got)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log can be written again", 20*time.Second, func() bool { return p.events.Healthy() == nil })
	p.untilAllEnded()
	p.wantText("insert into doubted", "statement.executed")
}

// In doubt, PostgreSQL may run an unnamed statement that gprxy takes to be gone.
func TestInDoubtTheUnnamedStatementIsRecorded(t *testing.T) {
	t.Parallel()
	admin(t, "create table doubtful (n int)")
	admin(t, "grant all on doubtful to app_writer")
	t.Cleanup(func() { admin(t, "drop table doubtful") })
	p := startProxy(t, quietly, strictly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, parseAs("", "select 'evil'")+parseAs("c", "copy doubtful from stdin")+bindTo("", "c")+executePortal("", 0)+message('H', ""))
	receiveUntil(t, conn, 'G')
	send(t, conn, syncing+message('f', "no\x00"))
	receiveUntil(t, conn, 'E')
	send(t, conn, parseAs("", "select 'harmless'")+syncing)
	receiveUntil(t, conn, 'Z')
	send(t, conn, bindTo("", "")+executePortal("", 0)+syncing)
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || !strings.Contains(got[0], "evil") {
		t.Errorf("got %q: this tests nothing", got)
	}
	p.untilEnded(conn)
	p.wantText("select 'evil'", "statement.executed")
	p.wantText("select 'harmless'", "statement.started", "statement.executed")
}

// A setting that changes under way makes a comment of what PostgreSQL runs.
func TestACommentHidesNothing(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("set standard_conforming_strings = off")+query(`select 1; select 'a\'; select 9; -- '; select 'evil'`))
	receiveUntil(t, conn, 'Z')
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 3 || !strings.Contains(got[2], "evil") {
		t.Errorf("got %q: this tests nothing", got)
	}
	p.untilEnded(conn)
	p.wantText("select 'evil'", "statement.executed")
}

// Beyond what memory is given for names, each text has its row all the same.
func TestMorePreparedStatementsThanAreKept(t *testing.T) {
	t.Parallel()
	const kept, each = 20_000, 1000
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	for n := 0; n < kept; n += each {
		var b strings.Builder
		for i := range each {
			b.WriteString(parseAs(fmt.Sprint("s", n+i), ""))
		}
		send(t, conn, b.String()+syncing)
		receiveUntil(t, conn, 'Z')
	}
	send(t, conn, parseAs("evil", "select 'evil'")+bindTo("", "evil")+executePortal("", 0)+syncing)
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	all := p.statements()
	if len(all) != kept+2 {
		t.Fatalf("%d rows", len(all))
	}
	for n, want := range []string{`extended "" name=evil tag=SELECT rows=1 tx=I`, `parse "select 'evil'" name=evil tx=I`} {
		if got := told(all[kept+n]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What a statement was prepared for, what stands behind the cut, and what a value beside
// it is called: all may tell that a value is a secret.
func TestSecretsOutOfSight(t *testing.T) {
	t.Parallel()
	const secret = "Tr0ub4dor3x"
	long := "select '" + strings.Repeat("x", 5000) + "', set_config('app.password', $1, true)"
	function := admin(t, "select lpad(to_hex('pg_catalog.set_config'::regproc::oid::int), 8, '0')")
	var oid [4]byte
	if _, err := fmt.Sscanf(function, "%02x%02x%02x%02x", &oid[0], &oid[1], &oid[2], &oid[3]); err != nil {
		t.Fatal(err)
	}
	argument := func(s string) string { return string([]byte{0, 0, 0, byte(len(s))}) + s }
	p := startProxy(t, quietly, recordingAs(relay.RecordParams), func(o *options) { o.session.Statements.Strict = true })
	for name, sent := range map[string]string{
		"prepared in SQL": query("prepare s(text) as select set_config('app.password', $1, true)") + bindTo("", "s", secret) +
			executePortal("", 0) + syncing,
		"run by SQL": query("prepare s(text) as select set_config('app.password', $1, true)") + query("execute s('"+secret+"')"),
		"prepared and run at once": query("prepare s(text) as select set_config('app.password', $1, true); execute s('"+secret+"')") +
			query("select 1"),
		"run beside another secret": query("prepare s(text, text) as select set_config('app.password', $1, true)") +
			query("execute s('"+secret+"', 'password=x')"),
		"parsed, run by SQL": parseAs("s", long, 25) + syncing +
			query("execute s('"+secret+"')"),
		"behind the cut": query("select 1") + parseAs("", long) + bindTo("", "", secret) + executePortal("", 0) + syncing,
		"a value's name": query("select 1") + parseAs("", "select set_config($1, $2, true)") + bindTo("", "", "app.password", secret) +
			executePortal("", 0) + syncing,
		"values in binary form of types that are not told": query("select 1") + parseAs("", "select set_config($1, $2, true)") +
			message('B', "\x00\x00\x00\x01\x00\x01\x00\x02"+argument("app.password")+argument(secret)+"\x00\x00") + executePortal("", 0) + syncing,
		"a connection string in binary form": query("select 1") + parseAs("", "select $1") +
			message('B', "\x00\x00\x00\x01\x00\x01\x00\x01"+argument("host=h password="+secret)+"\x00\x00") + executePortal("", 0) + syncing,
		"a function call": query("select 1") + message('F',
			string(oid[:])+"\x00\x00"+"\x00\x03"+argument("app.password")+argument(secret)+argument("f")+"\x00\x00"),
	} {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, sent)
		if got := receiveUntil(t, conn, 'Z')[0]; got.kind == 'E' {
			t.Errorf("%s: %v", name, got)
		}
		if got := receiveUntil(t, conn, 'Z')[0]; got.kind == 'E' {
			t.Errorf("%s: %v", name, got)
		}
		p.untilEnded(conn)
		for _, r := range append(p.records("statement.executed"), p.records("statement.started")...) {
			if all := string(r.Detail); strings.Contains(all, secret) || strings.Contains(all, "base64") {
				t.Errorf("%s: %s %.300s", name, r.Type, all)
			}
		}
	}
}

// What is skipped may leave an older unnamed statement in place: it too was announced.
func TestStrictAnnouncesWhatIsReplaced(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, strictly)
	for _, replacing := range []string{parseAs("", "select 'harmless'"), message('C', "S\x00"), query("select 'harmless'")} {
		conn := rawSession(t, p, "WRITER")
		evil := fmt.Sprintf("'evil%d'", len(replacing))
		send(t, conn, parseAs("", "select "+evil)+syncing)
		receiveUntil(t, conn, 'Z')
		send(t, conn, parseAs("x", "selec")+replacing+syncing+bindTo("", "")+executePortal("", 0)+syncing)
		receiveUntil(t, conn, 'Z')
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 || !strings.Contains(got[0], "evil") {
			t.Errorf("got %q: this tests nothing", got)
		}
		p.untilEnded(conn)
		p.wantText(evil, "statement.started", "statement.executed")
	}
}
