// gprxy audit prune, and RETENTION in the proxy.

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/store"
)

var longAgo = time.Date(2020, 3, 1, 9, 30, 0, 0, time.UTC)

// oldLog has a session of long ago, and what else is given.
func oldLog(t *testing.T, path string, more ...store.Event) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db := openStore(t, path)
	appendEvents(t, db,
		store.Event{Time: longAgo, Session: "04d3k2p8w1zvq4ta", Fact: store.SessionConnected{Client: "10.0.0.1:4000", RequestedUser: "ann",
			Database: "shop"}},
		store.Event{Time: longAgo, Session: "04d3k2p8w1zvq4ta", Fact: store.StatementsExecuted{Statements: []store.Statement{
			{Kind: store.KindExtended, SQL: "select secret", Parsed: true, Start: longAgo},
			{Kind: store.KindSimple, SQL: "select 2", Start: longAgo}}}},
		store.Event{Time: longAgo, Session: "04d3k2p8w1zvq4ta", Fact: store.SessionEnded{Reason: "client_closed"}})
	appendEvents(t, db, more...)
	closeStore(t, db)
}

func TestAuditPrune(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	oldLog(t, path, fixedEvents()...)
	for _, row := range []struct {
		line, says string
	}{
		{"audit prune", "--before is missing"},
		{"audit prune --before 29d", "--before 29d is less than RETENTION_MIN (30d) ago"},
		{"audit prune --before 2026-03-05", "is less than RETENTION_MIN (30d) ago"},
		{"audit prune --before 2026-03-07", "is less than RETENTION_MIN (30d) ago"},
		{"audit prune --before 2099-01-01", "Try: --before 30d, or an earlier date"},
		{"audit prune --before yesterday", "--before"},
	} {
		if got := gprxy(t, env, strings.Fields(row.line)...); got.code != 2 || !strings.Contains(got.err, row.says) {
			t.Errorf("gprxy %s: exit %d, %q", row.line, got.code, got.err)
		}
	}
	got := gprxy(t, env, "audit", "prune", "--before", "2021-01-01T12:00:00Z")
	if got.code != 0 || !strings.HasPrefix(got.out, "pruned     4 events from before 2021-01-01, 1 session, 1 text\ngiven back ") ||
		got.err != "" {
		t.Errorf("%+v", got)
	}
	got = gprxy(t, env, "audit", "verify")
	if got.code != 0 || !strings.Contains(got.out, "\npruned     4 events from before 2021-01-01, by tester at ") {
		t.Errorf("%+v", got)
	}
	v := lines(t, gprxy(t, env, "audit", "verify", "--json").out)[0]
	p := v["pruned"].([]any)[0].(map[string]any)
	if v["intact"] != true || p["events"] != 4.0 || p["by"] != "tester" || p["before"] != "2021-01-01T00:00:00Z" || p["first_seq"] != 1.0 ||
		p["last_seq"] != 4.0 {
		t.Errorf("%v", v)
	}
	if got := gprxy(t, env, "audit", "prune", "--before", "2021-01-01", "--json"); got.code != 0 ||
		got.out != `{"before":"2021-01-01T00:00:00Z","events":0,"sessions":0,"texts":0,"bytes":0}`+"\n" {
		t.Errorf("%+v", got)
	}
	file, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(file), "select secret") {
		t.Errorf("what was pruned still stands in the file (%v)", err)
	}
}

// pruneInTheProxy is part of TestTheProcess.
func pruneInTheProxy(t *testing.T, i *install) {
	oldLog(t, i.log())
	r := i.start("RETENTION=400d")
	waitFor(t, "the prune", func() bool { return strings.Contains(r.output(), `msg="pruned old events"`) })
	if conn := r.mustConnect("alice", "alice-secret"); conn.Ping(t.Context()) != nil {
		t.Error("the proxy does not serve")
	}
	r.Process.Signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	out, err := i.command("audit", "verify").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pruned     4 events from before ") ||
		!strings.Contains(string(out), ", by RETENTION=400d at ") {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}
