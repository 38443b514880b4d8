package session_test

import (
	"strings"
	"testing"

	"gprxy/session/relay"
)

// What a client says in another encoding than UTF-8 is recorded as what it says. Of what cannot be decoded the bytes
// are kept, so that no two statements become one.
func TestStatementsInOtherEncodings(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordParams))
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

// What PostgreSQL says of a statement is in the client's encoding, too. Names and messages have no mark beside them, so
// it stands within: a backslash of a name is doubled, a message that could not be decoded says so.
func TestNamesAndMessagesInOtherEncodings(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	named := func(name string) string {
		return parseAs(name, "select 1") + bindTo("", name) + executePortal("", 0) + syncing
	}
	for _, c := range []struct {
		startup, ahead, sent string
		ready                int
		message, name        string
	}{
		{"LATIN1", "", query("select no_caf\xe9()"), 1, "function no_café() does not exist", ""},
		{"SJIS", "", query("select \"\x8a\xbf\""), 1, `column "漢" does not exist`, ""},
		{"", "", query("select no_café()"), 1, "function no_café() does not exist", ""},
		{"GB18030", "", query("select \"a\x84\x31\xa4\x37\""), 1, "column \"a\ufffd\" does not exist", ""},
		// Its reader does not know yet that the encoding is another.
		{"LATIN1", "", query("set client_encoding = UTF8") + query("select no_caf\xc3\xa9()"), 2,
			`(encoding: bytes) function no_caf\xC3\xA9() does not exist`, ""},
		{"LATIN1", "", named("\xe9"), 1, "", "é"},
		{"LATIN1", "", named("\xe9\\x"), 1, "", `é\\x`},
		{"SJIS", "", named("\x87\x90"), 1, "", `\x87\x90`},
		{"SJIS", "", named(`\x87\x90`), 1, "", `\\x87\\x90`},
	} {
		before := len(p.statements())
		conn := dial(t, p.addr)
		var params []string
		if c.startup != "" {
			params = []string{"client_encoding", c.startup}
		}
		login(t, conn, "bob", token("bob@example.com", "READER"), params...)
		send(t, conn, c.sent)
		for range c.ready {
			receiveUntil(t, conn, 'Z')
		}
		p.untilEnded(conn)
		all := p.statements()[before:]
		last := all[len(all)-1]
		if last.Message != c.message || last.Name != c.name {
			t.Errorf("%s, %q: recorded %q of %q, want %q of %q", c.startup, c.sent, last.Message, last.Name, c.message, c.name)
		}
	}
}

// EXECUTE is masked by what its statement's parameters are, under names that are no UTF-8, and where a change of the encoding
// makes other bytes of a name.
func TestSecretsOfNamesInOtherEncodings(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	const keeps = `prepare "%s"(text) as select 'password=' || $1`
	recode := func(to string) string { return "set client_encoding = " + to }
	prepare := func(how, name string) string { return strings.Replace(how, "%s", name, 1) }
	for _, c := range []struct {
		name   string
		said   []string
		masked bool
	}{
		{"of a secret", []string{prepare(keeps, "\xe9"), "execute \"\xe9\"('tops3cret')"}, true},
		{"in another encoding", []string{prepare(keeps, "\xe9"), recode("UTF8"), "execute \"\xc3\xa9\"('tops3cret')"}, true},
		{"of bytes that were another's", []string{prepare(keeps, "\xe9"), "\x00parse:\xc3\xa9", recode("UTF8"),
			"execute \"\xc3\xa9\"('tops3cret')"}, true},
		{"of no secret, which is not followed", []string{prepare(keeps, "s"), "prepare \"\xe9\"(text) as select $1",
			"execute \"\xe9\"('tops3cret')"}, true},
		{"of no secret, in ASCII", []string{prepare(keeps, "\xe9"), `prepare "s"(text) as select $1`, recode("UTF8"),
			`execute "s"('tops3cret')`}, false},
	} {
		before := len(p.statements())
		conn := dial(t, p.addr)
		login(t, conn, "bob", token("bob@example.com", "READER"), "client_encoding", "LATIN1")
		for _, said := range c.said {
			if name, ok := strings.CutPrefix(said, "\x00parse:"); ok {
				send(t, conn, parseAs(name, "select $1::text || ' plain'")+syncing)
			} else {
				send(t, conn, query(said))
			}
			receiveUntil(t, conn, 'Z')
		}
		p.untilEnded(conn)
		all := p.statements()[before:]
		last := all[len(all)-1]
		if masked := !strings.Contains(last.SQL, "tops3cret"); masked != c.masked || !strings.HasPrefix(last.SQL, "execute ") ||
			last.SQLState != "" {
			t.Errorf("%s: recorded %+v", c.name, last)
		}
	}
}
