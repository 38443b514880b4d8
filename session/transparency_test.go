// The transparency runner: every script of testdata/transparency is played against PostgreSQL directly and through
// gprxy, and what comes back must be the same, byte for byte. transparency_script_test.go says how scripts are written.
// The letter that a script's name begins with is its chapter: a the startup, b the login, c what is told after it, d the relay, e
// cancel requests, f what a session leaves, g limits and ends; the number groups what belongs together.
package session_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/pool/pooltest"
	"gprxy/session"
)

// accounts are the roles scripts may log in as. The way through gprxy is a token mapped to the account of that name.
var accounts = []string{
	"app_reader", "app_writer", "app_german", "app_preset", "app_full", "app_locked", "app_timeout", "app_replica",
	"app_with_a_name_of_sixty_three_bytes_the_longest_there_can_be_a",
}

const accountPassword = "known to both sides"

func TestTransparency(t *testing.T) {
	compareScripts(t, pooltest.Options{})
}

func TestTransparencyOfTheNewestRelease(t *testing.T) {
	bin, err := pooltest.Release(t.Context(), pooltest.NewestMajor, t.Output())
	// Where npm is, a newest release that cannot be had is an error in CI. A
	// machine without npm has the installed release, which is always compared.
	_, noNPM := exec.LookPath("npm")
	if err != nil && (os.Getenv("CI") == "" || noNPM != nil) {
		t.Skipf("the newest PostgreSQL is not to be had here, so nothing was compared with it: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	compareScripts(t, pooltest.Options{BinDir: bin})
}

func compareScripts(t *testing.T, o pooltest.Options) {
	t.Parallel()
	stage := setStage(t, o)
	scripts := readScripts(t)
	t.Logf("%d scripts, PostgreSQL %s", len(scripts), stage.version)
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			stage.compare(t, s)
		})
	}
}

// A stage is a server and the ways to it.
type stage struct {
	server  *pooltest.Server
	version string
	major   int
	german  bool // messages can be had in German
	gss     bool // GSSAPI encryption is offered
	direct  route
	proxied []route
}

func setStage(t *testing.T, o pooltest.Options) *stage {
	t.Helper()
	o.Auth = "password" // what gprxy asks for
	o.TLS = true
	o.Env = []string{"LANGUAGE=de"} // for who has lc_messages other than C
	o.Settings = map[string]string{"max_connections": "300", "shared_buffers": "32MB", "wal_level": "logical",
		"max_wal_senders": "50", "max_replication_slots": "50"}
	server := pooltest.New(t, o)
	st := &stage{server: server, direct: route{name: "PostgreSQL", addr: server.Addr(),
		secret: func(string) string { return accountPassword }}}
	st.furnish(t)
	st.proxied = []route{
		{name: "gprxy", addr: st.proxy(t, "disable").addr, secret: tokenFor},
		{name: "gprxy inside TLS, in pieces", addr: st.proxy(t, "require").addr, secret: tokenFor, tls: true, pieces: true},
	}
	return st
}

func tokenFor(user string) string {
	return token("someone@example.com", user[:min(len(user), maxNameLength)])
}

const maxNameLength = 63

// proxy starts a proxy that tells the backend nothing of the person: what it would tell shows.
func (st *stage) proxy(t *testing.T, sslmode string) *proxy {
	t.Helper()
	mapping := map[string]auth.Login{}
	for _, user := range accounts {
		mapping[user] = auth.Login{User: user, Password: accountPassword}
	}
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: mapping})
	if err != nil {
		t.Fatal(err)
	}
	_, secure := withTLS(t)
	return startProxy(t, secure, func(o *options) {
		o.logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
		o.pool.Port, o.pool.SSLMode, o.pool.MaxConns = st.server.Port, sslmode, 40
		o.session.Roles = roles
		o.session.RequireTLS = session.TLSNever
		o.session.StampSetting = false
		o.session.AllowReplication = true
	})
}

