package session_test

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/session/relay"
	"gprxy/store"
)

// What stands in the log of what a session ran. The client speaks the protocol by
// hand, so that each row follows from the messages sent.

// recording makes a proxy record statements.
func recordingAs(what relay.RecordStatements) func(*options) {
	return func(o *options) {
		o.session.Statements = relay.Statements{Record: what, MaxText: 4096}
	}
}

// statements gives what is in the log of a session that has ended, "" for all, without
// what differs from run to run.
func (p *proxy) statements() []store.Statement {
	p.t.Helper()
	var all []store.Statement
	for _, record := range p.records("statement.executed") {
		var s store.Statement
		if err := json.Unmarshal(record.Detail, &s); err != nil {
			p.t.Fatal(err)
		}
		if s.US < 0 || s.BytesIn < 0 || s.BytesOut < 0 {
			p.t.Errorf("negative figures: %+v", s)
		}
		all = append(all, s)
	}
	return all
}

// markHash is what differs from run to run in the mark of what is masked.
var markHash = regexp.MustCompile(` #[0-9a-f]{8}>`)

// told writes a statement in one line.
func told(s store.Statement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q", s.Kind, s.SQL)
	for _, field := range []struct {
		name string
		has  bool
		is   any
	}{
		{"name", s.Name != "", s.Name}, {"portal", s.Portal != "", s.Portal}, {"part", s.Part != 0, s.Part},
		{"tag", s.Tag != "", s.Tag}, {"rows", s.Rows != 0, s.Rows}, {"state", s.SQLState != "", s.SQLState},
		{"outcome", s.Outcome != "", s.Outcome}, {"tx", s.TxStatus != "", s.TxStatus},
		{"copy_in", s.CopyIn != 0, s.CopyIn}, {"copy_out", s.CopyOut != 0, s.CopyOut},
		{"cut", s.TextBytes != 0, s.TextBytes},
	} {
		if field.has {
			fmt.Fprintf(&b, " %s=%v", field.name, field.is)
		}
	}
	if len(s.Params) > 0 {
		params, _ := json.Marshal(s.Params)
		fmt.Fprintf(&b, " params=%s", params)
	}
	return markHash.ReplaceAllString(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(b.String()), ">")
}

// untilEnded ends the connection politely and waits for the session's end in the log.
func (p *proxy) untilEnded(conn net.Conn) {
	p.t.Helper()
	send(p.t, conn, message('X', ""))
	p.untilAllEnded()
}

func (p *proxy) untilAllEnded() {
	p.t.Helper()
	eventually(p.t, "the sessions end in the log", time.Minute, func() bool {
		return !slices.ContainsFunc(p.sessions(), func(s store.Session) bool { return s.State != store.StateEnded })
	})
}

func parseAs(name, sql string, types ...uint32) string {
	body := name + "\x00" + sql + "\x00" + string([]byte{0, byte(len(types))})
	for _, oid := range types {
		body += string([]byte{byte(oid >> 24), byte(oid >> 16), byte(oid >> 8), byte(oid)})
	}
	return message('P', body)
}

func bindTo(portal, name string, values ...string) string {
	body := portal + "\x00" + name + "\x00\x00\x00" + string([]byte{0, byte(len(values))})
	for _, v := range values {
		body += string([]byte{0, 0, 0, byte(len(v))}) + v
	}
	return message('B', body+"\x00\x00")
}

func executePortal(portal string, most byte) string {
	return message('E', portal+"\x00\x00\x00\x00"+string([]byte{most}))
}

var (
	syncing   = message('S', "")
	wrongSync = message('S', "x") // PostgreSQL wants it empty
	long      = strings.Repeat("x", 6000)
)

