// gprxy audit on a real log: table, JSON, CSV, filters, following.

package cmd

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

func TestAuditTable(t *testing.T) {
	log := fixedLog(t)
	var details []string
	for i, line := range slices.Collect(strings.Lines(gprxy(t, log.env, "audit", "--until", "2026-03-06").out)) {
		if i == 0 {
			equal(t, "titles", strings.Join(strings.Fields(line), " "), "SEQ TIME TYPE SESSION USER ACCOUNT DATABASE CLIENT DETAIL")
			details = append(details, strings.TrimSpace(line[strings.Index(line, "DETAIL"):]))
			continue
		}
		details = append(details, line)
	}
	for i, want := range []string{
		"DETAIL",
		"gprxy 1.0 listens on 127.0.0.1:7777 for localhost:5432, pid 42",
		"asks for alice on shop with psql, TLSv1.3",
		"by token, roles reader,writer, expires 2026-03-05 12:00:00",
		"role writer is served by app_writer (priority)",
		"reused backend 4711 as app_writer after 12 ms, 127.0.0.1:5432",
		"asks for mallory on shop, no TLS",
		"token refused: expired (since 3m)",
		"refused: bad token (28P01 authentication failed)",
		"asks for bob on shop, no TLS",
		"by password",
		"a password login is served by svc",
		"new backend 4712 as svc after 1 ms, 127.0.0.1:5432",
		"cancel from 10.9.9.9:1 for backend 4711 rejected: unknown key",
		`asks for x\x1b[2J\u202eeve on =cmd(), no TLS`,
		"ended: left while waiting, 0 statements, 3 ms",
		"ended: client closed, 3 statements, 1m 03s",
	} {
		if i >= len(details) || !strings.HasSuffix(strings.TrimSuffix(details[i], "\n"), want) {
			t.Errorf("line %d of %d: %q, want %q", i, len(details), details[min(i, len(details)-1)], want)
		}
	}
}

func TestAuditJSON(t *testing.T) {
	log := fixedLog(t)
	out := gprxy(t, log.env, "audit", "--json", "--until", "2026-03-06").out
	first, _, _ := strings.Cut(out, "\n")
	want := `{"seq":1,"time":"2026-03-05T11:00:00.123456Z","type":"proxy.started","session":null,"user":null,"service_account":null,` +
		`"database":null,"client":null,"detail":{"version":"1.0","listen":"127.0.0.1:7777","upstream":"localhost:5432","pid":42},"hash":"`
	if !strings.HasPrefix(first, want) || len(first) != len(want)+64+2 {
		t.Errorf("got  %s\nwant %s…", first, want)
	}
	events := lines(t, out)
	e := events[4]
	if len(events) != 16 || e["user"] != "alice@example.com" || e["service_account"] != "app_writer" || e["database"] != "shop" ||
		e["client"] != "10.0.0.1:4000" {
		t.Errorf("%d events, the fifth is %v", len(events), e)
	}
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Error("a control character is not escaped")
	}
}

func TestAuditFilters(t *testing.T) {
	log := fixedLog(t)
	for _, row := range []struct {
		line string
		want int
		note string
	}{
		{"audit --type auth.succeeded", 2, ""},
		{"audit --session 06d3k2p8w1zvq4tb", 3, ""},
		{"audit --user bob", 4, ""},
		{"audit --service-account app_writer", 5, ""},
		{"audit --database shop --type session.connected", 3, ""},
		{"audit --limit 3", 3, "the newest 3 events; there may be more: --limit 0 shows all"},
		{"audit --limit 0 --since 2026-03-05 --until 2026-03-06", 16, ""},
		{"audit --user nobody", 0, "no events match"},
		{"audit --requested-user mallory", 3, ""},
		{"audit --requested-user alice --type session.ended", 1, ""},
		{"audit --state 28p01", 1, ""},
		{"audit --state 42501", 0, "no events match"},
	} {
		got := gprxy(t, log.env, append(strings.Fields(row.line), "--json")...)
		if n := len(lines(t, got.out)); n != row.want || got.code != 0 || !strings.Contains(got.err, row.note) ||
			(row.note == "" && got.err != "") {
			t.Errorf("gprxy %s: %d events, want %d; exit %d, %q", row.line, n, row.want, got.code, got.err)
		}
	}
}

