// The splitter as a specification, and under random text.

package prompt

import (
	"slices"
	"strings"
	"testing"
)

// splitAll returns the items of a text, what is left, and the sign at its end.
func splitAll(text string) (items []string, rest string, sign byte) {
	var s splitter
	for line := range strings.SplitSeq(text, "\n") {
		for i := range s.line(line) {
			if i.sql == "" {
				items = append(items, `\`+i.command)
			} else {
				items = append(items, i.sql)
			}
		}
	}
	sign = s.sign()
	if last, ok := s.flush(); ok {
		rest = last.sql
	}
	return items, strings.TrimSuffix(rest, "\n"), sign
}

func TestSplit(t *testing.T) {
	for _, row := range []struct {
		text  string
		items []string
		rest  string
		sign  byte
	}{
		{text: "", sign: '='},
		{text: "select 1;", items: []string{"select 1;"}, sign: '='},
		{text: "  select 1 ;  select 2;", items: []string{"select 1 ;", "select 2;"}, sign: '='},
		{text: "select\n1\n;", items: []string{"select\n1\n;"}, sign: '='},
		{text: "select 1", rest: "select 1", sign: '-'},
		{text: "select ';'';';", items: []string{"select ';'';';"}, sign: '='},
		{text: "select 'a", rest: "select 'a", sign: '\''},
		{text: `select "a;""b;";`, items: []string{`select "a;""b;";`}, sign: '='},
		{text: `select "a`, rest: `select "a`, sign: '"'},
		{text: "select $$;$$;", items: []string{"select $$;$$;"}, sign: '='},
		{text: "select $a$;$$;$b$;$a$;", items: []string{"select $a$;$$;$b$;$a$;"}, sign: '='},
		{text: "select $a$;$A$;", rest: "select $a$;$A$;", sign: '$'},
		{text: "select $1; select $2", items: []string{"select $1;"}, rest: "select $2", sign: '-'},
		{text: "select a$b$; c$b$;", items: []string{"select a$b$;", "c$b$;"}, sign: '='},
		{text: "select $é$;$é$;", items: []string{"select $é$;$é$;"}, sign: '='},
		{text: "select $-$;", items: []string{"select $-$;"}, sign: '='},
		{text: "select 1 -- ;\n;", items: []string{"select 1 -- ;\n;"}, sign: '='},
		{text: "select 1 - -1;", items: []string{"select 1 - -1;"}, sign: '='},
		{text: "/* ; /* ; */ ; */ select 1;", items: []string{"/* ; /* ; */ ; */ select 1;"}, sign: '='},
		{text: "/* ", rest: "", sign: '*'},
		{text: "-- only a comment", rest: "", sign: '-'},
		{text: "select (1;\n2);", items: []string{"select (1;\n2);"}, sign: '='},
		{text: "select (1", rest: "select (1", sign: '('},
		{text: "select 1);", items: []string{"select 1);"}, sign: '='},
		{text: `select E'a\';';`, items: []string{`select E'a\';';`}, sign: '='},
		{text: `select e'\\';`, items: []string{`select e'\\';`}, sign: '='},
		{text: `select '\';`, items: []string{`select '\';`}, sign: '='},
		{text: `select te'\';`, items: []string{`select te'\';`}, sign: '='},
		{text: "select E'a'\n'b\\';';", items: []string{"select E'a'\n'b\\';';"}, sign: '='},
		{text: "select E'a' -- so\n 'b\\';';", items: []string{"select E'a' -- so\n 'b\\';';"}, sign: '='},
		{text: `select E'a' '\';`, items: []string{`select E'a' '\';`}, sign: '='},
		{text: `select E'a'''';';`, items: []string{`select E'a'''';';`}, sign: '='},
		{text: `\d items`, items: []string{`\d items`}, sign: '='},
		{text: `select 1 \g`, items: []string{`\g`}, rest: "select 1 ", sign: '-'},
		{text: `select '\d'; \x`, items: []string{`select '\d';`, `\x`}, sign: '='},
		{text: "create function f() returns int begin atomic select 1; select case 1 when 1 then 2 end; end; select 2;",
			items: []string{"create function f() returns int begin atomic select 1; select case 1 when 1 then 2 end; end;", "select 2;"}, sign: '='},
		{text: "create or replace procedure p() begin atomic select 1; end;",
			items: []string{"create or replace procedure p() begin atomic select 1; end;"}, sign: '='},
		{text: "begin; select 1; end;", items: []string{"begin;", "select 1;", "end;"}, sign: '='},
		{text: "create table begin (a int);", items: []string{"create table begin (a int);"}, sign: '='},
		{text: ";;", items: []string{";", ";"}, sign: '='},
	} {
		items, rest, sign := splitAll(row.text)
		if !slices.Equal(items, row.items) || strings.TrimSpace(rest) != strings.TrimSpace(row.rest) || sign != row.sign {
			t.Errorf("%q\ngot  %q, rest %q, sign %c\nwant %q, rest %q, sign %c", row.text, items, rest, sign, row.items, row.rest, row.sign)
		}
	}
}

func TestStatementsKnowTheirLine(t *testing.T) {
	var s splitter
	var got []int
	for line := range strings.SplitSeq("\n-- c\n\nselect 1; select\n2;\n\\x\n  select 3;", "\n") {
		for i := range s.line(line) {
			got = append(got, i.line)
		}
	}
	if !slices.Equal(got, []int{2, 4, 6, 7}) {
		t.Errorf("lines %v", got)
	}
}

// Nothing is lost or made up, statements end with their semicolon, and a text without quotes, comments
// or parentheses is split at each of them.
func FuzzSplit(f *testing.F) {
	for _, list := range [][]string{alike, failing} {
		for _, text := range list {
			f.Add(text)
		}
	}
	f.Add(`create function f() begin atomic case; end; $a$ E'\'' /* /* */ "`)
	f.Fuzz(func(t *testing.T, text string) {
		items, rest, _ := splitAll(text)
		var all strings.Builder
		for _, i := range items {
			if !strings.HasPrefix(i, `\`) && !strings.HasSuffix(i, ";") {
				t.Errorf("the statement %q has no end", i)
			}
			all.WriteString(i)
		}
		all.WriteString(rest)
		if !strings.Contains(text, `\`) {
			same(t, text, all.String(), rest)
		}
		if !strings.ContainsAny(text, "\\'\"$/-()") && !strings.Contains(strings.ToLower(text), "create") &&
			len(items) != strings.Count(text, ";") {
			t.Errorf("%d statements in %q", len(items), text)
		}
	})
}

// same compares without space; a rest of comments alone is left out by intent.
func same(t *testing.T, text, all, rest string) {
	t.Helper()
	squeeze := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < 0x80 && isSpace(byte(r)) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(s, "?"))
	}
	text, all = squeeze(text), squeeze(all)
	if text != all && !(rest == "" && strings.HasPrefix(text, all)) {
		t.Errorf("got %q\nof  %q", all, text)
	}
}
