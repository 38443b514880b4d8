package session_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/pool/pooltest"
)

// The tools people use, unchanged, through the proxy.

// tool prepares one of PostgreSQL's own programs to log in as a person with a
// role.
func tool(t *testing.T, p *proxy, role, name string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, _ := strings.Cut(p.addr, ":")
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(done)
	cmd := exec.CommandContext(ctx, postgres.Tool(t, name), args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PSQLRC=/dev/null", "LC_ALL=C",
		"PGHOST=" + host, "PGPORT=" + port, "PGUSER=bob", "PGDATABASE=" + database,
		"PGPASSWORD=" + token("bob@example.com", role),
	}
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

func TestPsql(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	t.Run("describes tables", func(t *testing.T) {
		if got := output(t, tool(t, p, "reader", "psql", "-c", `\d items`)); !strings.Contains(got, "items_pkey") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("copies out and in", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "items.csv")
		got := output(t, tool(t, p, "writer", "psql", "-c", `\copy items to '`+file+`' csv`,
			"-c", "create table copied (like items)", "-c", `\copy copied from '`+file+`' csv`,
			"-c", "select count(*) from copied", "-c", "drop table copied"))
		if strings.Count(got, "COPY 1000") != 2 {
			t.Errorf("got %s", got)
		}
	})
	t.Run("takes its defaults from the environment", func(t *testing.T) {
		cmd := tool(t, p, "reader", "psql", "-At", "-c", "show timezone", "-c", "show work_mem", "-c", "show application_name", "-c",
			"reset all", "-c", "show work_mem")
		cmd.Env = append(cmd.Env, "PGTZ=Asia/Tokyo", "PGOPTIONS=-c work_mem=3MB", "PGAPPNAME=my tool")
		if got := output(t, cmd); got != "Asia/Tokyo\n3MB\nmy tool\nRESET\n3MB\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("stores large objects", func(t *testing.T) { // by FunctionCall
		from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
		content := make([]byte, 300_000)
		rand.Read(content)
		if err := os.WriteFile(from, content, 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, tool(t, p, "writer", "psql", "-c", `\lo_import '`+from+`'`, "-c", `\lo_export :LASTOID '`+to+`'`, "-c", `\lo_unlink :LASTOID`))
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		eventually(t, "its calls are counted", 20*time.Second, func() bool { return p.sessions()[0].Statements >= 70 })
	})
	t.Run("cancels with Ctrl-C", func(t *testing.T) {
		cmd := tool(t, p, "reader", "psql", "-c", "select pg_sleep(60) /* interrupt me */")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the query runs", 20*time.Second, func() bool {
			return admin(t, "select count(*) from pg_stat_activity where query like '%interrupt me%' and query not like '%activity%' and state "+
				"= 'active'") == "1"
		})
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "canceling statement due to user request") {
			t.Errorf("ended with %v: %s", err, out.String())
		}
	})
	t.Run("is told why it is refused", func(t *testing.T) {
		cmd := tool(t, p, "baker", "psql", "-c", "select 1")
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "HINT:") {
			t.Errorf("ended with %v: %s", err, out)
		}
	})
}

// A dump taken and loaded through the proxy is the database.
func TestDumpAndLoad(t *testing.T) {
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 0 }) // the default
	source := mustParse(t, postgres.DSN(pooltest.Superuser, postgres.SuperuserPassword, database))
	conn := connectConfig(t, source)
	run(t, conn, `create schema dumped authorization app_writer`)
	run(t, conn, "set role app_writer; "+dumpedTables+`
		insert into dumped.facts (doc, bin, t) select jsonb_build_object('i', i, 'x', repeat('ä', i % 20)), sha256(i::text::bytea), E'tab\t nl\n back\\ ' || i from generate_series(1, 3000) i;
		reset role`)
	t.Cleanup(func() { admin(t, "drop schema if exists dumped cascade") })
	digest := func() string {
		return admin(t, "select md5(string_agg(f::text, '|' order by id)) from dumped.facts f")
	}
	before := digest()
	var sql []byte
	if refusesTheServer(t, "pg_dump") {
		whole, parts := dumpInParallel(t, p, "dumped.facts", 8)
		if len(whole) != 3000 || !slices.Equal(whole, parts) || !slices.Equal(whole, sorted(copyOut(t, conn, "dumped.facts"))) {
			t.Errorf("%d lines by one session, %d by others, or these are not PostgreSQL's", len(whole), len(parts))
		}
		sql = []byte(dumpedTables + ";\ncopy dumped.facts from stdin;\n" + strings.Join(whole, "") + "\\.\n")
	} else {
		sql = dumpTwice(t, p)
		parallel := filepath.Join(t.TempDir(), "parallel") // by one connection and 8 more, with the default of POOL_MAX_CONNS
		output(t, tool(t, p, "writer", "pg_dump", "--schema=dumped", "--format=directory", "--jobs=8", "--file="+parallel))
	}
	run(t, conn, "drop schema dumped cascade; create schema dumped authorization app_writer") // who may not create one
	sql = bytes.Replace(sql, []byte("CREATE SCHEMA dumped;\n"), nil, 1)
	load := tool(t, p, "writer", "psql", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull)
	load.Stdin = bytes.NewReader(sql)
	output(t, load)
	if after := digest(); after != before {
		t.Errorf("checksum %s after the load, %s before the dump", after, before)
	}
}