func TestAuditFindsStatements(t *testing.T) {
	log := fixedLog(t)
	path := filepath.Join(t.TempDir(), "events.db")
	db := openStore(t, path)
	defer closeStore(t, db)
	env := log.env
	env.Variables = []string{"HOME=" + env.Dir, "EVENT_LOG=" + path}
	appendEvents(t, db, fixedEvents()...)
	ran := func(sql, outcome, state string) store.Statement {
		return store.Statement{Kind: store.KindSimple, SQL: sql, Outcome: outcome, SQLState: state, Start: noon.Add(5 * time.Second)}
	}
	appendEvents(t, db, store.Event{Session: "06d3k2p8w1zvq4tc", Fact: store.StatementsExecuted{Statements: []store.Statement{
		ran("SELECT * FROM salaries", "error", "42501"), ran("select 1", "", ""), ran("select 2 from Salaries where name = 'o''brien'", "", ""),
		ran("selec", "error", "42601"),
	}}})
	for _, row := range []struct {
		line []string
		want string // texts, in order
	}{
		{[]string{"--text", "from salaries"}, "SELECT * FROM salaries|select 2 from Salaries where name = 'o''brien'"},
		{[]string{"--text", "from salaries", "--limit", "1"}, "select 2 from Salaries where name = 'o''brien'"},
		{[]string{"--text", "salaries", "--state", "42501"}, "SELECT * FROM salaries"},
		{[]string{"--text", "select", "--user", "bob", "--type", "statement.executed", "--limit", "2"},
			"select 1|select 2 from Salaries where name = 'o''brien'"},
		{[]string{"--text", "select", "--user", "alice@example.com"}, ""},
		{[]string{"--state", "42601"}, "selec"},
	} {
		var texts []string
		for _, e := range lines(t, gprxy(t, env, append([]string{"audit", "--json"}, row.line...)...).out) {
			texts = append(texts, e["detail"].(map[string]any)["sql"].(string))
		}
		equal(t, strings.Join(row.line, " "), strings.Join(texts, "|"), row.want)
	}
	wrong := gprxy(t, env, "audit", "--state", "denied")
	if wrong.code != 2 || !strings.Contains(wrong.err, "no SQLSTATE") || !strings.Contains(wrong.err, "--state with five letters and digits") {
		t.Errorf("%+v", wrong)
	}
}

func TestAuditCSV(t *testing.T) {
	log := fixedLog(t)
	rows, err := csv.NewReader(strings.NewReader(gprxy(t, log.env, "audit", "--csv", "--until", "2026-03-06").out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "header", strings.Join(rows[0], ","), "seq,time,type,session,user,service_account,database,client,detail,hash")
	if len(rows) != 17 {
		t.Errorf("%d rows", len(rows))
	}
	equal(t, "a formula", rows[15][6], "'=cmd()")
	equal(t, "detail", rows[10][8], `{"method":"password","user":"bob"}`)
}

func TestFollow(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	defer closeStore(t, db)
	appendEvents(t, db, fixedEvents()...)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, []string{"audit", "--follow", "--json", "--type", "session.ended"}, IO{Out: w, Err: &errs}, env)
		w.Close()
	}()
	events := json.NewDecoder(r)
	next := func() (e struct{ Seq int64 }) {
		if err := events.Decode(&e); err != nil {
			t.Fatalf("%v; stderr %s", err, errs.String())
		}
		return e
	}
	if a, b := next(), next(); a.Seq != 15 || b.Seq != 16 {
		t.Errorf("first come events %d and %d", a.Seq, b.Seq)
	}
	appendEvents(t, db, store.Event{Time: noon.Add(time.Minute), Session: "06d3k2p8w1zvq4tc",
		Fact: store.SessionEnded{Reason: "client_closed"}})
	if live := next(); live.Seq <= 16 {
		t.Errorf("the live event is %d", live.Seq)
	}
	cancel()
	if c := <-code; c != 0 || errs.Len() > 0 {
		t.Errorf("exit %d after Ctrl-C, stderr %q", c, errs.String())
	}
}