func TestStatementsAreRecordedAsTheyRan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		sent  string
		ready int // how many ReadyForQuery come
		want  []string
	}{
		{"a query", query("select 1 union select 2"), 1, []string{`simple "select 1 union select 2" tag=SELECT rows=2 tx=I`}},
		{"nothing", query(" ; -- nothing"), 1, []string{`simple " ; -- nothing" tx=I`}},
		{"an error", query("select 1/0"), 1, []string{`simple "select 1/0" state=22012 outcome=error tx=I`}},
		{"several in one", query("begin; select 'a;b'; commit;"), 1, []string{
			`simple "begin" part=1 tag=BEGIN`, `simple "select 'a;b'" part=2 tag=SELECT rows=1`, `simple "commit" part=3 tag=COMMIT tx=I`}},
		{"several, of which one fails", query("select 1; select 1/0; select 2"), 1, []string{
			`simple "select 1" part=1 tag=SELECT rows=1`, `simple "select 1/0" part=2 state=22012 outcome=error`,
			`simple "select 2" part=3 outcome=skipped tx=I`}},
		{"several that nobody can parse", query("select 1; selec 2"), 1, []string{`simple "select 1; selec 2" state=42601 outcome=error tx=I`}},
		{"a commit that fails", query("insert into deferred values (1), (1)"), 1, []string{
			`simple "insert into deferred values (1), (1)" state=23505 outcome=error tx=I`}},
		{"a commit that fails at the Sync", parseAs("", "insert into deferred values (1), (1)") + bindTo("", "") + executePortal("", 0) +
			syncing, 1, []string{
			`extended "insert into deferred values (1), (1)" tag=INSERT rows=2 state=23505 outcome=error tx=I`}},
		{"a commit that fails at the Sync, behind a transaction", atOnce("begin", "commit", "insert into deferred values (1), (1)"), 1, []string{
			`extended "begin" tag=BEGIN`, `extended "commit" tag=COMMIT`,
			`extended "insert into deferred values (1), (1)" tag=INSERT rows=2 state=23505 outcome=error tx=I`}},
		{"a commit that fails at the Sync, behind what was rolled back", atOnce("begin", "rollback", "insert into deferred values (1), (1)"), 1,
			[]string{
				`extended "begin" tag=BEGIN`, `extended "rollback" tag=ROLLBACK`,
				`extended "insert into deferred values (1), (1)" tag=INSERT rows=2 state=23505 outcome=error tx=I`}},
		{"a Sync that is wrong, behind what has committed", strings.TrimSuffix(atOnce("begin", "insert into copied values (1)", "commit"),
			syncing) + wrongSync, 1, []string{
			`extended "begin" tag=BEGIN`, `extended "insert into copied values (1)" tag=INSERT rows=1`, `extended "commit" tag=COMMIT tx=I`,
			`extended "" state=08P01 outcome=error tx=I`}},
		{"a Sync that is wrong, behind what is undone", strings.TrimSuffix(atOnce("insert into copied values (1)"), syncing) + wrongSync, 1,
			[]string{
				`extended "insert into copied values (1)" tag=INSERT rows=1 state=08P01 outcome=error tx=I`}},
		{"a commit that fails at the Sync, behind nothing", strings.TrimSuffix(atOnce("insert into deferred values (1), (1)", "", "-- none"),
			syncing) + syncing, 1, []string{
			`extended "insert into deferred values (1), (1)" tag=INSERT rows=2 state=23505 outcome=error tx=I`, `extended "" tx=I`,
			`extended "-- none" tx=I`}},
		{"a commit that fails at the Sync, behind a part", strings.TrimSuffix(atOnce("insert into deferred values (1), (1)"), syncing) +
			parseAs("", "select generate_series(1,9)") + bindTo("p", "") + executePortal("p", 2) + syncing, 1, []string{
			`extended "insert into deferred values (1), (1)" tag=INSERT rows=2`,
			`extended "select generate_series(1,9)" portal=p part=1 rows=2 state=23505 outcome=error tx=I`}},
		{"a Sync that is wrong, behind what is in no transaction", strings.TrimSuffix(atOnce("prepare stays as select 1"), syncing) + wrongSync +
			bindTo("", "stays") + executePortal("", 0) + syncing, 2, []string{
			`extended "prepare stays as select 1" tag=PREPARE tx=I`, `extended "" state=08P01 outcome=error tx=I`,
			`extended "prepare stays as select 1" name=stays tag=SELECT rows=1 tx=I`}},
		{"a Sync that is wrong, behind statistics of several tables",
			strings.TrimSuffix(atOnce("analyze pg_catalog.pg_class, pg_catalog.pg_type"), syncing) + wrongSync, 1, []string{
				`extended "analyze pg_catalog.pg_class, pg_catalog.pg_type" tag=ANALYZE state=08P01 outcome=unknown`}},
		{"a Sync that is wrong, behind what may have committed by itself", strings.TrimSuffix(atOnce("discard all"), syncing) + wrongSync, 1,
			[]string{
				`extended "discard all" tag=DISCARD ALL state=08P01 outcome=unknown`}},
		{"a name that is another in another encoding", query("set client_encoding to latin1") + parseAs("\xc3\xa9", "select 1") + syncing +
			query("set client_encoding to utf8") + parseAs("\xc3\xa9", "select 2") + syncing +
			query("set client_encoding to latin1") + bindTo("", "\xc3\xa9") + executePortal("", 0) + syncing, 6, []string{
			`simple "set client_encoding to latin1" tag=SET tx=I`, `parse "select 1" name=é tx=I`,
			`simple "set client_encoding to utf8" tag=SET tx=I`, `parse "select 2" name=é tx=I`,
			`simple "set client_encoding to latin1" tag=SET tx=I`, `extended "" name=\xC3\xA9 tag=SELECT rows=1 tx=I`}},
		{"DEALLOCATE whose middle is left out", parseAs("a", "select 1") + parseAs("b", "select 2") + syncing +
			query("deallocate /*"+long+"*/ a --"+long+"*/ b") + bindTo("", "a") + executePortal("", 0) + syncing, 3, []string{
			`parse "select 1" name=a tx=I`, `parse "select 2" name=b tx=I`,
			`simple "deallocate /*` + long[:2035] + "<left out 7928 bytes>" + long[:2044] + `*/ b" tag=DEALLOCATE tx=I cut=12024`,
			`extended "" name=a state=26000 outcome=error tx=I`}},
		{"PREPARE whose middle is left out", query("prepare a as select 1 /*"+long+long+"*/") + bindTo("", "a") + executePortal("", 0) + syncing,
			2, []string{
				`simple "prepare a as select 1 /*` + long[:2024] + "<left out 7930 bytes>" + long[:2046] + `*/" tag=PREPARE tx=I cut=12026`,
				`extended "prepare a as select 1 /*` + long[:2024] + "<left out 7930 bytes>" + long[:2046] +
					`*/" name=a tag=SELECT rows=1 tx=I cut=12026`}},
		{"a DO that opens another portal under a name", query("begin") + parseAs("", "select 1") + bindTo("p", "") + syncing +
			query("do $$ declare c refcursor := 'p'; begin close c; open c for select 2; end $$") + executePortal("p", 0) + syncing, 4, []string{
			`simple "begin" tag=BEGIN tx=T`, `bind "select 1" portal=p tx=T`,
			`simple "do $$ declare c refcursor := 'p'; begin close c; open c for select 2; end $$" tag=DO tx=T`,
			`extended "" portal=p tag=SELECT rows=1 tx=T`}},
		{"extended", parseAs("", "select $1::int") + bindTo("", "", "7") + message('D', "P\x00") + executePortal("", 0) + syncing, 1,
			[]string{`extended "select $1::int" tag=SELECT rows=1 tx=I params=["7"]`}},
		{"named, twice, and closed", parseAs("one", "select $1::text") + bindTo("", "one", "a") + executePortal("", 0) +
			bindTo("p", "one", "b") + executePortal("p", 0) +
			message('C', "Sone\x00") + syncing + bindTo("", "one", "c") + executePortal("", 0) + syncing, 2, []string{
			`extended "select $1::text" name=one tag=SELECT rows=1 params=["a"]`,
			`extended "select $1::text" name=one portal=p tag=SELECT rows=1 tx=I params=["b"]`,
			`extended "" name=one state=26000 outcome=error tx=I params=["<masked 1 bytes>"]`}},
		{"an error skips to the Sync", parseAs("", "select 1/$1::int") + bindTo("", "", "0") + executePortal("", 0) + parseAs("", "select 2") +
			bindTo("", "") + executePortal("", 0) + syncing +
			parseAs("", "select 3") + bindTo("", "") + executePortal("", 0) + syncing, 2, []string{
			`extended "select 1/$1::int" state=22012 outcome=error params=["0"]`,
			`extended "select 2" outcome=skipped tx=I`,
			`extended "select 3" tag=SELECT rows=1 tx=I`}},
		{"an error skips a Query", parseAs("x", "selec") + query("select 1; select 2") + syncing, 1, []string{
			`simple "select 1" part=1 outcome=skipped`, `simple "select 2" part=2 outcome=skipped`,
			`extended "selec" name=x state=42601 outcome=error tx=I`}},
		{"an error of Parse is that of its statement", parseAs("", "selec") + bindTo("", "") + executePortal("", 0) + syncing, 1,
			[]string{`extended "selec" state=42601 outcome=error tx=I`}},
		{"an error of Parse alone", parseAs("s", "selec") + message('D', "Ss\x00") + syncing, 1,
			[]string{`extended "selec" name=s state=42601 outcome=error tx=I`}},
		{"a name that was never made anew", parseAs("s", "select 1") + syncing + parseAs("s", "select 2") + syncing + bindTo("", "s") +
			executePortal("", 0) + syncing, 3, []string{
			`parse "select 1" name=s tx=I`, `extended "select 2" name=s state=42P05 outcome=error tx=I`,
			`extended "select 1" name=s tag=SELECT rows=1 tx=I`}},
		{"the same, sent ahead", parseAs("s", "select 1") + syncing + parseAs("s", "select 2") + bindTo("", "s") + executePortal("", 0) +
			syncing + bindTo("", "s") + executePortal("", 0) + syncing, 3, []string{
			`parse "select 1" name=s tx=I`, `extended "select 2" name=s state=42P05 outcome=error tx=I`,
			`extended "select 1" name=s tag=SELECT rows=1 tx=I`}},
		{"DEALLOCATE in SQL", parseAs("s", "select 1") + syncing + query(`deallocate "s"`) + bindTo("", "s") + executePortal("", 0) + syncing, 3,
			[]string{
				`parse "select 1" name=s tx=I`, `simple "deallocate \"s\"" tag=DEALLOCATE tx=I`, `extended "" name=s state=26000 outcome=error tx=I`}},
		{"DEALLOCATE in the extended protocol", parseAs("s", "select 1") + syncing + parseAs("", "deallocate s") + bindTo("", "") +
			executePortal("", 0) + syncing + bindTo("", "s") + executePortal("", 0) + syncing, 3, []string{
			`parse "select 1" name=s tx=I`, `extended "deallocate s" tag=DEALLOCATE tx=I`, `extended "" name=s state=26000 outcome=error tx=I`}},
		{"DISCARD ALL", parseAs("s", "select 1") + syncing + query(`discard all`) + bindTo("", "s") + executePortal("", 0) + syncing, 3, []string{
			`parse "select 1" name=s tx=I`, `simple "discard all" tag=DISCARD ALL tx=I`, `extended "" name=s state=26000 outcome=error tx=I`}},
		{"PREPARE in SQL", query("prepare s as select 5") + bindTo("", "s") + executePortal("", 0) + syncing, 2, []string{
			`simple "prepare s as select 5" tag=PREPARE tx=I`, `extended "prepare s as select 5" name=s tag=SELECT rows=1 tx=I`}},
		{"a text without a name that is wrong", parseAs("", "select 1") + syncing + parseAs("", "selec") + syncing + bindTo("", "") +
			executePortal("", 0) + syncing, 3, []string{
			`extended "selec" state=42601 outcome=error tx=I`, `extended "" state=26000 outcome=error tx=I`}},
		{"a portal in parts, with other code between them", query("begin") + parseAs("", "select generate_series(1,5)") + bindTo("p", "") +
			executePortal("p", 2) + executePortal("p", 1) +
			parseAs("", "select 6") + bindTo("", "") + executePortal("", 0) + executePortal("p", 0) + syncing + query("commit"), 3, []string{
			`simple "begin" tag=BEGIN tx=T`,
			`extended "select generate_series(1,5)" portal=p part=1 rows=2 outcome=suspended`,
			`extended "select generate_series(1,5)" portal=p part=2 rows=1 outcome=suspended`,
			`extended "select 6" tag=SELECT rows=1`, `extended "" portal=p tag=SELECT rows=2 tx=T`, `simple "commit" tag=COMMIT tx=I`}},
		{"a portal in parts", parseAs("", "select generate_series(1,5)") + bindTo("p", "") + executePortal("p", 2) + executePortal("p", 2) +
			executePortal("p", 2) + syncing, 1, []string{
			`extended "select generate_series(1,5)" portal=p part=1 rows=2 outcome=suspended`,
			`extended "select generate_series(1,5)" portal=p part=2 rows=2 outcome=suspended`,
			`extended "select generate_series(1,5)" portal=p part=3 tag=SELECT rows=1 tx=I`}},
		{"COPY in", query("copy copied from stdin") + message('d', "1\n2\n") + message('d', "3\n") + message('c', ""), 1, []string{
			`copy "copy copied from stdin" tag=COPY rows=3 tx=I copy_in=6`}},
		{"COPY in that fails", query("copy copied from stdin") + message('d', "x\n") + message('f', "no\x00"), 1, []string{
			`copy "copy copied from stdin" state=22P02 outcome=error tx=I copy_in=2`}},
		{"COPY out", query("copy (select 'abc') to stdout"), 1, []string{`copy "copy (select 'abc') to stdout" tag=COPY rows=1 tx=I copy_out=4`}},
		{"COPY in, extended", parseAs("", "copy copied from stdin") + bindTo("", "") + executePortal("", 0) + message('d', "1\n") +
			message('c', "") + syncing, 1, []string{
			`copy "copy copied from stdin" tag=COPY rows=1 tx=I copy_in=2`}},
		{"a function", message('F', "\x00\x00\x00\xb1"+"\x00\x00"+"\x00\x02"+"\x00\x00\x00\x011"+"\x00\x00\x00\x012"+"\x00\x00"), 1, []string{
			`function "-- function call: OID 177" tx=I params=["1","2"]`}},
		{"a failing transaction", query("begin") + query("select 1/0") + query("select 2") + query("rollback"), 4, []string{
			`simple "begin" tag=BEGIN tx=T`, `simple "select 1/0" state=22012 outcome=error tx=E`,
			`simple "select 2" state=25P02 outcome=error tx=E`, `simple "rollback" tag=ROLLBACK tx=I`}},
		{"a long text", query("select '" + strings.Repeat("x", 5000) + "'"), 1, []string{
			`simple "select '` + strings.Repeat("x", 2040) + "<left out 913 bytes>" + strings.Repeat("x", 2047) +
				`'" tag=SELECT rows=1 tx=I cut=5009`}},
		{"a long text, parsed", parseAs("", "select '"+strings.Repeat("x", 20_000)+"'") + bindTo("", "") + executePortal("", 0) + syncing, 1,
			[]string{
				`extended "select '` + strings.Repeat("x", 2040) + "<left out 15913 bytes>" + strings.Repeat("x", 2047) +
					`'" tag=SELECT rows=1 tx=I cut=20009`}},
		{"binary values", parseAs("", "select $1, $2, $3", 23, 20, 1700) +
			message('B', "\x00\x00\x00\x01\x00\x01\x00\x03\x00\x00\x00\x04\x00\x00\x00\x2a\xff\xff\xff\xff"+"\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x00\x00\x01\x00\x07\x00\x00") + executePortal("", 0) + syncing, 1, []string{
			`extended "select $1, $2, $3" tag=SELECT rows=1 tx=I params=["42",null,"7.0"]`}},
		{"a binary value of another type", parseAs("", "select $1", 17) + message('B',
			"\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x02\x01\xff\x00\x00") + executePortal("", 0) + syncing, 1, []string{
			`extended "select $1" tag=SELECT rows=1 tx=I params=[{"base64":"Af8="}]`}},
		{"a secret", query("alter role missing password 'hunter2'") + parseAs("", "select set_config('x.password', $1, true)") +
			bindTo("", "", "hunter2") + executePortal("", 0) + syncing, 2, []string{
			`simple "alter role missing password '<masked 7 bytes>'" state=42704 outcome=error tx=I`,
			`extended "select set_config('x.password', $1, true)" tag=SELECT rows=1 tx=I params=["<masked 7 bytes>"]`}},
	}
	admin(t, "create table copied (n int)")
	admin(t, "create table deferred (n int unique deferrable initially deferred)")
	admin(t, "grant all on copied, deferred to app_writer")
	t.Cleanup(func() { admin(t, "drop table copied, deferred") })
	p := startProxy(t, recordingAs(relay.RecordParams))
	seen := 0
	for _, test := range tests {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, test.sent)
		for range test.ready {
			receiveUntil(t, conn, 'Z')
		}
		p.untilEnded(conn)
		var got []string
		all := p.statements()
		for _, s := range all[seen:] {
			got = append(got, told(s))
		}
		seen = len(all)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %s\nwant %s", test.name, strings.Join(got, "\n     "), strings.Join(test.want, "\n     "))
		}
	}
}

