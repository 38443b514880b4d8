package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/pool/pooltest"
	"gprxy/session"
	"gprxy/store"
)

// Replication, by the tools and servers that use it.

// allowReplication maps a role to an account with the privilege.
func allowReplication(t *testing.T) func(*options) {
	t.Helper()
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{
		"READER":  {User: "app_reader", Password: "reader-secret"},
		"REPLICA": {User: "app_replica", Password: "replica-secret"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *options) { o.session.AllowReplication, o.session.Roles = true, roles }
}

// walsender logs in for replication.
func walsender(t *testing.T, p *proxy, value string, parameters ...string) *pgconn.PgConn {
	t.Helper()
	config := mustParse(t, p.dsn("bob", token("bob@example.com", "replica"), append(parameters, "replication="+value)...))
	conn, err := pgconn.ConnectConfig(t.Context(), &config.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// command runs a replication command and returns the first column of its first row.
func command(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil || len(results) == 0 || len(results[0].Rows) == 0 {
		t.Fatalf("%s: %v", sql, err)
	}
	return string(results[0].Rows[0][0])
}

func TestReplicationIsOffByDefault(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t), func(o *options) { o.session.AllowReplication = false })
	for _, value := range []string{"true", "database", "on", "YES", "1", "t"} {
		answer := refused(t, p.dsn("bob", token("bob@example.com", "replica"), "replication="+value))
		if answer.Code != "0A000" || !strings.Contains(answer.Hint, "ALLOW_REPLICATION") {
			t.Errorf("replication=%s: answer %+v", value, answer)
		}
		if s := p.sessions()[0]; s.State != store.StateRefused || s.EndReason != "replication" {
			t.Errorf("session %+v", s)
		}
	}
	for _, value := range []string{"", "maybe", "DATABASE", "o", "truest"} {
		if answer := refused(t, p.dsn("bob", token("bob@example.com", "replica"), "replication="+value)); answer.Code != "22023" {
			t.Errorf("replication=%s: answer %+v", value, answer)
		}
	}
	for _, value := range []string{"false", "0", "N", "of"} {
		connect(t, p.dsn("bob", token("bob@example.com", "reader"), "replication="+value)).Close(t.Context())
	}
}

func TestReplicationNeedsThePrivilege(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t))
	self := startProxy(t, allowReplication(t), func(o *options) { o.session.Passwords = session.PasswordSelf })
	service := startProxy(t, allowReplication(t), func(o *options) {
		o.session.Service = auth.Login{User: "app_replica", Password: "replica-secret"}
	})
	reader := token("bob@example.com", "reader")
	for name, test := range map[string]struct{ dsn, code string }{
		"an account without it":         {p.dsn("bob", reader, "replication=database"), "42501"},
		"likewise, the whole server":    {p.dsn("bob", reader, "replication=true"), "42501"},
		"a person without it":           {service.dsn("alice", alicePassword, "replication=true"), "42501"},
		"likewise, one database":        {service.dsn("alice", alicePassword, "replication=database"), "42501"},
		"a person's own account":        {self.dsn("alice", alicePassword, "replication=true"), "42501"},
		"a person without the password": {p.dsn("alice", "wrong", "replication=true"), "28P01"},
		"another database": {strings.Replace(p.dsn("bob", token("bob@example.com", "replica"), "replication=database"), "/demo",
			"/nowhere", 1), "3D000"},
		"another person's role": {p.dsn("bob", reader, "replication=database", "role=postgres"), "42501"},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := refused(t, test.dsn); answer.Code != test.code {
				t.Errorf("answer %+v, want %s", answer, test.code)
			}
		})
	}
	for _, p := range []*proxy{p, self, service} {
		if got := len(p.records("replication.started")); got != 0 {
			t.Errorf("%d replications recorded", got)
		}
	}
	connect(t, service.dsn("alice", alicePassword)) // who may not replicate is served otherwise
}

func TestPgBasebackup(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t))
	if refusesTheServer(t, "pg_basebackup") {
		backUp(t, p)
	} else {
		backup := filepath.Join(t.TempDir(), "backup")
		output(t, tool(t, p, "replica", "pg_basebackup", "-D", backup, "-X", "stream", "-c", "fast", "--no-sync"))
		verify := exec.Command(postgres.Tool(t, "pg_verifybackup"), backup)
		if programMajor(t, "pg_verifybackup") != serverMajor(t) {
			verify.Args = append(verify.Args, "--no-parse-wal") // the WAL of another major version says nothing to it
		}
		output(t, verify)
	}

	eventually(t, "its sessions end", 20*time.Second, func() bool { return len(p.records("session.ended")) == 2 })
	started := p.records("replication.started")
	if len(started) != 2 { // the files, and the WAL meanwhile
		t.Fatalf("%d replications recorded", len(started))
	}
	for _, r := range started {
		var detail store.ReplicationStarted
		if err := json.Unmarshal(r.Detail, &detail); err != nil || detail.Kind != "physical" || detail.ServiceAccount != "app_replica" ||
			r.User != "bob@example.com" || r.Database != "" {
			t.Errorf("recorded %+v %s, %v", r, r.Detail, err)
		}
	}
	for _, s := range p.sessions() {
		row, err := json.Marshal(s)
		if err != nil || s.EndReason != "client_terminated" || !strings.Contains(string(row), `"database":null`) {
			t.Errorf("session %s, %v", row, err)
		}
	}
}

