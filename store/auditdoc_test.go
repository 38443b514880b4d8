// docs/audit.md is a contract: its script and its questions must work on a real log.

package store

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// documented gives the code block of docs/audit.md in the language.
func documented(t *testing.T, language string) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("no %s in docs/audit.md", language)
	}
	return string(block[1])
}

// verifyByScript lets the script of the documentation judge the log.
func verifyByScript(t *testing.T, path string) (says string, intact bool) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	code := documented(t, "python")
	if n := strings.Count(code, "\n"); n > 60 {
		t.Errorf("the script has %d lines", n)
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(script, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, script, path).CombinedOutput()
	return string(out), err == nil
}

func TestDocumentedScriptVerifies(t *testing.T) {
	d, path := threeDays(t)
	mustAppend(t, d, Event{Time: at(8), Fact: ProxyStopped{Reason: "ünïcode \x00\xff <&>\u2028\U0001f512"}})
	mustAppend(t, d, block("long", ran(strings.Repeat("a long text that is packed ", 500), 50), ran("\"\\\x01ü", 60)))
	agree := func(when string) {
		t.Helper()
		h := verified(t, path)
		if says, intact := verifyByScript(t, path); !intact || says != fmt.Sprintf("%d %x\n", h.Seq, h.Hash) {
			t.Errorf("%s the script says %q, gprxy %d %x", when, says, h.Seq, h.Hash)
		}
	}
	agree("of a whole log")
	if _, err := d.Prune(t.Context(), midnight.Add(oneDay), "ann", nil); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, Event{Fact: ProxyStopped{}})
	if _, err := d.Prune(t.Context(), midnight.Add(2*oneDay), "ann", nil); err != nil {
		t.Fatal(err)
	}
	agree("of a pruned log")
}

// The script and gprxy find the same, but for the table sessions, which the script leaves alone.
func TestDocumentedScriptFindsTampering(t *testing.T) {
	d, path := threeDays(t)
	mustAppend(t, d, block("long", prepared(strings.Repeat("packed ", 1000), int(3*oneDay.Milliseconds()))))
	if _, err := d.Prune(t.Context(), midnight.Add(2*oneDay), "ann", nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	pruned, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ change, says string }{
		{`UPDATE events SET body = replace(body, 'ann', 'amy') WHERE seq = 23`, "seq 23 is not what was written\n"},
		{`UPDATE events SET time = time + 1 WHERE seq = 27`, "seq 26 is not what was written\n"},
		{`UPDATE events SET hash = zeroblob(32) WHERE seq = 30`, "seq 30 is not what was written\n"},
		{`DELETE FROM events WHERE seq = 25`, "seq 25 is missing\n"},
		{`DELETE FROM events WHERE seq = 25; UPDATE events SET count = 2 WHERE seq = 27`, "seq 25 is missing\n"},
		{`INSERT INTO events SELECT 32, time, type, session, body, hash, 1 FROM events WHERE seq = 29`, "seq 32 is not what was written\n"},
		{`UPDATE pruned SET digests = zeroblob(length(digests)) WHERE first = 1`, "seq 1 is not what was written\n"},
		{`DELETE FROM pruned WHERE first = 6`, "seq 6 is missing\n"},
		{`UPDATE texts SET text = 'harmless' WHERE text = 'every day'`, "text 1 is not what was written\n"},
		{`UPDATE texts SET text = 'harmless' WHERE packed IS NOT NULL`, "text 5 is not what was written\n"},
		{`DELETE FROM texts WHERE text = 'every day'`, "text 1 is missing\n"},
		{`INSERT INTO texts (sha256, bytes, used, text) VALUES (x'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 3, 0, 'abc')`, "text 6 is not what was written\n"},
	} {
		path := logPath(t)
		if err := os.WriteFile(path, pruned, 0o600); err != nil {
			t.Fatal(err)
		}
		forge(t, path, func(db *sql.DB) { alter(t, db, tc.change) })
		if says, intact := verifyByScript(t, path); intact || says != tc.says {
			t.Errorf("%s: the script says %q, want %q", tc.change, says, tc.says)
		}
		_, err = reader(t, path).Verify(t.Context(), nil)
		first, _, _ := strings.Cut(strings.TrimPrefix(tc.says, "seq "), " ")
		if broken := "broken at seq " + first + ":"; err == nil || strings.HasPrefix(tc.says, "seq") && !strings.Contains(err.Error(), broken) {
			t.Errorf("%s: gprxy says %v, the script %q", tc.change, err, tc.says)
		}
	}
}

