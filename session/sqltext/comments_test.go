package sqltext

import (
	"strings"
	"testing"
)

// The name of a secret in a comment hides nothing that stands behind the comment, whatever that begins with, and however
// the end of the comment is written. What is in the comment is masked.
func TestNoCommentInALiteralHidesCode(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"execute '/*password=hunter2*/ lock orders'", "execute '/*password=***/ lock orders'"},
		{"select query_to_xml('/*password=*/ table secrets')", ""},
		{"do $$ begin execute '/*password=*/ set role admin'; end $$", ""},
		{"do $$ begin execute '/*password=*/ notify c, ''x'''; end $$", ""},
		{"do $$ begin execute $q$/*password=*/ vacuum orders$q$; end $$", ""},
		{"select dblink_exec('c', '/*password=*/ rollback')", ""},
		{"select dblink_exec('c', '/*/* */password=*/ lock orders')", ""},
		{"select dblink_exec('c', 'notify \"/*\"; /*password=*/ lock orders')", ""},
		{"select dblink_exec('c', 'notify ''/*''; /*password=*/ lock orders; /*password=*/ lock people')", ""},
		{"select dblink_exec('c', '--password=hunter2\n lock orders')", "select dblink_exec('c', '--password=***\n lock orders')"},
		{"select dblink_exec('c', '--password=\n lock orders')", ""},
		{"select dblink_exec('c', 'lock orders --password=\n; lock people')", ""},
		{`select dblink_exec('c', E'--password=\n lock orders')`, ""},
		{`select dblink_exec('c', E'/*password=hunter2*\057 lock orders')`, `select dblink_exec('c', E'/*password=***\057 lock orders')`},
		{`select dblink_exec('c', U&'/*password=hunter2*\002F lock orders')`, `select dblink_exec('c', U&'/*password=***\002F lock orders')`},
		{`select dblink_exec('c', E'/*password=hunter2\n token=hunter2*/ lock orders')`,
			`select dblink_exec('c', E'/*password=***\n token=***/ lock orders')`},
		// No end of a comment: one word, as ever in a literal.
		{"select dblink_exec('c', '--password=hunter2 lock')", "select dblink_exec('c', '--password=*** lock')"},
		{"select dblink_exec('c', '/*password=hunter2 lock')", "select dblink_exec('c', '/*password=*** lock')"},
		{`select dblink_exec('c', 'password=hun\ter2')`, `select dblink_exec('c', 'password=***')`},
	} {
		if c.want == "" {
			c.want = c.text
		}
		got := strings.ReplaceAll(short(masker().Mask(c.text, Options{}).Text), "****", "***")
		if got != strings.ReplaceAll(c.want, "****", "***") {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

// Neither does padding hide that a statement is one, nor is a statement unknown because few people run it.
func TestPaddingAndRareCommandsHideNoCode(t *testing.T) {
	const comments, columns = "/**/", "1,"
	for _, statement := range []string{
		"delete " + strings.Repeat(comments, 100) + " from orders", "delete " + strings.Repeat(comments+" ", 100) + " from orders",
		"update orders " + strings.Repeat(comments, 100) + " set n = 5", "select " + strings.Repeat(columns, 100) + " lo_unlink(5)",
		"refresh materialized view m", "comment on table orders is null", "security label on table orders is null", "reindex table orders",
		"create collation c from x", "drop statistics s", "drop text search parser p", "alter large object 5 owner to eve",
		"drop access method m",
		"set role admin", "set session authorization admin", "reset role", "discard all", "declare c cursor for table orders",
		"drop tablespace s",
	} {
		for _, literal := range []string{"password=x " + statement, statement + "; password=x"} {
			text := "select dblink_exec('c', '" + literal + "')"
			if got := masker().Mask(text, Options{}); !strings.Contains(got.Text, statement) {
				t.Errorf("Mask(%q)\n got %q", text, got.Text)
			}
		}
	}
}