// atOnce runs statements without a Sync between them.
func atOnce(texts ...string) (sent string) {
	for _, text := range texts {
		sent += parseAs("", text) + bindTo("", "") + executePortal("", 0)
	}
	return sent + syncing
}

// However requests and answers are cut into chunks, the rows are the same. One byte at
// a time is as far as it goes.
func TestStatementsInPieces(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordParams))
	sent := query("select 'one'") + parseAs("s", "select $1::text") + bindTo("", "s", "two") + executePortal("", 0) + syncing +
		query("select 1/0")
	var all [2][]string
	for i := range all {
		conn := rawSession(t, p, "WRITER")
		step := len(sent)
		if i == 1 {
			step = 1
		}
		for at := 0; at < len(sent); at += step {
			send(t, conn, sent[at:min(at+step, len(sent))])
		}
		for range 3 {
			receiveUntil(t, conn, 'Z')
		}
		p.untilEnded(conn)
	}
	for i, s := range p.statements() {
		all[i/3] = append(all[i/3], told(s))
	}
	if len(all[0]) != 3 || !slices.Equal(all[0], all[1]) {
		t.Errorf("whole:\n%s\nbyte by byte:\n%s", strings.Join(all[0], "\n"), strings.Join(all[1], "\n"))
	}
}

