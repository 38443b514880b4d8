package session_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/pool/pooltest"
	"gprxy/session/relay"
)

const whoAmI = "select coalesce(current_setting('gprxy.user', true), '') || ' ' || current_setting('application_name')"

func stampedBoth(o *options) { o.session.StampApplicationName = true }

// firstRow is the first value of the next row, after which everything up to ReadyForQuery is read.
func firstRow(t *testing.T, conn net.Conn) (value string) {
	t.Helper()
	for _, m := range receiveUntil(t, conn, 'Z') {
		if m.kind == 'D' {
			value = string(m.body[6:])
		}
	}
	return value
}

// What the pools of drivers send at each check-out leaves the stamp, and nothing of how it was put back can be seen.
func TestTheStampSurvivesResets(t *testing.T) {
	t.Parallel()
	p := startProxy(t, stampedBoth, quietly, recordingAs(relay.RecordText))
	const person = "bob@example.com"
	const want = person + " [" + person + "] tool"
	for name, parts := range map[string][]string{
		"asyncpg":             {query("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;")},
		"PHP":                 {query("RESET ALL")},
		"Rails":               {query("DISCARD ALL")},
		"Npgsql, in one send": {query("DISCARD ALL") + query(whoAmI)},
		"Npgsql, with prepared statements": {query("SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;"+
			"SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP") + query(whoAmI)},
		"extended":               {parseAs("", "discard all") + bindTo("", "") + executePortal("", 0) + syncing},
		"RESET of one":           {query(`reset gprxy."user"; reset application_name`)},
		"in a transaction":       {query("begin; reset all"), query("commit")},
		"rolled back":            {query("begin; reset all"), query("rollback")},
		"of an error":            {query("begin; reset all; select 1/0"), query("rollback")},
		"while notices are sent": {query("listen here; notify here, 'first'; reset all; notify here, 'second'")},
		"under a time limit":     {query("set statement_timeout = '10s'; reset all")},
		"where sessions would wait": {query("reset all; set default_transaction_isolation = serializable; set default_transaction_read_only " +
			"= on; set default_transaction_deferrable = on")},
	} {
		conn := dial(t, p.addr)
		login(t, conn, "bob", token(person, "WRITER"), "application_name", "tool")
		behind := strings.HasSuffix(parts[len(parts)-1], query(whoAmI))
		for _, part := range parts {
			send(t, conn, part)
			receiveUntil(t, conn, 'Z')
		}
		if !behind {
			send(t, conn, query(whoAmI))
		}
		if got := firstRow(t, conn); got != want {
			t.Errorf("%s: the next statement saw %q", name, got)
		}
		send(t, conn, query("select count(*) from pg_prepared_statements"))
		if got := firstRow(t, conn); got != "0" {
			t.Errorf("%s: %s statements are prepared", name, got)
		}
		conn.Close()
	}
}

// A reset does not take the session's unnamed statement along.
func TestTheUnnamedStatementSurvivesTheStamp(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, parseAs("", "reset all")+bindTo("", "")+executePortal("", 0)+syncing)
	receiveUntil(t, conn, 'Z')
	send(t, conn, bindTo("", "")+executePortal("", 0)+syncing)
	if got := kinds(receiveUntil(t, conn, 'Z')); got != "2CZ" {
		t.Errorf("the unnamed statement was answered with %s", got)
	}
}

// A text that only looks like a reset, and waits for its client, holds nobody up.
func TestNobodyWaitsForAResetThatIsNone(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("create temp table resets (n int); copy resets from stdin")+message('d', "1\n")+message('c', "")+
		query("selec resets")+query("begin; selec resets")+query("select 'reset'")+query("rollback")+
		parseAs("", "selec 1")+query("select 'discard'")+syncing+query("select count(*) from resets"))
	got := ""
	for range 7 {
		got += kinds(receiveUntil(t, conn, 'Z')) + " "
	}
	if want := "CGCZ EZ EZ TDCZ CZ EZ TDCZ "; got != want {
		t.Errorf("answered with %s, want %s", got, want)
	}
}