func TestPgReceivewalAndDrain(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t), func(o *options) { o.session.StampSetting, o.session.StampApplicationName = true, true })
	dir := t.TempDir()
	ended := receiveWAL(t, p, dir)
	eventually(t, "it streams", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_replication where application_name = 'pg_receivewal' and state = 'streaming'") == "1"
	})
	admin(t, "create table streamed as select generate_series(1, 10000); drop table streamed")
	at := admin(t, "select pg_switch_wal()")
	eventually(t, "it has what was written", 20*time.Second, func() bool {
		return admin(t, "select flush_lsn >= '"+at+"' from pg_stat_replication where application_name = 'pg_receivewal'") == "t"
	})
	began := time.Now()
	p.handler.Drain()
	if said, err := ended(); err == nil || !strings.Contains(said, "gprxy is shutting down") {
		t.Errorf("it ended with %v: %s", err, said)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a stream held the shutdown up for %v", took)
	}
	eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "shutdown" })
	eventually(t, "the walsender ends", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_replication where application_name = 'pg_receivewal'") == "0"
	})
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) == 0 {
		t.Error("no WAL was received")
	}
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t), func(o *options) { o.pool.MaxConns = 10 })
	subscriber := pooltest.New(t, pooltest.Options{})
	there := func(sql string) string {
		rows, err := subscriber.Query(t.Context(), "postgres", sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if len(rows) == 0 {
			return ""
		}
		return rows[0][0]
	}
	admin(t, `create table published (id int primary key, t text);
		insert into published select i, repeat('ä', i) from generate_series(1, 500) i;
		grant select on published to app_replica`)
	admin(t, "create publication offered for table published")
	t.Cleanup(func() { admin(t, "drop publication offered; drop table published") })
	there("create table published (id int primary key, t text)")
	host, port, _ := net.SplitHostPort(p.addr)
	there("create subscription taken connection 'host=" + host + " port=" + port + " dbname=" + database +
		" user=bob password=" + token("bob@example.com", "replica") + "' publication offered")
	eventually(t, "what was there is copied", 20*time.Second, func() bool { return there("select count(*) from published") == "500" })
	admin(t, "update published set t = 'changed' where id <= 10; delete from published where id > 490")
	eventually(t, "changes follow", 20*time.Second, func() bool {
		return there("select count(*) filter (where t = 'changed') || ' of ' || count(*) from published") == "10 of 490"
	})
	there("drop subscription taken") // the slot, too: by a connection of its own
	eventually(t, "nothing is left", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_replication_slots where slot_name = 'taken' or slot_name like 'pg%sync%'") == "0"
	})
	eventually(t, "all ends are recorded", 20*time.Second, func() bool {
		return len(p.records("session.ended")) == len(p.records("session.connected"))
	})
	for _, r := range p.records("replication.started") {
		if r.Database != database || !strings.Contains(string(r.Detail), `"kind":"logical"`) {
			t.Errorf("recorded %+v %s", r, r.Detail)
		}
	}
}

func TestAWalsenderServesOneSession(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t), func(o *options) { o.pool.MaxConns = 1 })
	pids := map[uint32]bool{}
	for range 3 {
		conn := walsender(t, p, "database", "options=-c work_mem=3MB -c my.own=7", "timezone=Asia/Tokyo")
		pids[conn.PID()] = true
		if got := command(t, conn, "select current_setting('work_mem') || current_setting('my.own') || "+
			"current_setting('TimeZone')"); got != "3MB7Asia/Tokyo" {
			t.Errorf("its parameters are %s", got)
		}
		if got := command(t, conn, "select current_user"); got != "app_replica" {
			t.Errorf("it is %s", got)
		}
		conn.Close(t.Context())
	}
	if len(pids) != 3 {
		t.Errorf("%d backends for 3 sessions", len(pids))
	}
	ordinary := connect(t, p.dsn("bob", token("bob@example.com", "replica")))
	if got := ask[int](t, ordinary, "select 1"); got != 1 || pids[ordinary.PgConn().PID()] {
		t.Error("a walsender serves an ordinary session")
	}
}

