package session_test

import (
	"testing"

	"gprxy/session"
)

// What a client says in another encoding than UTF-8 is recorded as what it says. Of what cannot be decoded the bytes
// are kept, so that no two statements become one.
func TestStatementsInOtherEncodings(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(session.RecordParams))
	set := func(encoding string) string { return query("set client_encoding = " + encoding) }
	type row struct{ sql, encoding string }
	for _, c := range []struct {
		startup, ahead, sent string
		ready                int
		want                 row
		param                string // "base64:…" if it is so
	}{
		{"LATIN1", "", query("select 'caf\xe9'"), 1, row{"select 'café'", "LATIN1"}, ""},
		{"LATIN1", "", query("select '\xc3\xa9'"), 1, row{"select 'Ã©'", "LATIN1"}, ""},
		{"SJIS", "", query("select '\x83\x5c\x8a\xbf'"), 1, row{"select 'ソ漢'", "SJIS"}, ""},
		{"SJIS", "", query(`select E'\\ plain'`), 1, row{`select E'\\ plain'`, ""}, ""},
		{"", set("LATIN1"), query("select 'caf\xe9'"), 1, row{"select 'café'", "LATIN1"}, ""},
		{"", "", query("select 'café'"), 1, row{"select 'café'", ""}, ""},
		{"", "", set("LATIN1") + query("select E'\\\\ \xe9'"), 2, row{`select E'\\\\ \xE9'`, "bytes"}, ""},
		{"", "", set("LATIN1") + query("select 'é'"), 2, row{"select 'é'", "unsure"}, ""},
		{"", "", query("select '\xe8'"), 1, row{`select '\xE8'`, "bytes"}, ""},
		{"", "", query("select '\xe9'"), 1, row{`select '\xE9'`, "bytes"}, ""},
		{"", "", query(`select '\xE9'`), 1, row{`select '\xE9'`, ""}, ""},
		{"SJIS", "", query("select '\x87\x90'"), 1, row{`select '\x87\x90'`, "bytes"}, ""}, // one of two forms of it
		{"WIN1252", "", query("select '\x81'"), 1, row{`select '\x81'`, "bytes"}, ""},
		{"LATIN1", "", query("select 'a\xe9'; select 'b\xe8'"), 1, row{"select 'b\u00e8'", "LATIN1"}, ""},
		{"LATIN1", "", parseAs("s", "select $1::text, '\xe9'") + bindTo("", "s", "\xe8") + executePortal("", 0) + syncing, 1,
			row{"select $1::text, 'é'", "LATIN1"}, "è"},
		{"", "", parseAs("", "select $1::text, 3") + bindTo("", "", "\xe8") + executePortal("", 0) + syncing, 1,
			row{"select $1::text, 3", ""}, "base64:6A=="},
	} {
		before := len(p.statements())
		conn := dial(t, p.addr)
		var params []string
		if c.startup != "" {
			params = []string{"client_encoding", c.startup}
		}
		login(t, conn, "bob", token("bob@example.com", "READER"), params...)
		if c.ahead != "" {
			send(t, conn, c.ahead)
			receiveUntil(t, conn, 'Z')
		}
		send(t, conn, c.sent)
		for range c.ready {
			receiveUntil(t, conn, 'Z')
		}
		p.untilEnded(conn)
		all := p.statements()[before:]
		last := all[len(all)-1]
		if got := (row{last.SQL, last.Encoding}); got != c.want {
			t.Errorf("%s, %q: recorded as %q, want %q", c.startup, c.sent, got, c.want)
		}
		if c.param == "" {
			continue
		}
		if len(last.Params) != 1 || last.Params[0].Text != c.param && (!last.Params[0].Base64 || "base64:"+last.Params[0].Text != c.param) {
			t.Errorf("%s, %q: values %+v, want %q", c.startup, c.sent, last.Params, c.param)
		}
	}
}