// A cancel request that comes late may hit gprxy's own statement, of which the client hears nothing.
func TestALateCancelDoesNotReachTheStamp(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly)
	conn := connect(t, p.dsn("bob", token("bob@example.com", "WRITER")))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				conn.PgConn().CancelRequest(context.Background())
			}
		}
	}()
	for i := range 60 {
		conn.Exec(t.Context(), "reset all") // which may be cancelled itself
		var who string
		for tries := 0; ; tries++ {
			err := conn.QueryRow(t.Context(), "select current_setting('gprxy.user')", pgx.QueryExecModeSimpleProtocol).Scan(&who)
			if err == nil || conn.IsClosed() || tries > 1000 {
				break
			}
		}
		if who != "bob@example.com" {
			t.Fatalf("round %d: the session is %q", i, who)
		}
	}
	close(stop)
	<-done
}

// The oldest and the newest PostgreSQL take the stamp again in the same way.
func TestTheStampSurvivesResetsOfOtherVersions(t *testing.T) {
	t.Parallel()
	for _, major := range []int{pooltest.OldestMajor, pooltest.NewestMajor} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			bin, err := pooltest.Release(t.Context(), major, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			server, err := pooltest.Start(t.Context(), pooltest.Options{BinDir: bin})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
			})
			for user, password := range map[string]string{"app_reader": "reader-secret", "app_writer": "writer-secret"} {
				if err := server.CreateUser(t.Context(), user, password); err != nil {
					t.Fatal(err)
				}
			}
			if err := server.Exec(t.Context(), "CREATE DATABASE "+database); err != nil {
				t.Fatal(err)
			}
			p := startProxy(t, stampedBoth, quietly, func(o *options) { o.pool.Port = server.Port })
			conn := dial(t, p.addr)
			login(t, conn, "bob", token("jürgen\\u00e9o'@example.com", "WRITER"), "options", "-c default_transaction_isolation=serializable "+
				"-c default_transaction_deferrable=on -c default_transaction_read_only=on -c standard_conforming_strings=off")
			for range 3 {
				send(t, conn, query("discard all")+query(whoAmI))
				receiveUntil(t, conn, 'Z')
				if got := firstRow(t, conn); got != `jürgen\u00e9o'@example.com [j\u00FCrgen\u00e9o'@example.com]` &&
					got != `jürgen\u00e9o'@example.com [j\u00FCrgen\u005Cu00e9o'@example.com]` {
					t.Errorf("the next statement saw %q", got)
				}
			}
		})
	}
}

// A backend that goes while the stamp is put back is told as it is.
func TestABackendThatEndsDuringTheStamp(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly)
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("reset all; select pg_backend_pid()"))
	pid := firstRow(t, conn)
	if got := admin(t, "select pg_terminate_backend("+pid+")"); got != "true" && got != "t" {
		t.Fatalf("pg_terminate_backend said %q", got)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	wantFatal(t, conn, "57P01")
}

// What gprxy asks a backend for itself is not under the session's time limit for statements, also when it takes longer.
func TestALoginIsNotUnderTheSessionsTimeLimit(t *testing.T) {
	t.Parallel()
	admin(t, "create database timed")
	t.Cleanup(func() { admin(t, "drop database timed with (force)") })
	p := startProxy(t, quietly)
	lock, err := pgx.Connect(t.Context(), postgres.DSN(pooltest.Superuser, postgres.SuperuserPassword, "timed"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close(ctxWithoutCancel(t))
	run(t, lock, "begin; lock table pg_catalog.pg_extension") // which is asked for what it may keep of a session
	loggedIn := make(chan error, 1)
	go func() {
		config := mustParse(t, p.dsn("bob", token("bob@example.com", "WRITER"), "options=-c statement_timeout=100"))
		config.Database = "timed"
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			conn.Close(t.Context())
		}
		loggedIn <- err
	}()
	eventually(t, "the login waits", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_locks where relation = 'pg_extension'::regclass and not granted") == "1"
	})
	admin(t, "select pg_sleep(0.3)") // by the clock that the time limit runs by
	run(t, lock, "commit")
	if err := <-loggedIn; err != nil {
		t.Error(err)
	}
}