// A pruning that cannot be one is found by the script too.
func TestDocumentedScriptFindsAForgedPruning(t *testing.T) {
	for says, how := range map[string]func(f *forger){
		"seq 41 is no pruning of gprxy's\n":           func(f *forger) { f.hide(37, 37); f.pruned(noon, midnight.Add(47*oneDay), 37, 37, 1) },
		"seq 42 is no pruning of gprxy's\n":           func(f *forger) { f.append("", noon, LogRead{}); f.pruned(noon, midnight, 42, 42, 1) },
		"seq 31 is gone, and no log.pruned says so\n": func(f *forger) { f.hide(31, 31) },
		"seq 43 is no pruning of gprxy's\n": func(f *forger) {
			f.pruned(noon, midnight, 1, 2, 2)
			f.append("", noon, LogRead{})
			f.pruned(noon, midnight, 1, 2, -2)
		},
	} {
		path, _ := forged(t, how)
		if got, intact := verifyByScript(t, path); intact || got != says {
			t.Errorf("the script says %q, want %q", got, says)
		}
	}
}

// asked is the log that the documentation's questions are put to.
func asked(t *testing.T) string {
	path := logPath(t)
	d := open(t, path, Options{now: func() time.Time { return t0.Add(1000 * time.Hour) }})
	noon := time.Date(2026, 3, 5, 11, 0, 0, 0, time.UTC)
	visit := func(id, user, account string, at time.Time, reason string, ran ...Statement) {
		events := login(id, user, account, at)
		for i := range ran {
			ran[i].Start, ran[i].US = at.Add(time.Duration(i+1)*time.Second), 1500
			events = append(events, block(id, ran[i]))
		}
		if reason != "" {
			events = append(events, Event{at.Add(10 * time.Minute), id, SessionEnded{Reason: reason, Statements: int64(len(ran))}})
		}
		mustAppend(t, d, events...)
	}
	refused := func(id, user string, at time.Time) {
		mustAppend(t, d, Event{at, id, SessionConnected{Client: "10.0.0.9:1", RequestedUser: user, Database: "shop"}},
			Event{at, id, AuthFailed{Method: "password", Reason: "wrong_password"}},
			Event{at, id, SessionRefused{SQLState: "28P01", Reason: "bad_password"}})
	}
	sql := func(text, tag string) Statement { return Statement{Kind: KindSimple, SQL: text, Tag: tag} }
	visit("s1", "ann", "app_writer", noon.AddDate(0, -2, 0), "client_terminated", sql("select 1", "SELECT"))
	visit("06d3k2p8w1zvq4ta", "ann", "app_writer", noon, "client_terminated",
		Statement{Kind: KindExtended, Parsed: true, SQL: "select name from customers where id = $1", Tag: "SELECT", Rows: 1},
		sql("grant select on customers to bob", "GRANT"),
		Statement{Kind: KindSimple, SQL: "select 1/0", SQLState: "22012", Message: "division by zero", Outcome: OutcomeError})
	refused("r1", "bob", noon.Add(-2*time.Hour)) // too long ago
	refused("r2", "bob", noon.Add(time.Minute))
	refused("r3", "bob", noon.Add(2*time.Minute))
	visit("s2", "bob", "app_reader", noon.Add(3*time.Minute), "backend_gone", sql("create table customers_copy ()", "CREATE TABLE"))
	visit("s3", "eve", "app_admin", noon.Add(4*time.Minute), "")
	mustAppend(t, d, Event{Time: noon, Fact: LogRead{OSUser: "root", Command: "audit", Filter: "--since 1h"}},
		Event{Time: noon, Fact: LogGap{Since: noon, Until: noon, Reason: GapUnwritable}})
	return path
}

