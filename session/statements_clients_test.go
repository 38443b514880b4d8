package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/session/relay"
	"gprxy/store"
)

var mixed = flag.Int("statements", 2000, "about how many statements TestEveryStatementThatPostgreSQLLogsIsRecorded runs")

// Real clients, and the rows that they leave.
func TestWhatRealClientsLeave(t *testing.T) {
	t.Parallel()
	admin(t, "create table taken (n int, t text)")
	admin(t, "grant all on taken to app_writer")
	t.Cleanup(func() { admin(t, "drop table taken") })
	file := filepath.Join(t.TempDir(), "taken.csv")
	if err := os.WriteFile(file, []byte("1,a\n2,b\n3,c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(mode string) func(*testing.T, *proxy, func(*pgx.Conn)) {
		return func(t *testing.T, p *proxy, do func(*pgx.Conn)) {
			conn := connect(t, p.dsn("bob", token("bob@example.com", "WRITER"), "default_query_exec_mode="+mode))
			do(conn)
			conn.Close(t.Context())
		}
	}
	ctx := t.Context()
	tests := []struct {
		name string
		run  func(*testing.T, *proxy)
		want []string
	}{
		{"psql", func(t *testing.T, p *proxy) {
			output(t, tool(t, p, "WRITER", "psql", "-c", "begin; insert into taken values (1, 'x''y'); commit", "-c",
				"select n from taken where n = 1"))
		}, []string{
			`simple "begin" part=1 tag=BEGIN`, `simple "insert into taken values (1, 'x''y')" part=2 tag=INSERT rows=1`,
			`simple "commit" part=3 tag=COMMIT tx=I`,
			`simple "select n from taken where n = 1" tag=SELECT rows=1 tx=I`}},
		{"psql copies", func(t *testing.T, p *proxy) {
			output(t, tool(t, p, "WRITER", "psql", "-c", `\copy taken from '`+file+`' csv`, "-c", `\copy taken to '/dev/null'`))
		}, []string{
			`copy "COPY  taken FROM STDIN csv" tag=COPY rows=3 tx=I copy_in=12`,
			`copy "COPY  taken TO STDOUT " tag=COPY rows=4 tx=I copy_out=18`}},
		{"a cursor", func(t *testing.T, p *proxy) {
			output(t, tool(t, p, "WRITER", "psql", "-c", "begin", "-c", "declare c cursor for select generate_series(1, 5)", "-c", "fetch 2 from c",
				"-c", "fetch all from c", "-c", "rollback"))
		}, []string{
			`simple "begin" tag=BEGIN tx=T`, `simple "declare c cursor for select generate_series(1, 5)" tag=DECLARE CURSOR tx=T`,
			`simple "fetch 2 from c" tag=FETCH rows=2 tx=T`, `simple "fetch all from c" tag=FETCH rows=3 tx=T`,
			`simple "rollback" tag=ROLLBACK tx=I`}},
		{"pgx, simple", func(t *testing.T, p *proxy) {
			in("simple_protocol")(t, p, func(c *pgx.Conn) { ask[int](t, c, "select $1::int", 7) })
		}, []string{`simple "select  '7' ::int" tag=SELECT rows=1 tx=I`}},
		{"pgx, described", func(t *testing.T, p *proxy) {
			in("describe_exec")(t, p, func(c *pgx.Conn) { ask[int](t, c, "select $1::int", 7) })
		}, []string{`extended "select $1::int" tag=SELECT rows=1 tx=I params=["7"]`}},
		{"pgx, cached", func(t *testing.T, p *proxy) {
			in("cache_statement")(t, p, func(c *pgx.Conn) {
				for range 2 {
					ask[time.Time](t, c, "select $1::timestamptz", time.Date(2026, 3, 5, 11, 0, 0, 0, time.UTC))
				}
			})
		}, []string{
			`parse "select $1::timestamptz" name=NAME tx=I`,
			`extended "select $1::timestamptz" name=NAME tag=SELECT rows=1 tx=I params=["2026-03-05 11:00:00Z"]`,
			`extended "select $1::timestamptz" name=NAME tag=SELECT rows=1 tx=I params=["2026-03-05 11:00:00Z"]`}},
		{"pgx, a batch with an error", func(t *testing.T, p *proxy) {
			in("exec")(t, p, func(c *pgx.Conn) {
				var batch pgx.Batch
				batch.Queue("insert into taken values ($1, $2)", 10, "ten")
				batch.Queue("select 1/$1::int", 0)
				batch.Queue("select 'never'")
				if err := c.SendBatch(ctx, &batch).Close(); err == nil {
					t.Error("the batch succeeded")
				}
			})
		}, []string{
			`extended "insert into taken values ($1, $2)" tag=INSERT rows=1 params=["10","ten"]`,
			`extended "select 1/$1::int" state=22012 outcome=error params=["0"]`, `extended "select 'never'" outcome=skipped tx=I`}},
		{"pgx, COPY", func(t *testing.T, p *proxy) {
			in("exec")(t, p, func(c *pgx.Conn) {
				if _, err := c.PgConn().CopyFrom(ctx, strings.NewReader("5\tfive\n"), "copy taken from stdin"); err != nil {
					t.Error(err)
				}
			})
		}, []string{`copy "copy taken from stdin" tag=COPY rows=1 tx=I copy_in=7`}},
		{"arrays, a uuid, json", func(t *testing.T, p *proxy) {
			in("cache_describe")(t, p, func(c *pgx.Conn) {
				if _, err := c.Exec(ctx, "select $1::int[], $2::uuid, $3::jsonb, $4::bool, $5::float8", []int{1, 2},
					"7d444840-9dc0-11d1-b245-5ffdce74fad2", `{"a": 1}`, true, 1.5); err != nil {
					t.Error(err)
				}
			})
		}, []string{`extended "select $1::int[], $2::uuid, $3::jsonb, $4::bool, $5::float8" tag=SELECT rows=1 tx=I params=["{1,2}","7d444840-9dc0-11d1-b245-5ffdce74fad2","{\"a\": 1}","t","1.5"]`}},
	}
	for _, test := range tests {
		p := startProxy(t, quietly, recordingAs(relay.RecordParams))
		test.run(t, p)
		p.untilAllEnded()
		var got []string
		for _, s := range p.statements() {
			if s.Name != "" {
				s.Name = "NAME"
			}
			got = append(got, told(s))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %s\nwant %s", test.name, strings.Join(got, "\n     "), strings.Join(test.want, "\n     "))
		}
	}
}

// mark stands in every statement that is counted, since gprxy has some of its own.
const mark = "/* counted */"

// PostgreSQL's own log (log_statement=all) is the oracle: it has as many statements as gprxy's.
func TestEveryStatementThatPostgreSQLLogsIsRecorded(t *testing.T) {
	admin(t, "alter role app_writer set log_statement = 'all'")
	admin(t, "create table counters (n int primary key, value int)")
	admin(t, "insert into counters select i, 0 from generate_series(1, 100) i; grant all on counters to app_writer")
	t.Cleanup(func() {
		admin(t, "alter role app_writer reset log_statement")
		admin(t, "drop table counters")
	})
	before := loggedStatements()
	p := startProxy(t, quietly, recordingAs(relay.RecordText), func(o *options) { o.pool.MaxConns, o.pool.MaxTotal = 20, 20 })
	script := filepath.Join(t.TempDir(), "mixed.sql")
	text := strings.ReplaceAll(`\set n random(1, 100)
begin MARK;
update MARK counters set value = value + 1 where n = :n;
select MARK value from counters where n = :n;
end MARK;
select MARK generate_series(1, 3);
`, "MARK", mark)
	pipeline := strings.Replace(text, "begin", "\\startpipeline\nbegin", 1) + "\\endpipeline\n"
	for name, content := range map[string]string{script: text, script + ".pipeline": pipeline} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const each, runs, clients = 5, 4, 4
	transactions := strconv.Itoa(max(1, *mixed/each/runs/clients))
	for _, args := range [][]string{{"-M", "simple", "-f", script}, {"-M", "extended", "-f", script}, {"-M", "prepared", "-f", script},
		{"-M", "prepared", "-f", script + ".pipeline"}} {
		output(t, tool(t, p, "WRITER", "pgbench", append(args, "-n", "-c", strconv.Itoa(clients), "-t", transactions, "--max-tries", "10")...))
	}
	output(t, tool(t, p, "WRITER", "psql", "-c", "select "+mark+" 1; select "+mark+" 2", "-c", `\copy (select `+mark+` 1) to '/dev/null'`))
	withErrors(t, p)
	p.untilAllEnded()
	recorded := 0
	for _, s := range p.statements() {
		first := s.Kind == store.KindExtended || s.Part <= 1 // PostgreSQL logs a query with many statements once
		ran := s.Outcome != store.OutcomeSkipped && s.Kind != store.KindParse && s.Kind != store.KindBind
		if strings.Contains(s.SQL, mark) && ran && first {
			recorded++
		}
	}
	logged := loggedStatements() - before
	t.Logf("PostgreSQL logged %d statements, gprxy recorded %d", logged, recorded)
	if logged != recorded || logged < *mixed/2 {
		t.Errorf("PostgreSQL logged %d statements, gprxy recorded %d", logged, recorded)
	}
}

// withErrors runs what fails, is cancelled, or is fetched in parts.
func withErrors(t *testing.T, p *proxy) {
	t.Helper()
	conn := connect(t, p.dsn("bob", token("bob@example.com", "WRITER"), "default_query_exec_mode=exec"))
	for range 5 {
		// It fails while it runs: what fails while it is planned PostgreSQL does not log as executed.
		if _, err := conn.Exec(t.Context(), "select "+mark+" 1/(n-$1::int) from counters where n = $1", 1); err == nil {
			t.Error("a division by zero succeeded")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "select "+mark+" pg_sleep(60)"); err == nil || errors.As(err, new(*pgconn.PgError)) &&
		!strings.Contains(fmt.Sprint(err), "57014") {
		t.Errorf("got %v", err)
	}
	raw := rawSession(t, p, "WRITER")
	send(t, raw, parseAs("", "select "+mark+" generate_series(1,5)")+bindTo("p", "")+executePortal("p", 2)+executePortal("p",
		2)+executePortal("p", 2)+syncing)
	receiveUntil(t, raw, 'Z')
	send(t, raw, message('X', ""))
	conn.Close(t.Context())
}

// loggedStatements is how many marked statements stand in PostgreSQL's log.
func loggedStatements() (n int) {
	for line := range strings.Lines(postgres.Log()) {
		if strings.Contains(line, mark) && (strings.Contains(line, "LOG:  statement: ") || strings.Contains(line, "LOG:  execute ")) {
			n++
		}
	}
	return n
}
