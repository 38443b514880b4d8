// The prompt says what psql says, byte for byte, for the same script.

package prompt

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// runPsql runs a script through psql, which must stop at errors as the prompt does.
func runPsql(t *testing.T, text string) outcome {
	t.Helper()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql to compare with")
	}
	var out, errs bytes.Buffer
	c := exec.CommandContext(t.Context(), psql, "-X", "-v", "ON_ERROR_STOP=1", postgres.SuperuserDSN())
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(text), &out, &errs
	c.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8", "LC_ALL=C.UTF-8")
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](c.Run()); ok {
		code = exit.ExitCode()
	}
	return outcome{code: code, out: out.String(), errs: errs.String()}
}

// alike are scripts that need no more than what both understand.
var alike = []string{
	"select 1;",
	"select 1 as a, 'x' as bbbbb, null, 2.50, true;",
	"select;",
	"select 1 where false;",
	"select where false;",
	"select 'a' as \"wide name\", 12345678 as n;",
	"select E'two\\nlines' as t, 7 as n, E'a\\nb\\nc' as last;",
	"select E'last\\nlast' as t;",
	"select '漢字' as 日本, 'ü' as u, 'e' || U&'\\0301' as combined;",
	"select E'tab\\there' as t, E'cr\\rhere', E'bell\\x07', E'esc\\x1b[2J';",
	"select i, i*i as square, 'item ' || i as name from generate_series(1, 12) i;",
	"select 1::int2, 1::int8, 1::float4, 1.5::float8, 1::numeric, 1::oid, '1'::xid, '1'::money, '1'::text, now()::date - " +
		"'2000-01-01'::date > 0;",
	"\\x\nselect 1 as a, 'text' as long_name;\nselect 1 as a where false;",
	"\\x on\nselect i, repeat('x', i*7) as xs from generate_series(1, 3) i;\n\\x off\nselect 1;",
	"\\x\nselect E'two\\nlines' as t, 7 as n, E'\\nx' as u;",
	"\\x\nselect 'a very long value that is wider than the head of the record' as c;\nselect 1 as a_very_long_column_name_that_is_wider;",
	"\\x\nselect;",
	"create temp table t (a int, b text);\ninsert into t values (1, 'x'), (2, null);\nupdate t set a = a + 1;\nselect * from t order by " +
		"a;\ndelete from t returning a;\ndrop table t;",
	"begin; select 1; rollback;",
	"select 1; select 2;  select 3",
	"select 1;;\n;\n-- nothing\n/* at all */ ;",
	"select 'it''s; fine', \"a;b\" from (select 1 as \"a;b\") x; select $$a;b$$, $t$a $$ ; b$t$;",
	"select 1 -- a comment; with semicolon\n+ 1 /* and /* nested; */ ; */ as two;",
	"select (1;\n2);",
	"create function pg_temp.f() returns int language sql begin atomic select 1; select case when true then 2 end; end; select pg_temp.f();",
	"create temp table t (a int, b text);\ncopy t from stdin;\n1\tone\n2\t\\N\n\\.\nselect * from t;\ncopy t to stdout;\ncopy (select 1, " +
		"2) to stdout with (format csv);",
	"create temp table t (a int);\ncopy t from stdin; select count(*) from t;\n1\n2\n\\.\nselect sum(a) from t;",
	"create temp table t (a int);\ncopy t from stdin;\n1\n2",
	"do $$ begin raise notice 'hello'; raise warning 'careful' using detail = 'd', hint = 'h'; end $$;",
	"select 1;\n\\echo hello\n\\q\nselect 2;",
	"select 1 \\g\nselect 2;",
	"select 1 as never \\r\nselect 2;",
	"set standard_conforming_strings = off; set escape_string_warning = off;\nselect 'a\\'; b';",
	"explain (costs off) select 1;",
	"\ufeffselect 1;",
	"select 1;\r\nselect 2;\r\n",
	"show server_version;",
	"values (1), (20), (300);",
	"\\timing off\nselect 1;",
	"select 1 as \"?column?\", 2;",
	"insert into pg_temp.x select 1;",
	"select 1 as a, 'x' as b \\gx\nselect 2;",
	"select 3 as again;\n\\g\n\\gx\nselect 4;",
	"\\dn",
	"\\dn pg_c*",
	"\\du",
	"\\df",
	"\\df now",
	"\\df pg_catalog.pg_get_function_*",
	"\\copy (select i, 'a to b' from generate_series(1, 3) i) to stdout",
	// in CSV, psql before 18 sends 18 the end as a line
	"create temp table t (a int, \"from\" text);\n\\copy t (a, \"from\") from stdin with (format text)\n1\tx\n2\ty,z\n\\.\nselect * from t;",
	"listen a; unlisten a;",
}