// answers are those to the ten questions, on that log.
var answers = []string{
	`ann|2|2026-01-05T11:00:00.000000Z|2026-03-05T11:00:00.000000Z|4`,
	`2026-03-05T11:00:01.001500Z|select name from customers where id = $1|SELECT|1|ok|1.5
2026-03-05T11:00:02.001500Z|grant select on customers to bob|GRANT|0|ok|1.5
2026-03-05T11:00:03.001500Z|select 1/0||0|error|1.5`,
	`bob|10.0.0.7:50412|2|2026-03-05T11:03:00.000000Z`,
	`ann|app_writer|shop|10.0.0.7:50412|2026-03-05T11:00:00.000000Z|2026-03-05T11:10:00.000000Z
bob|app_reader|shop|10.0.0.7:50412|2026-03-05T11:03:00.000000Z|2026-03-05T11:13:00.000000Z
eve|app_admin|shop|10.0.0.7:50412|2026-03-05T11:04:00.000000Z|`,
	`bob|app_reader|2026-03-05T11:03:00.000000Z
eve|app_admin|2026-03-05T11:04:00.000000Z`,
	`2026-03-05T11:00:01.001500Z|ann|app_writer|select name from customers where id = $1
2026-03-05T11:00:02.001500Z|ann|app_writer|grant select on customers to bob
2026-03-05T11:03:01.001500Z|bob|app_reader|create table customers_copy ()`,
	`2026-03-05T11:00:02.001500Z|ann|app_writer|GRANT|grant select on customers to bob
2026-03-05T11:03:01.001500Z|bob|app_reader|CREATE TABLE|create table customers_copy ()`,
	`22012|1|1|division by zero`,
	`refused|bad_password|3|2026-03-05T11:02:00.000000Z
ended|backend_gone|1|2026-03-05T11:03:00.000000Z`,
	`2026-03-05T11:00:00.000000Z|log.read|root|--since 1h
2026-03-05T11:00:00.000000Z|log.gap||unwritable`,
}

func TestDocumentedQuestionsAreAnswered(t *testing.T) {
	path := asked(t)
	ask := map[string]func(*testing.T, string, string) string{"the driver": askDriver}
	if shell, err := exec.LookPath("sqlite3"); err == nil {
		ask["sqlite3"] = func(t *testing.T, path, question string) string { return askShell(t, shell, path, question) }
	} else {
		t.Log("there is no sqlite3: only the driver is asked")
	}
	questions := strings.Split(strings.TrimSpace(documented(t, "sql")), ";")
	if len(questions) != len(answers)+1 {
		t.Fatalf("%d questions, %d answers", len(questions)-1, len(answers))
	}
	for i, want := range answers {
		for who, ask := range ask {
			if got := strings.TrimSpace(ask(t, path, questions[i])); got != want {
				t.Errorf("%s by %s:\n%s\nwant\n%s", strings.TrimSpace(questions[i]), who, got, want)
			}
		}
	}
}

func askShell(t *testing.T, shell, path, question string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell, "-readonly", path)
	cmd.Stdin = strings.NewReader(question + ";")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// askDriver prints as sqlite3 does.
func askDriver(t *testing.T, path, question string) string {
	t.Helper()
	rows, err := raw(t, path).QueryContext(t.Context(), question)
	if err != nil {
		t.Errorf("%s: %v", question, err)
		return ""
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = shellCell(v)
		}
		fmt.Fprintln(&out, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	return out.String()
}

func shellCell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
