// Who may have a backend next, where something could survive the reset.
package pool_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// keep changes the database fdw, or the whole server, for one test.
func keep(t *testing.T, do, undo string) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := server.Query(context.WithoutCancel(t.Context()), "fdw", undo); err != nil {
			t.Errorf("%s: %v", undo, err)
		}
	})
	admin(t, server, "fdw", do)
}

// shared runs a session of ann's and tells who gets the same backend afterwards: ann again, and then bob.
func shared(t *testing.T, p *pool.Pools, r pool.Request, session func(*pool.Lease)) (again, another bool) {
	t.Helper()
	first := acquire(t, p, r)
	pid := first.PID()
	session(first)
	if err := first.Release(t.Context(), false); err != nil {
		t.Log(err)
	}
	second := acquire(t, p, r)
	again = second.PID() == pid
	pid = second.PID()
	if err := second.Release(t.Context(), false); err != nil {
		t.Log(err)
	}
	r.Person = "bob"
	third := acquire(t, p, r)
	another = third.PID() == pid
	third.Discard()
	return again, another
}

func TestWhoMayHaveABackendNext(t *testing.T) {
	const nobody, onlyAnn, anybody, notThis = "nobody", "only ann", "anybody", "nobody after this session"
	meanwhile := func(sql string) func(*testing.T, *pool.Lease) {
		return func(t *testing.T, _ *pool.Lease) { admin(t, server, "fdw", sql) }
	}
	run := func(sql string) func(*testing.T, *pool.Lease) {
		return func(t *testing.T, l *pool.Lease) { ask(t, l, sql) }
	}
	origin, backup := nobody, "pg_backup_start"
	if n := version(t, server); n < 14 { // see TestReplicationOriginsAreForSuperusersOn13
		origin, backup = anybody, "pg_start_backup"
	} else if n < 15 {
		backup = "pg_start_backup"
	}
	for _, row := range []struct {
		name        string
		setUp, undo string // as superuser
		session     func(*testing.T, *pool.Lease)
		want        string
	}{
		{"an ordinary database", "", "", run("SELECT 1"), anybody},
		{"an extension known to keep nothing", "CREATE EXTENSION pg_trgm", "DROP EXTENSION pg_trgm", run("SELECT set_limit(0.9)"), anybody},
		{"an extension without C", "", "DROP EXTENSION intagg", meanwhile("CREATE EXTENSION intagg"), anybody},
		{"a function in SQL", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f", run("SELECT f()"), anybody},

		{"dblink", "CREATE EXTENSION dblink", "DROP EXTENSION dblink", run("SELECT 1"), onlyAnn},
		{"isn", "CREATE EXTENSION isn", "DROP EXTENSION isn", run("SELECT isn_weak(true)"), onlyAnn},
		{"a foreign data wrapper, installed meanwhile", "", "DROP EXTENSION postgres_fdw", meanwhile("CREATE EXTENSION postgres_fdw"), onlyAnn},
		{"an extension dropped meanwhile", "CREATE EXTENSION dblink", "", meanwhile("DROP EXTENSION dblink"), onlyAnn},
		{"a C function of no extension", "CREATE FUNCTION loose(text, text) RETURNS bool LANGUAGE c AS '$libdir/citext', 'citext_eq'",
			"DROP FUNCTION loose",
			run("SELECT 1"), onlyAnn},

		{"an extension that came and went", "GRANT CREATE ON DATABASE fdw TO app", "REVOKE CREATE ON DATABASE fdw FROM app",
			run("DO $$ BEGIN CREATE SCHEMA brief; CREATE EXTENSION isn SCHEMA brief; PERFORM brief.isn_weak(true); DROP EXTENSION isn; " +
				"DROP SCHEMA brief; END $$"), onlyAnn},
		{"that right, by SET ROLE", "CREATE ROLE maker; GRANT CREATE ON DATABASE fdw TO maker; GRANT maker TO app; ALTER ROLE app NOINHERIT",
			"DROP OWNED BY maker; DROP ROLE maker; ALTER ROLE app INHERIT", run("SELECT 1"), onlyAnn},

		{"temporary objects", "", "", run("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"), notThis},
		{"a superuser", "ALTER ROLE app SUPERUSER", "ALTER ROLE app NOSUPERUSER", run("SELECT 1"), nobody},
		{"a member of a superuser's", "CREATE ROLE root SUPERUSER; GRANT root TO app", "DROP ROLE root",
			run("SET ROLE root; LOAD 'auto_explain'"), nobody},
		{"made a member meanwhile", "CREATE ROLE root SUPERUSER", "DROP ROLE root", meanwhile("GRANT root TO app"), nobody},
		{"REPLICATION", "ALTER ROLE app REPLICATION", "ALTER ROLE app NOREPLICATION",
			run("SELECT pg_create_physical_replication_slot('temporary', true, true)"), nobody},
		{"the right to set a replication origin", "GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup TO app",
			"REVOKE EXECUTE ON FUNCTION pg_replication_origin_session_setup FROM app", run("SELECT 1"), origin},
		{"that right, by SET ROLE", "CREATE ROLE mover; GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup TO mover; GRANT mover " +
			"TO app; ALTER ROLE app NOINHERIT",
			"DROP OWNED BY mover; DROP ROLE mover; ALTER ROLE app INHERIT", run("SELECT 1"), origin},
		{"the right to start a backup", "GRANT EXECUTE ON FUNCTION " + backup + " TO app", "REVOKE EXECUTE ON FUNCTION " + backup + " FROM app",
			run("SELECT 1"), nobody},
	} {
		t.Run(row.name, func(t *testing.T) {
			keep(t, row.setUp, row.undo)
			p := newPools(t, config(maxConns(1)))
			again, another := shared(t, p, request(database("fdw")), func(l *pool.Lease) { row.session(t, l) })
			got := map[[2]bool]string{{true, true}: anybody, {true, false}: onlyAnn, {false, false}: nobody,
				{false, true}: notThis}[[2]bool{again, another}]
			if got != row.want {
				t.Errorf("the backend goes to %s, want %s", got, row.want)
			}
		})
	}
}

// A language that the session created and dropped is in no catalog any more, but its globals are in the process.
func TestALanguageThatCameAndWent(t *testing.T) {
	language, code := "plperl", "our $secret = 1; $_SHARED{secret} = 1"
	if err := server.Require(t.Context(), language); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Query(t.Context(), "fdw", "LOAD 'plperl'"); err != nil { // it is there, and the Perl that it was built for is not
		language, code = "pltcl", "set GD(secret) 1"
	}
	keep(t, "GRANT CREATE ON DATABASE fdw TO app", "REVOKE CREATE ON DATABASE fdw FROM app")
	p := newPools(t, config(maxConns(1)))
	again, another := shared(t, p, request(database("fdw")), func(l *pool.Lease) {
		ask(t, l, "CREATE EXTENSION "+language)
		ask(t, l, "CREATE SCHEMA secret")
		ask(t, l, "CREATE FUNCTION secret.keep() RETURNS int LANGUAGE "+language+" AS '"+code+"; return 1;'")
		ask(t, l, "SELECT secret.keep()")
		ask(t, l, "DROP EXTENSION "+language+" CASCADE")
		ask(t, l, "DROP SCHEMA secret CASCADE")
	})
	if !again || another {
		t.Errorf("the same person gets the backend again: %v, another: %v", again, another)
	}
}

func TestOperatorsMayNameExtensionsThatKeepNothing(t *testing.T) {
	keep(t, "CREATE EXTENSION isn", "DROP EXTENSION isn")
	p := newPools(t, config(maxConns(1), func(c *pool.Config) { c.StatelessExtensions = []string{"isn"} }))
	if again, another := shared(t, p, request(database("fdw")), func(*pool.Lease) {}); !again || !another {
		t.Errorf("the same person gets the backend again: %v, another: %v", again, another)
	}
	for _, name := range []string{"", "a,b", "a'", "a}", `a"`, "a b", "ä", strings.Repeat("a", 64)} {
		if _, err := pool.New(config(func(c *pool.Config) { c.StatelessExtensions = []string{name} })); err == nil {
			t.Errorf("%q passes for the name of an extension", name)
		}
	}
}

// What the session did to tables is in the statistics of all, and of nobody's own.
func TestStatisticsOfTheSessionAreNotTheNexts(t *testing.T) {
	if version(t, server) < 15 {
		return // the next session may see them for up to a second, see flushSQL
	}
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request(user("postgres"), password(server.SuperuserPassword)))
	ask(t, l, "CREATE TABLE IF NOT EXISTS counted (a int); GRANT ALL ON counted TO app")
	release := func(l *pool.Lease) {
		if err := l.Release(t.Context(), false); err != nil {
			t.Log(err)
		}
	}
	release(l)
	pid := uint32(0)
	for range 3 { // within the second in which PostgreSQL collects them
		l = acquire(t, p, request())
		if pid != 0 && l.PID() != pid {
			t.Fatal("the backend was not reused")
		}
		pid = l.PID()
		if got := ask(t, l, "SELECT n_tup_ins FROM pg_stat_xact_user_tables WHERE relname = 'counted'"); got != "0" {
			t.Errorf("%s rows seem to be inserted already", got)
		}
		ask(t, l, "INSERT INTO counted VALUES (1)")
		release(l)
	}
}