func TestSaysWhatPsqlSays(t *testing.T) {
	for _, text := range alike {
		t.Run(strings.ReplaceAll(text, "/", "|"), func(t *testing.T) {
			compare(t, text)
		})
	}
}

// failing are scripts that stop at an error.
var failing = []string{
	"select 1;\nselect nothing;\nselect 2;",
	"select 1\n  + nothing\n  + 2;",
	"selec 1;",
	"select 'abc' || repeat('x', 10) || 'a long line that goes on and on' || nothing || ' and then some more text that is long' from " +
		"pg_class;",
	"select 1, 2, 3, 4, 5, 6, 7, 8, 9, nothing, 'a tail that is very long indeed, longer than sixty columns for sure';",
	"select '漢字漢字', nothing;",
	"select\t'tab',\tnothing;",
	"select 1/0;",
	"do $$ begin perform 1/0; end $$;",
	"do $$ begin execute 'select nothing'; end $$;",
	"create temp table u (a int primary key);\ninsert into u values (1);\ninsert into u values (1);",
	"create temp table t (a int);\ncopy t from stdin;\n1\nx\n\\.\nselect 1;",
	"copy nowhere from stdin;\n1\n\\.\nselect 1;",
	"begin;\nselect 1/0;\nselect 2;",
	"create function pg_temp.f() returns int language sql as 'select nothing';",
	"select nope",
}

func TestStopsWherePsqlStops(t *testing.T) {
	for _, text := range failing {
		t.Run(strings.ReplaceAll(text, "/", "|"), func(t *testing.T) {
			got := compare(t, text)
			if got.code != ScriptFailed {
				t.Errorf("exit code %d", got.code)
			}
		})
	}
}

var signs = regexp.MustCompile(`(?m) +\+$`)

func compare(t *testing.T, text string) outcome {
	t.Helper()
	got, want := runScript(t, text), runPsql(t, text)
	errs, _, _ := strings.Cut(got.errs, "stopped at line")
	if strings.Contains(text, "\\x") { // releases of psql differ in how far out the sign stands
		got.out, want.out = signs.ReplaceAllString(got.out, " +"), signs.ReplaceAllString(want.out, " +")
	}
	if got.err != nil || got.code != want.code || got.out != want.out || errs != want.errs {
		t.Errorf("got  exit %d, %v\n%s%s\nwant exit %d\n%s%s\n%q\n%q", got.code, got.err, got.out, errs, want.code, want.out, want.errs,
			got.out+errs, want.out+want.errs)
	}
	return got
}

// What releases of psql do not agree about is as in psql 15.20.
func TestRecordsOfManyLines(t *testing.T) {
	for text, want := range map[string]string{
		"\\x\nselect E'two\\nlines' as t;":                                     "t | two     +\n",
		"\\x\nselect E'two\\nlines' as t from generate_series(1, 12);":         "t | two      +\n",
		"\\x\nselect E'two\\nlines' as abcdef;":                                "abcdef | two  +\n",
		"\\x\nselect E'two\\nlines, but wider' as t, 7 as n;":                  "t | two             +\n",
		"\\x\nselect 'plain' as t, E'x\\ny' as n, 'wide wide wide wide' as u;": "n | x                  +\n",
	} {
		if got := runScript(t, text).out; !strings.Contains(got, "\n"+want) {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}