// dumpedTables is what is dumped, but for its rows.
const dumpedTables = `create table dumped.facts (id serial primary key, at timestamptz default now(), doc jsonb, bin bytea, t text);
	create index on dumped.facts using gin (doc);
	create view dumped.v as select id, t from dumped.facts;
	create function dumped.f(int) returns int language sql as 'select $1 + 1';`

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

// dumpTwice takes a dump through the proxy and one without it, which must be the same.
func dumpTwice(t *testing.T, p *proxy) []byte {
	t.Helper()
	dump := tool(t, p, "writer", "pg_dump", "--schema=dumped", "--no-owner")
	sql, err := dump.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	direct := exec.CommandContext(t.Context(), postgres.Tool(t, "pg_dump"), "--schema=dumped", "--no-owner",
		postgres.DSN("app_writer", "writer-secret", database))
	directSQL, err := direct.Output()
	if err != nil {
		t.Fatalf("pg_dump without the proxy: %v", err)
	}
	if sha256.Sum256(withoutNonce(sql)) != sha256.Sum256(withoutNonce(directSQL)) {
		t.Error("the dump through the proxy differs from the direct one")
	}
	return sql
}

// withoutNonce drops pg_dump's \restrict lines, random in each dump.
func withoutNonce(dump []byte) []byte {
	var kept [][]byte
	for line := range bytes.Lines(dump) {
		if !bytes.HasPrefix(line, []byte(`\restrict`)) && !bytes.HasPrefix(line, []byte(`\unrestrict`)) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}

func TestPgbench(t *testing.T) {
	p := startProxy(t)
	output(t, tool(t, p, "writer", "pgbench", "-i", "-q", "-s", "1"))
	t.Cleanup(func() {
		admin(t, "drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")
	})
	pipeline := filepath.Join(t.TempDir(), "pipeline.sql")
	script := "\\set aid random(1, 100000)\n\\startpipeline\n" +
		strings.Repeat("select abalance from pgbench_accounts where aid = :aid;\n", 5) + "\\endpipeline\n"
	if err := os.WriteFile(pipeline, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := map[string][]string{
		"simple":    {"-M", "simple"},
		"extended":  {"-M", "extended"},
		"prepared":  {"-M", "prepared"},
		"pipelined": {"-M", "prepared", "-f", pipeline},
		"reconnect": {"-C", "-S"},
	}
	for name, args := range runs {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-n", "-c", "4", "-t", "25"}, args...)
			if got := output(t, tool(t, p, "writer", "pgbench", args...)); !strings.Contains(got, "100/100") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestPgxBatches(t *testing.T) {
	p := startProxy(t)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			conn := connect(t, p.dsn("bob", token("bob@example.com", "reader"), "default_query_exec_mode="+mode))
			var batch pgx.Batch
			for i := range 50 {
				batch.Queue("select id from items where id = $1", i+1)
			}
			results := conn.SendBatch(t.Context(), &batch)
			for i := range 50 {
				var id int
				if err := results.QueryRow().Scan(&id); err != nil || id != i+1 {
					t.Fatalf("answer %d: %d, %v", i, id, err)
				}
			}
			if err := results.Close(); err != nil {
				t.Fatal(err)
			}
			var failing pgx.Batch
			failing.Queue("select 1")
			failing.Queue("select 1/0")
			failing.Queue("select 2")
			if err := conn.SendBatch(t.Context(), &failing).Close(); err == nil {
				t.Error("a division by zero succeeded")
			}
			if got := ask[int](t, conn, "select 3"); got != 3 {
				t.Errorf("after a failed batch: %d", got)
			}
		})
	}
}