// What was under way when a session ended is recorded, and what became of it is said.
func TestStatementsCutShort(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText))
	running := func(sql string) {
		t.Helper()
		eventually(t, sql+" runs", 20*time.Second, func() bool {
			return admin(t, "select count(*) from pg_stat_activity where state = 'active' and query = '"+strings.ReplaceAll(sql, "'",
				"''")+"'") != "0"
		})
	}
	last := func() string {
		t.Helper()
		p.untilAllEnded()
		all := p.statements()
		return told(all[len(all)-1])
	}
	const slow = "select pg_sleep(60), 'cut short'"

	conn := rawSession(t, p, "WRITER")
	send(t, conn, query(slow))
	running(slow)
	conn.Close()
	if got, want := last(), `simple "select pg_sleep(60), 'cut short'" state=57014 outcome=cut tx=I`; got != want {
		t.Errorf("the client vanished:\n got %s\nwant %s", got, want)
	}

	conn = rawSession(t, p, "WRITER")
	send(t, conn, query(slow))
	running(slow)
	admin(t, "select pg_terminate_backend(pid) from pg_stat_activity where state = 'active' and query like '%cut short%' and pid <> "+
		"pg_backend_pid()")
	receiveUntil(t, conn, 'E')
	if got, want := last(), `simple "select pg_sleep(60), 'cut short'" state=57P01 outcome=cut`; got != want {
		t.Errorf("the backend was killed:\n got %s\nwant %s", got, want)
	}

	client := connect(t, p.dsn("bob", token("bob@example.com", "WRITER")))
	failed := make(chan error, 1)
	go func() {
		_, err := client.Exec(t.Context(), "/* by a key */ select pg_sleep(60)")
		failed <- err
	}()
	running("/* by a key */ select pg_sleep(60)")
	if err := client.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("the statement was not cancelled")
	}
	run(t, client, "set statement_timeout = 10")
	if _, err := client.Exec(t.Context(), "select pg_sleep(61)"); err == nil {
		t.Error("there was no timeout")
	}
	client.Close(t.Context())
	p.untilAllEnded()
	all := p.statements()
	all = all[len(all)-3:]
	for i, want := range []string{
		`simple "/* by a key */ select pg_sleep(60)" state=57014 outcome=cancelled tx=I`,
		`simple "set statement_timeout = 10" tag=SET tx=I`,
		`simple "select pg_sleep(61)" state=57014 outcome=error tx=I`,
	} {
		if all[i].Name = ""; told(all[i]) != want {
			t.Errorf("got %s\nwant %s", told(all[i]), want)
		}
	}
}

