package session_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gprxy/session/sqltext"
)

// literalOf writes a value in one of the ways that there are.
func literalOf(r *rand.Rand, backslashes bool) string {
	pieces := []string{"a", "'", `\`, "--", "/*", "*/", "$$", "$a$", ";", `"`, " delete from t ", "password=", "é", "\n", "U&'", "E'", "%",
		"token: "}
	var content strings.Builder
	for range r.IntN(5) {
		content.WriteString(pieces[r.IntN(len(pieces))])
	}
	s := content.String()
	doubled := strings.ReplaceAll(s, "'", "''")
	escaped := strings.ReplaceAll(doubled, `\`, `\\`)
	plain := doubled
	if backslashes {
		plain = escaped
	}
	switch r.IntN(6) {
	case 0:
		return "E'" + strings.ReplaceAll(escaped, "''", `\'`) + "'"
	case 1:
		return "$q$" + s + "$q$"
	case 2:
		return "N'" + plain + "'"
	case 3:
		return "'" + plain + "' -- x\n '" + plain + "'"
	case 4:
		return "e'" + escaped + "'\n'" + escaped + "'"
	}
	return "'" + plain + "'"
}

// statementOf writes a statement that PostgreSQL does, with secrets and without.
func statementOf(r *rand.Rand, backslashes bool) string {
	lit := func() string { return literalOf(r, backslashes) }
	switch r.IntN(10) {
	case 0:
		return "select " + lit() + " as password, " + lit() + " as \"a'b\""
	case 1:
		return "select 1 where " + lit() + " = " + lit() + " /* " + strings.ReplaceAll(lit(), "/", " ") + " */"
	case 2:
		return "select set_config('app.password', " + lit() + ", true)"
	case 3:
		return "set app.token = " + strings.TrimPrefix(lit(), "N") // the grammar of SET has no N'…'
	case 4:
		return "select password from (values (" + lit() + ", " + lit() + ")) t(password, name) where password = " + lit() + " or name = " + lit()
	case 5:
		return "do $b$ declare password text := " + lit() + "; begin perform " + lit() + "; /* token=x */ perform 1; end $b$"
	case 6:
		return "do $b$ begin execute 'select 1 as \"secret\"' || ''; perform " + lit() + "; end $b$"
	case 7:
		return "insert into pg_temp.masked (name, password) select " + lit() + ", " + lit() + " -- token = x\n"
	case 8:
		return "update pg_temp.masked set (name, password) = (" + lit() + ", " + lit() + ")"
	}
	return "with x(n, api_key) as (values (1234, " + lit() + ")) select 'x' from x where n::text = 'x'"
}

// PostgreSQL itself is the judge: it takes a masked text for the same statements.
func TestMaskedTextsAreTheSameStatements(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly)
	r := rand.New(rand.NewPCG(12, 3))
	masker := sqltext.NewMasker(nil, []byte("key"))
	hidden := 0
	for _, backslashes := range []bool{false, true} {
		conn := rawSession(t, p, "WRITER")
		setting := "on"
		if backslashes {
			setting = "off"
		}
		send(t, conn, query("set standard_conforming_strings = "+setting+"; set escape_string_warning = off; create temp table masked (name "+
			"text, password text)"))
		receiveUntil(t, conn, 'Z')
		// run gives the tags, and what became of the text.
		run := func(text string) string {
			send(t, conn, query(text))
			var told []string
			for _, m := range receiveUntil(t, conn, 'Z') {
				switch m.kind {
				case 'C':
					tag, _, _ := strings.Cut(string(m.body), " ")
					told = append(told, strings.TrimRight(tag, "\x00"))
				case 'E':
					told = append(told, m.field('C'))
				}
			}
			return strings.Join(told, " ")
		}
		for range 150 {
			var all []string
			for range 1 + r.IntN(3) {
				all = append(all, statementOf(r, backslashes))
			}
			text := strings.Join(all, ";\n")
			masked := masker.Mask(text, sqltext.Options{Settings: sqltext.Settings{Backslashes: backslashes}})
			if masked.Hidden {
				hidden++
			}
			before, after := run(text), run(masked.Text)
			if before != after || strings.Contains(before, "42601") {
				t.Errorf("%q is %s, and masked, %q, it is %s", text, before, masked.Text, after)
			}
			parts := sqltext.Split(masked.Text, sqltext.Settings{Backslashes: backslashes})
			if want := strings.Count(before, " ") + 1; len(parts) != want {
				t.Errorf("%q is %s, but was taken for %d statements", masked.Text, before, len(parts))
			}
		}
		conn.Close()
	}
	if hidden < 100 {
		t.Error(fmt.Sprint("something was masked in ", hidden, " texts: this tests nothing"))
	}
}
