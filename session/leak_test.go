package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"gprxy/auth"
)

// Nothing one person's session did is seen by the next person's.

// A canary is something a session can leave behind. To look for it gives one
// thing where it was left, and another in a session of PostgreSQL that is new.
type canary struct {
	name  string
	leave string // a simple query, or messages
	look  string // a query; its value or its SQLSTATE counts
	next  nextOf
	where place
}

// nextOf is who may get the backend after the session.
type nextOf int

const (
	anybody    nextOf = iota // the backend is cleaned: it must be the same
	samePerson               // it may be asked for by the same person only
	nobody                   // it is closed
)

// place is an account and a database.
type place struct{ role, database string }

var (
	ordinary = place{"writer", database}
	extended = place{"writer", "extended"} // the database with dblink, postgres_fdw, PL/Perl or PL/Tcl, and isn
	super    = place{"super", database}    // a superuser
)

// canaries are what one session may leave to the next on the same backend.
var canaries = []canary{
	{"GUC", "set work_mem = '7777kB'", "show work_mem", anybody, ordinary},
	{"ROLE", "set role app_reader", "select current_user", anybody, ordinary},
	{"SESSION AUTHORIZATION", "set session authorization app_reader", "select session_user", nobody, super},
	{"temporary table", "create temp table trace (x int)", "select to_regclass('pg_temp.trace')", nobody, ordinary},
	{"cursor WITH HOLD", "begin; declare trace cursor with hold for select 'left'; commit", "fetch all from trace", anybody, ordinary},
	{"advisory lock", "select pg_advisory_lock(4711)", "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
		anybody, ordinary},
	{"statement prepared in SQL", "prepare trace as select 'left'", "execute trace", anybody, ordinary},
	{"statement prepared by the protocol", message('P', "trace\x00select 'left'\x00\x00\x00") + message('S', ""), "execute trace", anybody,
		ordinary},
	{"LISTEN", "listen trace", "select string_agg(c, ',') from pg_listening_channels() c", anybody, ordinary},
	{"sequence, currval", "select nextval('tickets')", "select currval('tickets')", anybody, ordinary},
	{"sequence, lastval", "select nextval('tickets')", "select lastval()", anybody, ordinary},
	{"dblink", "select dblink_connect('trace', 'loopback')", "select dblink_get_connections()", samePerson, extended},
	{"postgres_fdw", "select count(*) from far_items", "select string_agg(server_name, ',') from postgres_fdw_get_connections()", samePerson,
		extended},
	{"a language's globals", "select remember('left')", "select recall()", samePerson, extended},
	{"LOAD", "load 'auto_explain'", "select count(*) from pg_settings where name like 'auto_explain.%'", nobody, super},
	{"custom GUC", "set my.trace = 'left'", "select nullif(current_setting('my.trace', true), '')", anybody, ordinary},
}

// moreCanaries are what else could stay. They go through the shortest and the
// longest of the ends.
var moreCanaries = []canary{
	{"the person", "set gprxy.\"user\" = 'mallory'", "select nullif(current_setting('gprxy.user', true), 'eve@example.com')", anybody,
		ordinary},
	{"set_config", "select set_config('search_path', 'trace', false)", "show search_path", anybody, ordinary},
	{"row_security", "set row_security = off", "show row_security", anybody, ordinary},
	{"SESSION CHARACTERISTICS", "set session characteristics as transaction isolation level serializable, read only, deferrable",
		"select current_setting('transaction_isolation') || current_setting('transaction_read_only')", anybody, ordinary},
	{"chatter", "set client_min_messages = debug5", "show client_min_messages", anybody, ordinary},
	{"client_encoding", "set client_encoding = 'LATIN1'", "show client_encoding", anybody, ordinary},
	{"random seed", "select setseed(0.42)", "select random() in (0.742944875302392, 0.5699319181861568)", anybody, ordinary},
	{"open transaction", "begin; insert into items values (-7, 'left open')", "select name from items where id = -7", anybody, ordinary},
	{"failed transaction", "begin; select 1/0", "select 1", anybody, ordinary},
	{"cursor", "begin; declare trace cursor for select 'left'", "fetch all from trace", anybody, ordinary},
	{"large object descriptor", "begin; select lo_open(4711, 262144)", "select lo_tell(0)", anybody, ordinary},
	{"statistics", "insert into noted values (1)", "select n_tup_ins from pg_stat_xact_user_tables where relname = 'noted'", anybody,
		ordinary},
	{"pg_trgm.set_limit", "select set_limit(0.9)", "select show_limit()", anybody, ordinary},
	{"isn_weak", "select isn_weak(true)", "select isn_weak()", samePerson, extended},
	{"temporary function", "create function pg_temp.trace() returns text language sql as 'select ''left'''", "select pg_temp.trace()", nobody,
		ordinary},
	{"temporary schema", "create temp table trace (x int); drop table trace", "select pg_my_temp_schema()", nobody, ordinary},
	{"temp_buffers", "set temp_buffers = '16MB'; create temp table trace (x int); insert into trace values (1)",
		"set temp_buffers = '9MB'; show temp_buffers", nobody, ordinary},
	{"LOAD by SET ROLE", "set role app_super; load 'auto_explain'", "select count(*) from pg_settings where name like 'auto_explain.%'",
		nobody, place{"deputy", database}},
	{"replication origin", "select pg_replication_origin_session_setup('trace')", "select pg_replication_origin_session_is_setup()", nobody,
		super},
	{"temporary replication slot", "select pg_create_physical_replication_slot('trace', true, true)",
		"select string_agg(slot_name, ',') from pg_replication_slots", nobody, super},
	{"base backup", "select pg_backup_start('trace', true)", "select pg_backup_stop() is null", nobody, super},
}