func TestCancelOfAWalsender(t *testing.T) {
	p := startProxy(t, allowReplication(t))
	conn := walsender(t, p, "database")
	canceled := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(60) /* a walsender sleeps */").ReadAll()
		canceled <- err
	}()
	running := "select count(*) from pg_stat_activity where query like '%a walsender sleeps%' and backend_type = 'walsender'"
	eventually(t, "it runs", 20*time.Second, func() bool { return admin(t, running) == "1" })
	if err := conn.CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](<-canceled); !ok || e.Code != "57014" {
		t.Errorf("it ended with %v", e)
	}
	if got := command(t, conn, "select 1"); got != "1" {
		t.Errorf("afterwards %s", got)
	}
}

// fastBackup is a request for a backup that waits for no checkpoint.
func fastBackup(t *testing.T) string {
	t.Helper()
	if serverMajor(t) < 15 {
		return query("BASE_BACKUP FAST")
	}
	return query("BASE_BACKUP (CHECKPOINT 'fast')")
}

// A client that vanishes leaves no walsender behind, whatever that is doing.
func TestAClientOfReplicationVanishes(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t))
	for name, sent := range map[string]string{
		"streaming":          query("START_REPLICATION PHYSICAL 0/1000000"),
		"within a message":   query("START_REPLICATION PHYSICAL 0/1000000") + "d\x00\x00\x00\x20r",
		"after its CopyDone": query("START_REPLICATION PHYSICAL 0/1000000") + message('c', ""),
		"within its backup":  fastBackup(t),
		"resting":            query("IDENTIFY_SYSTEM"),
		"with half a header": "S\x00",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, p.addr)
			greeting := login(t, conn, "bob", token("bob@example.com", "replica"), "replication", "on")
			send(t, conn, sent)
			if sent[0] == 'Q' {
				receive(t, conn)
			}
			conn.Close()
			pid := fmt.Sprint(backendPID(greeting))
			eventually(t, "the walsender ends", 20*time.Second, func() bool {
				return admin(t, "select count(*) from pg_stat_activity where pid = "+pid) == "0"
			})
			eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].State == store.StateEnded })
		})
	}
}

// Shutdown ends what does not end by itself: a backup whose client does not read.
func TestReplicationIsCutOffAtTheEndOfAShutdown(t *testing.T) {
	t.Parallel()
	p := startProxy(t, allowReplication(t))
	conn := dial(t, p.addr)
	login(t, conn, "bob", token("bob@example.com", "replica"), "replication", "on")
	send(t, conn, fastBackup(t))
	receive(t, conn)
	hurry, done := context.WithTimeout(ctxWithoutCancel(t), 100*time.Millisecond)
	defer done()
	p.handler.Drain()
	if err := p.server.Shutdown(hurry, 5*time.Second); err == nil {
		t.Error("a running backup was given up at once")
	}
	eventually(t, "the end is recorded", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "shutdown" })
}

func TestReplicationAfterOtherLogins(t *testing.T) {
	t.Parallel()
	t.Run("with OAUTHBEARER", func(t *testing.T) {
		p := startProxy(t, allowReplication(t), offerOAuth, func(o *options) { o.session.ClientAuth = session.AuthOAuth })
		config := mustParse(t, p.dsn("bob", "", "replication=true"))
		config.OAuthTokenProvider = func(ctx) (string, error) { return token("bob@example.com", "replica"), nil }
		conn, err := pgconn.ConnectConfig(t.Context(), &config.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		command(t, conn, "IDENTIFY_SYSTEM")
	})
	t.Run("with a browser", func(t *testing.T) {
		i := deviceIssuer(t, authtest.Options{Users: map[string]authtest.Person{"carla": {Roles: []string{"replica"}}}})
		p := startProxy(t, offerDevice(t, i, 2), allowReplication(t))
		config := mustParse(t, p.dsn("somebody", "", "options=-c gprxy.auth=device", "replication=database"))
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			if m := userCode.FindStringSubmatch(n.Message); m != nil {
				if err := i.Approve(m[1], "carla"); err != nil {
					t.Error(err)
				}
			}
		}
		conn, err := pgconn.ConnectConfig(t.Context(), &config.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		command(t, conn, "IDENTIFY_SYSTEM")
	})
	t.Run("with a person's own password", func(t *testing.T) {
		p := startProxy(t, allowReplication(t), func(o *options) { o.session.Passwords = session.PasswordSelf })
		config := mustParse(t, p.dsn("app_replica", "replica-secret", "replication=true"))
		conn, err := pgconn.ConnectConfig(t.Context(), &config.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		command(t, conn, "IDENTIFY_SYSTEM")
		if s := p.sessions()[0]; s.ServiceAccount != "app_replica" || s.Database != "" {
			t.Errorf("session %+v", s)
		}
	})
}