// furnish makes what scripts find.
func (st *stage) furnish(t *testing.T) {
	t.Helper()
	for _, user := range accounts {
		if err := st.server.CreateUser(t.Context(), user, accountPassword); err != nil {
			t.Fatal(err)
		}
	}
	st.run(t, "postgres", `
		ALTER ROLE app_full CONNECTION LIMIT 0;
		ALTER ROLE app_locked NOLOGIN;
		ALTER ROLE app_replica REPLICATION;
		ALTER ROLE app_preset SET work_mem = '3MB';
		ALTER ROLE app_preset SET DateStyle = 'German';
		ALTER ROLE app_timeout SET statement_timeout = '150ms'`)
	st.run(t, "postgres", "CREATE DATABASE demo")
	st.run(t, "postgres", "CREATE DATABASE closed")
	st.run(t, "postgres", "CREATE DATABASE shut ALLOW_CONNECTIONS false")
	st.run(t, database, `
		REVOKE CONNECT ON DATABASE closed FROM public;
		ALTER DATABASE demo SET random_page_cost = 1.5;
		CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
		INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 1000) i;
		GRANT SELECT ON items TO public;
		GRANT ALL ON items TO app_writer;
		CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
		CREATE FUNCTION add_one(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'`)
	st.version = st.run(t, database, "SHOW server_version")
	number, err := strconv.Atoi(st.run(t, database, "SHOW server_version_num"))
	if err != nil {
		t.Fatal(err)
	}
	st.major = number / 10000
	if st.major >= 17 {
		st.run(t, "postgres", "CREATE DATABASE greets")
		st.run(t, "greets", `
			CREATE FUNCTION greet() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE NOTICE 'welcome';
				PERFORM set_config('my.greeted', 'yes', false), set_config('TimeZone', 'Asia/Tokyo', false);
				IF session_user = 'app_writer' THEN RAISE EXCEPTION 'not now' USING HINT = 'later'; END IF;
			END $$;
			CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION greet();
			ALTER EVENT TRIGGER greet ENABLE ALWAYS`)
	}
	probe := dial(t, st.server.Addr())
	send(t, probe, gssencRequest)
	st.gss = receiveByte(t, probe) == 'G'
	st.german = st.speakGerman(t)
}

// speakGerman gives app_german messages in German, and tells whether it could: a locale or the translations may be
// missing.
func (st *stage) speakGerman(t *testing.T) bool {
	t.Helper()
	if err := st.server.Exec(t.Context(), "ALTER ROLE app_german SET lc_messages = 'C.UTF-8'"); err != nil {
		return false
	}
	_, err := st.server.Query(t.Context(), database, "SET lc_messages = 'C.UTF-8'; SELECT 1/0")
	return err != nil && strings.Contains(err.Error(), "FEHLER")
}

func (st *stage) run(t *testing.T, db, sql string) string {
	t.Helper()
	rows, err := st.server.Query(t.Context(), db, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rows) == 0 {
		return ""
	}
	return rows[0][0]
}

// compare plays one script on every route.
func (st *stage) compare(t *testing.T, s *script) {
	switch {
	case st.major < s.min, s.below != 0 && st.major >= s.below:
		t.Skipf("PostgreSQL %d has nothing of it", st.major)
	case s.german && !st.german:
		t.Skip("the server has no German messages")
	case s.noGSS && st.gss:
		t.Skip("the server offers GSSAPI encryption, gprxy does not")
	}
	peers, err := s.play(st.direct)
	direct := s.transcripts(peers)
	if err != nil {
		t.Fatalf("against PostgreSQL: %v\n%s", err, tellAll(direct))
	}
	for _, bytes := range s.sees {
		if !strings.Contains(bytesOf(peers), bytes) {
			t.Errorf("PostgreSQL did not send %q, so the script does not show what it says\n%s", bytes, tellAll(direct))
		}
	}
	for _, r := range st.proxied {
		if r.tls && s.plain || t.Failed() {
			continue // what differs on one route need not be told twice
		}
		peers, err := s.play(r)
		if err != nil && !errors.Is(err, errVain) {
			t.Fatalf("through %s: %v", r.name, err)
		}
		st.judge(t, s, r.name, direct, s.transcripts(peers), err)
	}
}

// judge compares what came back on two routes.
func (st *stage) judge(t *testing.T, s *script, name string, direct, proxied []transcript, vain error) {
	t.Helper()
	if len(direct) != len(proxied) && vain == nil {
		t.Fatalf("%d sessions directly, %d through %s", len(direct), len(proxied), name)
	}
	for i := range min(len(direct), len(proxied)) {
		d, p := direct[i], proxied[i]
		if p.reset && !d.reset {
			t.Errorf("%s\n%s ends with a reset, PostgreSQL closes", s.about, name)
		}
		declared := exceptionFor(s, d.label, st.major)
		switch {
		case firstDifference(d, p) < 0 && declared != nil && !declared.chance:
			t.Errorf("no difference between PostgreSQL and %s, but one is declared: %s", name, declared.reason)
		case firstDifference(d, p) < 0:
		case declared == nil:
			t.Errorf("%s\n%s", s.about, tell(d, p, name))
		case !declared.covers(d, p):
			onlyDirect, onlyProxied := difference(d, p)
			t.Errorf("%s\nthe difference is not the declared one (%s)\n%s\nonly PostgreSQL says %q\nonly %s says %q",
				s.about, declared.reason, tell(d, p, name), onlyDirect, name, onlyProxied)
		}
	}
	if vain != nil {
		t.Errorf("through %s: %v", name, vain)
	}
}

func tellAll(all []transcript) string {
	var b strings.Builder
	for _, t := range all {
		fmt.Fprintf(&b, "session %s:\n", t.label)
		for _, i := range t.items {
			fmt.Fprintf(&b, "      %s\n", i)
		}
	}
	return b.String()
}
