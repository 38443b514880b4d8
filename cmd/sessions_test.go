// gprxy sessions on a real log, down to the byte.

package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

func TestSessionsTable(t *testing.T) {
	log := fixedLog(t)
	equal(t, "not a terminal", gprxy(t, log.env, "sessions").out, `
SESSION           STATE    STARTED               LASTED  USER                 ACCOUNT     DATABASE  CLIENT         STATEMENTS  ROWS  END
06d3k2p8w1zvq4td  ended    2026-03-05 11:00:06     0 ms  (x\x1b[2J\u202eeve)              =cmd()    10.0.0.4:4000           0     0  left while waiting
06d3k2p8w1zvq4tc  active   2026-03-05 11:00:04  59m 55s  bob                  svc         shop      10.0.0.3:4000
06d3k2p8w1zvq4tb  refused  2026-03-05 11:00:03     0 ms  (mallory)                        shop      10.0.0.2:4000                    bad token
06d3k2p8w1zvq4ta  ended    2026-03-05 11:00:01   1m 03s  alice@example.com    app_writer  shop      10.0.0.1:4000           3  1234  client closed
`[1:])
	plain := log.env
	plain.Variables = append(slices.Clone(plain.Variables), "NO_COLOR=1")
	got := gprxyOn(t, 80, plain, "sessions")
	equal(t, "80 columns", got.out, `
STATE    STARTED              USER              ACCOUNT     DATABASE  END
ended    2026-03-05 11:00:06  (x\x1b[2J\u202e…              =cmd()    left whil…
active   2026-03-05 11:00:04  bob               svc         shop
refused  2026-03-05 11:00:03  (mallory)                     shop      bad token
ended    2026-03-05 11:00:01  alice@example.c…  app_writer  shop      client cl…
`[1:])
	equal(t, "80 columns, stderr", got.err, "not shown for want of room: session, lasted, client, statements, rows; --full or a wider "+
		"terminal shows all\n")
}

func TestSessionsFilters(t *testing.T) {
	log := fixedLog(t)
	for _, row := range []struct{ line, want string }{
		{"sessions", "d c b a"},
		{"sessions --active", "c"},
		{"sessions --user alice@example.com", "a"},
		{"sessions --service-account svc", "c"},
		{"sessions --database shop", "c b a"},
		{"sessions --requested-user mallory", "b"},
		{"sessions --requested-user alice --user alice@example.com", "a"},
		{"sessions --limit 2", "d c"},
		{"sessions --limit 0", "d c b a"},
		{"sessions --since 59m --json", "c a"},
		{"sessions --until 2026-03-05T11:00:03Z", "a"},
		{"sessions --until 2026-03-05", ""},
		{"sessions --since 2026-03-05 --user bob", "c"},
	} {
		got := gprxy(t, log.env, append(strings.Fields(row.line), "--json")...)
		var ids []string
		for _, s := range lines(t, got.out) {
			ids = append(ids, strings.TrimPrefix(s["session"].(string), "06d3k2p8w1zvq4t"))
		}
		if got.code != 0 || strings.Join(ids, " ") != row.want {
			t.Errorf("gprxy %s: %q, want %q (exit %d, %s)", row.line, ids, row.want, got.code, got.err)
		}
		wantNote := map[string]string{"": "no sessions match; gprxy audit shows every event",
			"d c": "the newest 2 sessions; there are more: --limit 0 shows all"}[row.want]
		if !strings.Contains(got.err, wantNote) || (wantNote == "" && got.err != "") {
			t.Errorf("gprxy %s says %q, want %q", row.line, got.err, wantNote)
		}
	}
}

func TestSessionsJSON(t *testing.T) {
	log := fixedLog(t)
	equal(t, "an ended session", gprxy(t, log.env, "sessions", "--json", "--user", "alice@example.com").out,
		`{"session":"06d3k2p8w1zvq4ta","state":"ended","started":"2026-03-05T11:00:01.123456Z","ended":"2026-03-05T11:01:04.123456Z",`+
			`"user":"alice@example.com","requested_user":"alice","auth_method":"token","roles":["reader","writer"],"role":"writer",`+
			`"service_account":"app_writer","database":"shop","client":"10.0.0.1:4000","application_name":"psql","tls":"TLSv1.3",`+
			`"backend_pid":4711,"statements":3,"rows":1234,"errors":0,"bytes_in":100,"bytes_out":2000,"end_reason":"client_closed","doubt":null}`+"\n")
	equal(t, "an active session", gprxy(t, log.env, "sessions", "--json", "--active").out,
		`{"session":"06d3k2p8w1zvq4tc","state":"active","started":"2026-03-05T11:00:04.123456Z","ended":null,`+
			`"user":"bob","requested_user":"bob","auth_method":"password","roles":null,"role":null,`+
			`"service_account":"svc","database":"shop","client":"10.0.0.3:4000","application_name":null,"tls":null,`+
			`"backend_pid":4712,"statements":null,"rows":null,"errors":null,"bytes_in":null,"bytes_out":null,"end_reason":null,"doubt":null}`+"\n")
	hostile := gprxy(t, log.env, "sessions", "--json", "--limit", "1").out
	if !strings.Contains(hostile, `"requested_user":"x\u001b[2J\u202eeve"`) {
		t.Errorf("control characters in JSON: %s", hostile)
	}
}