// The text of a statement can be read by whoever shares the account: it must not tell what random() will give.
func TestTheSeedIsNotInTheStatement(t *testing.T) {
	p := newPools(t, config(maxConns(2)))
	l := acquire(t, p, request())
	pid := l.PID()
	ask(t, l, "SELECT setseed(0.5)")
	release(t, l)
	seen := admin(t, server, "postgres", "SELECT query FROM pg_stat_activity WHERE pid = "+itoa(pid))
	if !strings.Contains(seen, "setseed(") || strings.Contains(seen, "setseed('") {
		t.Errorf("the idle backend's last statement is %s", seen)
	}
	values := map[string]bool{}
	for range 3 {
		l := acquire(t, p, request())
		values[ask(t, l, "SELECT random()")] = true
		ask(t, l, "SELECT setseed(0.5)")
		release(t, l)
	}
	if len(values) != 3 || values["0.2499104186659835"] {
		t.Errorf("random() gave %v", values)
	}
}

// PostgreSQL 17: a login event trigger runs once for each session, as it does without pools. And the questions are
// understood by the newest release.
func TestALoginTriggerRunsForEachSession(t *testing.T) {
	bin, err := pooltest.Release(t.Context(), pooltest.NewestMajor, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	newest := pooltest.New(t, pooltest.Options{BinDir: bin})
	if err := newest.CreateUser(t.Context(), "app", "right"); err != nil {
		t.Fatal(err)
	}
	p := newPools(t, config(maxConns(1), func(c *pool.Config) { c.Port = newest.Port }))
	nothing := func(*pool.Lease) {}
	if again, another := shared(t, p, request(), nothing); !again || !another {
		t.Errorf("the same person gets the backend again: %v, another: %v", again, another)
	}
	admin(t, newest, "postgres", `
		CREATE TABLE logins (who text);
		GRANT INSERT ON logins TO app;
		CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO logins VALUES (current_user); END';
		CREATE EVENT TRIGGER note ON login EXECUTE FUNCTION note();
		ALTER EVENT TRIGGER note ENABLE ALWAYS`)
	if again, another := shared(t, p, request(), nothing); again || another {
		t.Errorf("the same person gets the backend again: %v, another: %v", again, another)
	}
	if got := admin(t, newest, "postgres", "SELECT count(*) FROM logins WHERE who = 'app'"); got != "3" {
		t.Errorf("the trigger ran %s times for 3 sessions", got)
	}
}

// Ordinary accounts' backends are reused on every release, those of accounts that can leave something in the session on none.
func TestKeepersOnEachRelease(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		for _, name := range []string{"archivist", "porter", "founder"} {
			if err := s.CreateUser(t.Context(), name, "right"); err != nil {
				t.Fatal(err)
			}
		}
		admin(t, s, "postgres", `
			CREATE ROLE mover;
			ALTER ROLE founder SUPERUSER;
			GRANT mover TO porter;
			DO $$ DECLARE f regprocedure; BEGIN
				FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('pg_start_backup', 'pg_backup_start') LOOP
					EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f || ' TO archivist';
				END LOOP;
			END $$;
			GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup TO mover`)
		defer admin(t, s, "postgres", "DROP OWNED BY archivist, mover; DROP ROLE archivist, mover, porter, founder")
		nothing := func(*pool.Lease) {}
		for account, reused := range map[string]bool{"app": true, "archivist": false, "replica": false, "founder": false,
			"porter": admin(t, s, "postgres", "SELECT current_setting('server_version_num')::int < 140000") == "t"} {
			p := newPools(t, config(maxConns(1), at(s)))
			again, another := shared(t, p, request(user(account)), nothing)
			if again != reused || another != reused {
				t.Errorf("%s: the same person gets the backend again: %v, another: %v, want %v", account, again, another, reused)
			}
		}
	})
}

// The reason why nobody looks at that function on 13: whoever is no superuser can do nothing with it.
func TestReplicationOriginsAreForSuperusersOn13(t *testing.T) {
	t.Parallel()
	s := majors[0].start(t)
	l := acquire(t, newPools(t, config(at(s))), request())
	if got := ask(t, l, "SELECT has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE')"); got != "t" {
		t.Error("it may not be called by everybody")
	}
	_, err := try(t, l, "SELECT pg_replication_origin_session_setup('x')")
	wantCode(t, err, "42501")
}