// An ending is a way for a session to end.
type ending struct {
	name string
	end  func(*testing.T, net.Conn)
}

var ends = []ending{
	{"clean", func(t *testing.T, c net.Conn) { send(t, c, message('X', "")) }},
	{"killed idle", func(_ *testing.T, c net.Conn) { cutOff(c) }},
	{"killed in a transaction", func(t *testing.T, c net.Conn) {
		send(t, c, query("begin; insert into noted values (-1)"))
		receiveUntil(t, c, 'Z')
		cutOff(c)
	}},
	{"killed in COPY IN", func(t *testing.T, c net.Conn) {
		send(t, c, query("copy noted from stdin"))
		if receiveAny(t, c, "GZ") == 'G' {
			send(t, c, message('d', "-1\n"))
		}
		cutOff(c)
	}},
	{"killed in COPY OUT", func(t *testing.T, c net.Conn) {
		send(t, c, query("copy (select repeat('x', 1000), generate_series(1, 1000000)) to stdout"))
		receiveAny(t, c, "dZ")
		cutOff(c)
	}},
	{"killed in a pipeline", func(t *testing.T, c net.Conn) {
		execute := message('B', "\x00\x00\x00\x00\x00\x00\x00\x00") + message('E', "\x00\x00\x00\x00\x00")
		sleep, insert := message('P', "\x00select pg_sleep(60)\x00\x00\x00"), message('P', "\x00insert into noted values (2)\x00\x00\x00")
		send(t, c, sleep+execute+message('S', "")+insert+execute+message('S', "")+query("select 1")+insert+execute)
		cutOff(c)
	}},
}

// cutOff is what is left of a client whose machine reset the connection.
func cutOff(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// receiveAny reads up to the first message of one of the given types.
func receiveAny(t *testing.T, conn net.Conn, kinds string) byte {
	t.Helper()
	for {
		if m := receive(t, conn); strings.IndexByte(kinds, m.kind) >= 0 {
			return m.kind
		}
	}
}

func TestNoTraceReachesTheNextPerson(t *testing.T) {
	t.Parallel()
	prepareCanaries(t)
	p := startProxy(t, canaryRoles(t), func(o *options) { o.pool.MaxConns = 1 })
	major := serverMajor(t)
	for _, c := range canaries {
		t.Run(c.name, func(t *testing.T) { c.on(major).wantSilence(t, p, ends) })
	}
	for _, c := range moreCanaries {
		t.Run(c.name, func(t *testing.T) { c.on(major).wantSilence(t, p, []ending{ends[0], ends[len(ends)-1]}) })
	}
	if got := admin(t, "select count(*) from noted where a = -1"); got != "0" {
		t.Errorf("%s rows of transactions and copies that nobody finished", got)
	}
}

// wantSilence lets eve look for what bob has left.
func (c canary) wantSilence(t *testing.T, p *proxy, ends []ending) {
	fresh, left := c.sing(t)
	if left == fresh {
		t.Fatalf("the canary is mute: %q gives %s where it was left too", c.look, left)
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			pid := c.play(t, p, e)
			next := connect(t, c.dsn(p, "eve"))
			defer next.Close(t.Context())
			got := outcome(t, next, c.look)
			if c.name == "statistics" && serverMajor(t) < 15 { // where nothing adds them to those of all at once
				eventually(t, "they are those of all", 20*time.Second, func() bool {
					got = outcome(t, next, c.look)
					return got == fresh
				})
			}
			if got != fresh {
				t.Errorf("%q gives %s, in a new session %s", c.look, got, fresh)
			}
			if same := next.PgConn().PID() == pid; same != (c.next == anybody) {
				t.Errorf("the same backend again: %v", same)
			}
		})
	}
}