// A statement stands in the log while its session goes on, not at its end.
func TestStatementsComeSoon(t *testing.T) {
	p := startProxy(t, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "READER")
	send(t, conn, query("select 'soon'"))
	receiveUntil(t, conn, 'Z')
	eventually(t, "the statement is in the log", 20*time.Second, func() bool { return len(p.statements()) == 1 })
}

// With AUDIT_DURABILITY=strict what runs has been recorded before.
func TestStrictRecordsBeforeItSends(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordParams), func(o *options) { o.session.Statements.Strict = true })
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("select 1; select 2")+parseAs("", "select $1")+bindTo("", "", "x")+executePortal("", 0)+syncing)
	receiveUntil(t, conn, 'Z')
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	var started []string
	seqs := map[int64]bool{}
	for _, record := range p.records("statement.started") {
		var s store.Statement
		if err := json.Unmarshal(record.Detail, &s); err != nil {
			t.Fatal(err)
		}
		started = append(started, told(s))
		seqs[record.Seq] = true
	}
	want := []string{`simple "select 1; select 2"`, `extended "select $1" params=["x"]`}
	if !slices.Equal(started, want) {
		t.Errorf("started: %q, want %q", started, want)
	}
	for _, s := range p.statements() {
		if !seqs[s.SeqStarted] {
			t.Errorf("%s: no statement.started has seq %d", told(s), s.SeqStarted)
		}
	}
}
