// What a script may do and how it may end, beyond what psql can be compared for.

package prompt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestScripts(t *testing.T) {
	for _, row := range []struct {
		name, script string
		code         int
		out, errs    []string // stand in the outputs
	}{
		{name: "stops and says where", script: "select 1;\n\nselect nothing;\nselect 'never';", code: 3,
			out: []string{"(1 row)"}, errs: []string{`ERROR:  column "nothing" does not exist`, "LINE 1: select nothing;\n               ^",
				"stopped at line 3 of the script"}},
		{name: "unknown command", script: "\\watch 2\nselect 1;", code: 3, errs: []string{`there is no command \watch`, "stopped at line 1"}},
		{name: "quit is no word of scripts", script: "quit;\nselect 1;", code: 3, errs: []string{`syntax error at or near "quit"`}},
		{name: "an output file for \\g", script: `select 1 \g out.txt`, code: 3, errs: []string{`\copy (QUERY) to FILE`}},
		{name: "a file that is not there", script: `\i nowhere.sql`, code: 3, errs: []string{"open nowhere.sql: no such file or directory",
			"stopped at line 1 of the script"}},
		{name: "a folder", script: `\i .`, code: 3, errs: []string{"is a folder"}},
		{name: "a copy of nothing", script: `\copy t`, code: 3, errs: []string{`\copy takes: TABLE`}},
		{name: "a copy to stdin", script: `\copy t to stdin`, code: 3, errs: []string{`\copy takes: TABLE`}},
		{name: "a copy to a program", script: `\copy t to program 'cat'`, code: 3, errs: []string{`\copy takes: TABLE`}},
		{name: "a copy from a file that is not there", script: `\copy t from x`, code: 3, errs: []string{"open x: no such file or directory"}},
		{name: "set ON_ERROR_STOP", script: "\\set ON_ERROR_STOP on\n\\set ON_ERROR_STOP\nselect 1;", out: []string{"(1 row)"}},
		{name: "set ON_ERROR_STOP off", script: "\\set ON_ERROR_STOP off", code: 3, errs: []string{"always stops"}},
		{name: "wrong toggle", script: "\\x maybe", code: 3, errs: []string{`can be "on" or "off"`}},
		{name: "a lost connection", script: "select pg_terminate_backend(pg_backend_pid());\nselect 'never';", code: 2,
			errs: []string{"FATAL:  terminating connection due to administrator command", "stopped at line 1"}},
		{name: "another database", script: "\\c other\nselect current_database();\n\\connect \"other\"\n\\c\n",
			out: []string{"connected to database \"other\"", " other\n"}},
		{name: "a database that is not there", script: "\\c nowhere\nselect 1;", code: 3,
			errs: []string{`database "nowhere" does not exist`, "The connection to postgres is kept."}},
		{name: "a NUL byte", script: "select 'a\x00b';", code: 3, errs: []string{"holds a NUL byte"}},
		{name: "help", script: `\?`, out: []string{`\timing`}},
		{name: "timing", script: "\\timing\nselect 1;", out: []string{"Timing is on.", "\nTime: ", " ms\n"}},
		{name: "a notification", script: "listen ch; notify ch, 'hello';", out: []string{`Notification "ch" of process `, ": hello\n"}},
		{name: "restricted", script: "\\restrict k\n\\d\n", code: 3, errs: []string{`only \unrestrict is allowed`}},
		{name: "unrestricted", script: "\\restrict k\nselect 1;\n\\unrestrict k\n\\x\n", out: []string{"Expanded display is on."}},
		{name: "unrestricted by another key", script: "\\restrict k\n\\unrestrict j\n", code: 3, errs: []string{"needs the key"}},
		{name: "terminal codes from the server", script: "do $$ begin raise notice E'\\x1b[2J'; end $$; select E'\\u202e' as \"\x1b[2J\";",
			out: []string{`\u202E`, `\x1B[2J`}, errs: []string{`NOTICE:  \x1B[2J`}},
		{name: "databases", script: `\l`, out: []string{"List of databases", " other "}},
		{name: "one database", script: `\l oth*`, out: []string{"(1 row)"}},
		{name: "no relation", script: `\d nothing`, code: 3, errs: []string{`there is no relation named "nothing"`}},
		{name: "no relations at all", script: `\dt`, errs: []string{"no relations"}},
		{name: "a pattern that is none", script: `\d "open`, code: 3, errs: []string{"is no name"}},
		{name: "a system table", script: `\d pg_catalog.pg_class`, out: []string{`Table "pg_catalog.pg_class"`, `"pg_class_oid_index" `,
			`, btree (oid)`}},
		{name: "injection", script: `\d x';drop`, code: 3, errs: []string{"there is no relation"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := runScript(t, row.script)
			if got.code != row.code || got.err != nil {
				t.Errorf("exit %d, %v, want %d", got.code, got.err, row.code)
			}
			for _, want := range row.out {
				if !strings.Contains(got.out, want) {
					t.Errorf("no %q in the output\n%s", want, got.out)
				}
			}
			for _, want := range row.errs {
				if !strings.Contains(got.errs, want) {
					t.Errorf("no %q in the errors\n%s", want, got.errs)
				}
			}
			if len(row.errs) == 0 && got.errs != "" {
				t.Errorf("errors\n%s", got.errs)
			}
			if strings.Contains(got.out+got.errs, "\x1b") || strings.Contains(got.out, "never") {
				t.Errorf("what must not be there:\n%s%s", got.out, got.errs)
			}
		})
	}
}