// What cannot be removed is there again for the same person, as it is within one
// session of PostgreSQL.
func TestThePersonMayGetTheBackendAgain(t *testing.T) {
	t.Parallel()
	prepareCanaries(t)
	p := startProxy(t, canaryRoles(t), func(o *options) { o.pool.MaxConns = 1 })
	for _, c := range slices.Concat(canaries, moreCanaries) {
		if c.next != samePerson {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			c := c.on(serverMajor(t))
			fresh, left := c.sing(t)
			if c.name == "isn_weak" && serverMajor(t) >= 18 {
				left = fresh // it is a setting there, and reset as all of them
			}
			pid := c.play(t, p, ends[0])
			again := connect(t, c.dsn(p, "bob"))
			defer again.Close(t.Context())
			if got := outcome(t, again, c.look); again.PgConn().PID() != pid || got != left {
				t.Errorf("served by %d with %s, want %d with %s", again.PgConn().PID(), got, pid, left)
			}
		})
	}
}

// A person is who an issuer says, and not whoever has the same name without it.
func TestTheSameNameOfNoIssuerIsAnotherPerson(t *testing.T) {
	t.Parallel()
	prepareCanaries(t)
	p := startProxy(t, canaryRoles(t), func(o *options) {
		o.pool.MaxConns = 1
		o.session.Service = auth.Login{User: "app_writer", Password: "writer-secret"}
	})
	at := slices.IndexFunc(canaries, func(c canary) bool { return c.next == samePerson })
	c := canaries[at]
	fresh, _ := c.sing(t)
	pid := c.play(t, p, ends[0])
	namesake := connect(t, strings.Replace(p.dsn("bob@example.com", "not a token"), "/"+database+"?", "/"+c.where.database+"?", 1))
	defer namesake.Close(t.Context())
	if got := ask[string](t, namesake, "select current_user || ' ' || current_setting('gprxy.user')"); got != "app_writer bob@example.com" {
		t.Fatalf("the namesake is %s: the test shows nothing", got)
	}
	if got := outcome(t, namesake, c.look); namesake.PgConn().PID() == pid || got != fresh {
		t.Errorf("served by %d with %s, want another than %d and %s", namesake.PgConn().PID(), got, pid, fresh)
	}
}

// on is the canary in the words of a server's version.
func (c canary) on(major int) canary {
	if major < 15 {
		older := strings.NewReplacer("pg_backup_start('trace', true)", "pg_start_backup('trace', true, false)", "pg_backup_stop()",
			"pg_stop_backup(false)")
		c.leave, c.look = older.Replace(c.leave), older.Replace(c.look)
	}
	if c.name == "postgres_fdw" && major < 14 { // it does not tell its connections: what serves them does
		c.leave, c.look = "insert into far_served select pid from far_pid", "select count(*) from far_pid join far_served using (pid)"
	}
	return c
}

// sing asks PostgreSQL itself what is to be seen in a new session, and where the
// canary was left.
func (c canary) sing(t *testing.T) (fresh, left string) {
	t.Helper()
	dsn := postgres.DSN("app_"+c.where.role, c.where.role+"-secret", c.where.database)
	untouched := connect(t, dsn)
	fresh = outcome(t, untouched, c.look)
	untouched.Close(t.Context())

	raw := hijack(t, dsn)
	defer raw.Close()
	c.perch(t, raw)
	send(t, raw, query(c.look))
	return fresh, rawOutcome(receiveUntil(t, raw, 'Z'))
}

// hijack gives a raw connection that has logged in. It is read through what pgx reads it through: a write of pgx that took
// long has started a reader of its own, which may have the next answer.
func hijack(t *testing.T, dsn string) net.Conn {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	var reader io.Reader
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		reader = r
		return pgproto3.NewFrontend(r, w)
	}
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	return readThrough{hijacked.Conn, reader}
}

type readThrough struct {
	net.Conn
	reader io.Reader
}

func (r readThrough) Read(b []byte) (int, error) { return r.reader.Read(b) }

// perch leaves the canary in a session.
func (c canary) perch(t *testing.T, conn net.Conn) {
	t.Helper()
	leave := c.leave
	if !strings.ContainsRune(leave, 0) {
		leave = query(leave)
	}
	send(t, conn, leave)
	receiveUntil(t, conn, 'Z')
}

// play is bob's session, and returns which backend served it.
func (c canary) play(t *testing.T, p *proxy, e ending) (pid uint32) {
	t.Helper()
	conn := dial(t, p.addr)
	pid = backendPID(login(t, conn, "bob", token("bob@example.com", c.where.role), "database", c.where.database))
	c.perch(t, conn)
	e.end(t, conn)
	return pid
}

