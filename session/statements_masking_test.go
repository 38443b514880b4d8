package session_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"gprxy/session/relay"
	"gprxy/session/sqltext"
)

// wantNowhere requires that no byte of the log's files holds any of these.
func (p *proxy) wantNowhere(secrets ...string) {
	p.t.Helper()
	for _, name := range []string{p.log, p.log + "-wal"} {
		content, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			p.t.Fatal(err)
		}
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				p.t.Errorf("%s holds %q", name, secret)
			}
		}
	}
}

// Values are masked and code is not, whatever a client sends: its statements stand in the log, its secrets nowhere.
func TestMaskingHidesValuesAlone(t *testing.T) {
	t.Parallel()
	const secret = "Tr0ub4dor3x"
	pad := strings.Repeat("x", 9000)
	admin(t, "create table masked (name text, password text)")
	admin(t, "create function change_password(name text, password text) returns text language sql as 'select name'")
	admin(t, "grant all on masked to app_writer")
	t.Cleanup(func() { admin(t, "drop table masked"); admin(t, "drop function change_password") })
	p := startProxy(t, quietly, strictly, func(o *options) {
		o.session.Statements.Record = relay.RecordParams
		o.session.Statements.Names = sqltext.NewNames([]string{"geheim"})
	})
	for _, c := range []struct {
		sent  string
		ready int
		want  []string // parts of texts in the log
	}{
		{query("do $$ begin /* password = x */ perform 'code 1'; end $$"), 1, []string{"perform 'code 1'; end $$"}},
		{query("set standard_conforming_strings = off") + query(`select set_config('app.password', '\'', true); select 2222 as code2 --', true)`),
			2, []string{"; select 2222 as code2 --"}},
		{query("set standard_conforming_strings = off") + query(`select 'password=\'`+secret+`'`), 2, []string{"select 'password=<masked "}},
		{query("prepare s(text) as select 'password=' || $1") + query("execute s('"+secret+"')") + query("select 'code 3'"), 3,
			[]string{"select 'code 3'", "execute s('<masked 11 bytes #"}},
		{query("prepare s(text) as select 'password=' || $1") + query("do $$ begin execute 'select ''code 4'''; end $$"), 2,
			[]string{"do $$ begin execute 'select ''code 4'''; end $$"}},
		{query("insert into masked (name, password) select 'eve', '" + secret + "'"), 1,
			[]string{"insert into masked (name, password) select '<masked 3 bytes #"}},
		{query("update masked set (name, password) = ('eve', '" + secret + "')"), 1, []string{"update masked set (name, password) = ('"}},
		{query("select change_password('eve', '" + secret + "')"), 1, []string{"select change_password('<masked 3 bytes #"}},
		{query("select 'host=h password='\n'" + secret + "'"), 1, []string{"select 'host=h password='\\n'<masked 11 bytes #"}},
		{parseAs("", "insert into masked (name, password) select $1, $2") + bindTo("", "", "eve", secret) + executePortal("", 0) + syncing, 1,
			[]string{"<masked 11 bytes #"}},
		{parseAs("", "update masked set (name, password) = ($1, $2)") + bindTo("", "", "eve", secret) + executePortal("", 0) + syncing, 1,
			[]string{"= ($1, $2)"}},
		{parseAs("", "select change_password($1, $2), $3::text") + bindTo("", "", "eve", secret, "shown 1") + executePortal("", 0) + syncing, 1,
			[]string{`"shown 1"`}},
		{parseAs("", "select 'host=h password=' || $1") + bindTo("", "", secret) + executePortal("", 0) + syncing, 1,
			[]string{"<masked 11 bytes #"}},
		{parseAs("", "insert into masked (name, password) values ($1, $2)") + bindTo("", "", "shown 2", secret) + executePortal("", 0) + syncing,
			1, []string{`"shown 2"`}},
		{query("/* " + pad + " */ select 'code 5', '" + secret + "' as password"), 1, []string{"<left out ",
			"*/ select 'code 5', '<masked 11 bytes #", `"text_hmac":"`, `"text_bytes":9`}},
		{query("select 'code 6' /* " + pad + " */"), 1, []string{"select 'code 6' /* xx", `"text_sha256":"`}},
		{query("select geheim from (select '" + secret + "' as geheim) g where geheim = '" + secret + "'"), 1,
			[]string{"select geheim from (select '<masked"}},
	} {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, c.sent)
		for range c.ready {
			for _, m := range receiveUntil(t, conn, 'Z') {
				if m.kind == 'E' {
					t.Errorf("%q: %v", c.sent[:min(len(c.sent), 200)], m)
				}
			}
		}
		p.untilEnded(conn)
		for _, part := range c.want {
			p.wantText(strings.TrimSpace(part), "statement.executed")
		}
	}
	p.wantText("*/ select 'code 5', '<masked 11 bytes #", "statement.started") // strict: the end of a long text, too
	p.wantNowhere(secret)
	two := 0
	for _, s := range p.statements() {
		if s.Masking != "" {
			two++
		}
	}
	if two != 2 {
		t.Errorf("%d rows say that there are two readings, want 2", two)
	}
	if hashes := markHash.FindAllString(fmt.Sprint(p.statements()), -1); len(hashes) < 2 {
		t.Errorf("marks %q", hashes)
	}
}

// What PostgreSQL has said of its settings decides how a text is read. Until it has, it is read in all ways.
func TestMaskingFollowsSettings(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	for _, c := range []struct{ set, text, want string }{
		{"set standard_conforming_strings = off", `select set_config('app.password', '\'', true); select 4444 as code4 --', true)`,
			"; select 4444 as code4 --"},
		{"set client_encoding = 'SJIS'", "select set_config('app.password', E'\x83\\', true); select 5555 as code5 --', true)",
			"; select 5555 as code5 --"},
	} {
		for ahead := range 2 { // once waiting for the answer, once not
			conn := rawSession(t, p, "READER")
			before := len(p.statements())
			text := strings.ReplaceAll(c.text, "app.password", fmt.Sprintf("app.password%d", ahead))
			send(t, conn, query(c.set))
			if ahead == 0 {
				receiveUntil(t, conn, 'Z')
			}
			send(t, conn, query(text))
			if ahead == 1 {
				receiveUntil(t, conn, 'Z')
			}
			receiveUntil(t, conn, 'Z')
			p.untilEnded(conn)
			all, found, two := p.statements()[before:], false, false
			for _, s := range all {
				found = found || strings.Contains("; "+s.SQL, c.want)
				two = two || s.Masking != ""
			}
			if !found || two && ahead == 0 {
				t.Errorf("%s, %d ahead: recorded %+v", c.set, ahead, all)
			}
		}
	}
}