// A health check that logs in halfway every few seconds does not push people out of the list. It is counted, and to be had.
func TestSessionsLeaveProbesOut(t *testing.T) {
	env := fixedEnvironment(t)
	env.Variables = []string{"HOME=" + env.Dir, "EVENT_LOG=" + filepath.Join(env.Dir, "events.db")}
	db := openStore(t, filepath.Join(env.Dir, "events.db"))
	defer closeStore(t, db)
	at := func(second int, session string, f store.Fact) store.Event {
		return store.Event{Time: noon.Add(time.Duration(second) * time.Second), Session: session, Fact: f}
	}
	events := []store.Event{
		at(0, "06d3k2p8w1zvq4ta", store.SessionConnected{Client: "10.0.0.1:1", RequestedUser: "alice", Database: "shop"}),
		at(1, "06d3k2p8w1zvq4ta", store.SessionRefused{SQLState: "28P01", Reason: "bad_password"}),
	}
	const probes = 150
	for i := range probes {
		id := fmt.Sprintf("06d3k2p8w1zvq%03d", i)
		events = append(events, at(10+i, id, store.SessionConnected{Client: "10.0.0.9:1", RequestedUser: "postgres", Database: "postgres"}),
			at(10+i, id, store.SessionEnded{Reason: store.EndLeftBeforeLogin}))
	}
	appendEvents(t, db, events...)
	for _, row := range []struct {
		line string
		rows int
		note string
	}{
		{"sessions --json", 1, "not shown: 150 connections that left before logging in, such as pg_isready's; --all shows them"},
		{"sessions --json --all", 100, "there are more"},
		{"sessions --json --all --limit 0", 151, ""},
	} {
		got := gprxy(t, env, strings.Fields(row.line)...)
		if n := strings.Count(got.out, "\n"); n != row.rows || !strings.Contains(got.err, row.note) || (row.note == "" && got.err != "") {
			t.Errorf("gprxy %s: %d rows, %q, want %d, %q", row.line, n, got.err, row.rows, row.note)
		}
	}
}

// What is active in the log of a proxy that was killed is not.
func TestActiveSessionsOfAProxyThatDoesNotRun(t *testing.T) {
	log := fixedLog(t)
	if got := gprxy(t, log.env, "sessions", "--active"); strings.Contains(got.err, "no gprxy runs") {
		t.Errorf("while it runs: %q", got.err)
	}
	killed := filepath.Join(log.env.Dir, "killed.db")
	for _, suffix := range []string{"", "-wal"} { // as it lies there after kill -9
		content, err := os.ReadFile(log.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		write(t, killed+suffix, string(content))
	}
	write(t, killed+".lock", "4711\n")
	got := gprxy(t, log.env, "sessions", "--active", "--event-log", killed)
	if !strings.Contains(got.out, "bob") || !strings.Contains(got.err, "no gprxy runs with "+killed+" now") {
		t.Errorf("of a killed one: %q, %q", got.out, got.err)
	}
	if got := gprxy(t, log.env, "sessions", "--event-log", killed); strings.Contains(got.err, "no gprxy runs") {
		t.Errorf("without --active: %q", got.err)
	}
}

// A session that could not be followed to its end is told as such where people look first.
func TestDoubtIsShown(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	at := func(f store.Fact) store.Event {
		return store.Event{Time: time.Date(2026, 3, 5, 11, 0, 0, 0, time.UTC), Session: "a", Fact: f}
	}
	appendEvents(t, db, at(store.SessionConnected{Client: "10.0.0.1:1", RequestedUser: "ann", Database: "shop", Protocol: "3.0"}),
		at(store.AuthSucceeded{Method: "token", User: "ann"}), at(store.SessionStarted{ServiceAccount: "app", BackendPID: 1}),
		at(store.SessionEnded{Reason: store.EndClientGone, Doubt: "a copy failed"}))
	closeStore(t, db)
	if out := gprxyOn(t, 200, env, "sessions").out; !strings.Contains(out, "client gone, in doubt") {
		t.Errorf("sessions:\n%s", out)
	}
	if out := gprxyOn(t, 200, env, "audit", "--type", "session.ended").out; !strings.Contains(out, "in doubt: a copy failed") {
		t.Errorf("audit:\n%s", out)
	}
}