func (c canary) dsn(p *proxy, person string) string {
	return strings.Replace(p.dsn(person, token(person+"@example.com", c.where.role)), "/"+database+"?", "/"+c.where.database+"?", 1)
}

// outcome is the last value a query gives, or the code of its error.
func outcome(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "error " + failed.Code
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	last := results[len(results)-1].Rows
	if len(last) == 0 {
		return "no row"
	}
	return fmt.Sprintf("%q", last[len(last)-1][0])
}

func rawOutcome(answer []received) string {
	for _, m := range answer {
		if m.kind == 'E' {
			return "error " + m.field('C')
		}
	}
	all := rows(answer)
	if len(all) == 0 {
		return "no row"
	}
	return fmt.Sprintf("%q", all[len(all)-1])
}

// canaryRoles maps a role to a superuser, and one to an account that may become
// it.
func canaryRoles(t *testing.T) func(*options) {
	t.Helper()
	mapping := map[string]auth.Login{}
	for _, role := range []string{"reader", "writer", "super", "deputy"} {
		mapping[strings.ToUpper(role)] = auth.Login{User: "app_" + role, Password: auth.Secret(role + "-secret")}
	}
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: mapping})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *options) { o.session.Roles = roles }
}

// prepareCanaries makes what they need, once.
func prepareCanaries(t *testing.T) {
	t.Helper()
	canariesOnce.Do(func() { canariesFailed = furnishCanaries(context.WithoutCancel(t.Context())) })
	if canariesFailed != nil {
		t.Fatal(canariesFailed)
	}
}

var (
	canariesOnce   sync.Once
	canariesFailed error
)

func furnishCanaries(ctx context.Context) error {
	language, remember, recall := "plperl", `$_SHARED{trace} = shift`, `return $_SHARED{trace}`
	if err := postgres.Require(ctx, language); err != nil {
		return err
	}
	if _, err := postgres.Query(ctx, database, "LOAD 'plperl'"); err != nil { // it is there, and the Perl that it was built for is not
		language, remember, recall = "pltcl", `set ::trace $1`, `if {[info exists ::trace]} {return $::trace} else {return_null}`
	}
	loopback := fmt.Sprintf("OPTIONS (host '127.0.0.1', port '%d', dbname '%s')", postgres.Port, database)
	for _, step := range []struct{ database, sql string }{
		{database, `CREATE ROLE app_super SUPERUSER LOGIN PASSWORD 'super-secret'`},
		{database, `CREATE ROLE app_deputy LOGIN PASSWORD 'deputy-secret'`},
		{database, `GRANT app_super TO app_deputy; GRANT app_reader TO app_writer; GRANT ALL ON items TO app_deputy`},
		{database, `CREATE ROLE "bob@example.com" LOGIN PASSWORD 'not a token'`}, // a namesake
		{database, `CREATE SEQUENCE tickets CACHE 10; GRANT ALL ON SEQUENCE tickets TO public`},
		{database, `CREATE TABLE noted (a int); GRANT ALL ON noted TO public`},
		{database, `CREATE EXTENSION pg_trgm; SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO public`},
		{database, `SELECT pg_replication_origin_create('trace')`},
		{database, `CREATE DATABASE extended`},
		{"extended", `CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; CREATE EXTENSION ` + language + `; CREATE EXTENSION isn`},
		{"extended", `CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw ` + loopback},
		{"extended", `CREATE USER MAPPING FOR app_writer SERVER loopback OPTIONS (user 'app_writer', password 'writer-secret')`},
		{"extended", `GRANT USAGE ON FOREIGN SERVER loopback TO app_writer`},
		{"extended", `CREATE FOREIGN TABLE far_items (id int) SERVER loopback OPTIONS (table_name 'items'); GRANT ALL ON far_items TO public`},
		{database, `CREATE VIEW served AS SELECT pg_backend_pid() AS pid; GRANT SELECT ON served TO public`},
		{"extended", `CREATE FOREIGN TABLE far_pid (pid int) SERVER loopback OPTIONS (table_name 'served'); GRANT ALL ON far_pid TO public`},
		{"extended", `CREATE TABLE far_served (pid int); GRANT ALL ON far_served TO public`},
		{"extended", `CREATE TABLE noted (a int); GRANT ALL ON noted TO public`},
		{"extended", `CREATE FUNCTION remember(text) RETURNS void LANGUAGE ` + language + ` AS '` + remember + `'`},
		{"extended", `CREATE FUNCTION recall() RETURNS text LANGUAGE ` + language + ` AS '` + recall + `'`},
	} {
		if _, err := postgres.Query(ctx, step.database, step.sql); err != nil {
			return fmt.Errorf("%s: %w", step.sql, err)
		}
	}
	return nil
}