func TestDescribesLikePsql(t *testing.T) {
	const tables = `set client_min_messages = warning;
create schema shop; set search_path = shop;
create table item (id int generated always as identity primary key, name text not null default 'x' check (name <> ''), tag varchar(3) unique);
create index item_lower on item (lower(name));
create table sale (item int references item on delete cascade, at timestamptz not null default now(), price numeric(10,2));
create view cheap as select * from sale where price < 1;
create sequence counter;
`
	defer runScript(t, "drop schema if exists shop cascade;")
	if got := runScript(t, tables); got.code != 0 {
		t.Fatal(got.errs)
	}
	for _, command := range []string{`\d item`, `\d sale`, `\d shop.cheap`, `\dt`, `\dt shop.*`, `\dt s?le`, `\d`, `\dt shop.ITEM`} {
		t.Run(command, func(t *testing.T) { compare(t, "set search_path = shop;\n"+command+"\n") })
	}
	got := runScript(t, "set search_path = shop;\n\\d counter\n\\d item_lower\n")
	if got.code != 0 || !strings.Contains(got.out, `Sequence "shop.counter"`) || !strings.Contains(got.out,
		"CREATE INDEX item_lower ON shop.item") {
		t.Errorf("%+v", got)
	}
}

func TestLargeResultsAndCopies(t *testing.T) {
	const rows = 3 * sampleRows
	got := runScript(t, fmt.Sprintf("select i from generate_series(1, %d) i;", rows))
	if got.code != 0 || strings.Count(got.out, "\n") != rows+4 || !strings.HasSuffix(got.out, fmt.Sprintf("(%d rows)\n\n", rows)) {
		t.Errorf("exit %d, %d lines, %s", got.code, strings.Count(got.out, "\n"), got.errs)
	}
	// A trigger that talks on every row fills the way back while data fills the way there.
	var script strings.Builder
	script.WriteString(`create temp table t (a text);
create function pg_temp.talk() returns trigger language plpgsql as $$ begin raise notice '%', repeat('x', 1000); return new; end $$;
create trigger talk before insert on t for each row execute function pg_temp.talk();
copy t from stdin;
`)
	for range 20_000 {
		script.WriteString(strings.Repeat("y", 1000) + "\n")
	}
	script.WriteString("\\.\nselect count(*), sum(length(a)) from t;\n")
	got = runScript(t, script.String())
	if got.code != 0 || !strings.Contains(got.out, " 20000 | 20000000\n") || strings.Count(got.errs, "NOTICE") != 20_000 {
		t.Errorf("exit %d\n%s", got.code, got.out)
	}
	// One line of data that is longer than any buffer.
	long := strings.Repeat("z", 300_000)
	got = runScript(t, "create temp table t (a text);\ncopy t from stdin;\n"+long+"\n\\.\nselect length(a) from t;")
	if got.code != 0 || !strings.Contains(got.out, " 300000\n") {
		t.Errorf("a long line: exit %d\n%s%s", got.code, got.out, got.errs)
	}
}

// endless says a text and then nothing, without an end.
type endless struct {
	text string
	done <-chan struct{}
}

func (e *endless) Read(b []byte) (int, error) {
	if e.text != "" {
		n := copy(b, e.text)
		e.text = e.text[n:]
		return n, nil
	}
	<-e.done
	return 0, io.EOF
}

func TestTheEndOfCtxEndsAScript(t *testing.T) {
	t.Run("while it waits for input", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		code, err := Run(ctx, Config{In: &endless{"select 1;\n", t.Context().Done()}, Out: stopper{&out, stop}, Err: &errs,
			Connect: connectSuperuser})
		if !errors.Is(err, context.Canceled) || code != 1 || !strings.Contains(out.String(), "(1 row)") {
			t.Errorf("exit %d, %v\n%s%s", code, err, out.String(), errs.String())
		}
	})
	t.Run("while a statement runs", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		code, err := Run(ctx, Config{In: strings.NewReader("do $$ begin raise notice 'on'; perform pg_sleep(60); end $$;\nselect 1;\n"),
			Out: &out, Err: stopper{&errs, stop}, Connect: connectSuperuser})
		if err != nil || code != ScriptFailed || !strings.Contains(errs.String(), "canceling statement due to user request") || out.Len() != 0 {
			t.Errorf("exit %d, %v\n%s%s", code, err, out.String(), errs.String())
		}
	})
}

// stopper calls stop with the first write.
type stopper struct {
	io.Writer
	stop func()
}

func (s stopper) Write(b []byte) (int, error) {
	s.stop()
	return s.Writer.Write(b)
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

func TestBrokenOutputAndLogin(t *testing.T) {
	var errs bytes.Buffer
	for _, script := range []string{"select i from generate_series(1, 100000) i; select 1;",
		"copy (select i from generate_series(1, 100000) i) to stdout;", "\\l\n"} {
		_, err := Run(t.Context(), Config{In: strings.NewReader(script), Out: brokenPipe{}, Err: &errs, Connect: connectSuperuser})
		if !errors.Is(err, syscall.EPIPE) || errs.Len() > 0 {
			t.Errorf("%s: %v, %s", script, err, errs.String())
		}
	}
	refused := errors.New("refused")
	code, err := Run(t.Context(), Config{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard,
		Connect: func(context.Context, string, func(*pgconn.Config)) (*pgconn.PgConn, error) { return nil, refused }})
	if code != ConnectionLost || !errors.Is(err, refused) {
		t.Errorf("exit %d, %v", code, err)
	}
}
