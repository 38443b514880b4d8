// The compliance review and the export, through the command line.

package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/cmd/export"
	"gprxy/store"
)

// reportLog is fixedLog with statements, a gap, and somebody who calls herself what a page must not run.
func reportLog(t *testing.T) testLog {
	t.Helper()
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"HOME=" + env.Dir, "EVENT_LOG=" + path}
	db := openStore(t, path)
	appendEvents(t, db, fixedEvents()...)
	const a, e = "06d3k2p8w1zvq4ta", "06d3k2p8w1zvq4te"
	at := noon.Add(2 * time.Minute)
	appendEvents(t, db,
		store.Event{Time: at, Session: e, Fact: store.SessionConnected{Client: "[2001:db8::1]:9", RequestedUser: "eve", Database: "shop",
			ApplicationName: "<script>alert(1)</script>", Protocol: "3.0"}},
		store.Event{Time: at, Session: e, Fact: store.AuthSucceeded{Method: "token", User: "eve@example.com"}},
		store.Event{Time: at, Session: e, Fact: store.RoleMapped{Role: "writer", ServiceAccount: "app_writer", Rule: "priority"}},
		store.Event{Time: at, Session: e, Fact: store.SessionStarted{ServiceAccount: "app_writer", BackendPID: 9, Backend: "127.0.0.1:5432"}},
		store.Event{Session: e, Fact: store.StatementsExecuted{Statements: []store.Statement{
			{Kind: store.KindSimple, SQL: "select 1", Tag: "SELECT", Rows: 1, Start: at, US: 1500},
			{Kind: store.KindExtended, SQL: "delete from t where n = $1", Parsed: true, Params: []store.Param{{Text: "7"}}, SQLState: "42501",
				Message: "permission denied", Outcome: store.OutcomeError, Start: at, US: 10},
		}}},
		store.Event{Time: at.Add(time.Second), Session: e, Fact: store.SessionEnded{Reason: "backend_gone", Statements: 2, Errors: 1}},
		store.Event{Time: at, Fact: store.CancelForwarded{Client: "10.0.0.1:1", BackendPID: 9}},
		store.Event{Time: at, Fact: store.LogGap{Since: noon, Until: at, Reason: store.GapUnwritable, Lost: 3}},
	)
	closeStore(t, db)
	return testLog{env, path}
}

func TestReport(t *testing.T) {
	log := reportLog(t)
	got := gprxy(t, log.env, "audit", "report")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		"sessions   3 of 3 people on 2 service accounts; 1 refused\n", "chain      intact, ",
		"app_writer         2           5       1  2026-03-05 11:00:01  2026-03-05 11:02:00  alice@example.com (1), eve@example.com (1)",
		"bad token ", "unknown key ", "forwarded ", "backend gone ", "GAP: could not be written since 2026-03-05 11:00:00",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, "first time") {
		t.Error("without --since all pairs are new, and none should be told")
	}
	if empty := gprxy(t, log.env, "audit", "report", "--since", "2030-01-01", "--until", "2030-02-01"); empty.code != 0 ||
		!strings.Contains(empty.out, "no session was served") {
		t.Errorf("a time without sessions: %+v", empty)
	}
	for line, wrong := range map[string]string{
		"--since 1h --until 2h": "is not before", "--json --html x": "exclude each other", "--since yesterday": "not understood",
	} {
		if got := gprxy(t, log.env, append([]string{"audit", "report"}, strings.Fields(line)...)...); got.code != 2 ||
			!strings.Contains(got.err, wrong) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	log := reportLog(t)
	got := gprxy(t, log.env, "audit", "report", "--json", "--since", noon.Add(time.Minute).Format(time.RFC3339))
	var r struct {
		Accounts []struct {
			Account string `json:"service_account"`
			People  []store.Share
		}
		NewPairs []store.Pair `json:"new_pairs"`
		Chain    struct{ Verified bool }
		Log      struct{ Gaps []store.Gap }
	}
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if len(r.Accounts) != 1 || r.Accounts[0].Account != "app_writer" || len(r.Accounts[0].People) != 1 {
		t.Errorf("accounts %+v", r.Accounts)
	}
	if len(r.NewPairs) != 1 || r.NewPairs[0].User != "eve@example.com" {
		t.Errorf("new pairs %+v", r.NewPairs)
	}
	if !r.Chain.Verified || len(r.Log.Gaps) != 1 || r.Log.Gaps[0].Lost != 3 {
		t.Errorf("chain %+v, gaps %+v", r.Chain, r.Log.Gaps)
	}
	for _, list := range []string{"refusals", "abnormal", "cancels", "days", "condensed", "readers", "pruned"} {
		if strings.Contains(got.out, `"`+list+`":null`) {
			t.Errorf("the list %s is null", list)
		}
	}
}

// A page shows what strangers wrote, and runs nothing of it.
func TestReportAsPage(t *testing.T) {
	log := reportLog(t)
	page := filepath.Join(t.TempDir(), "review.html")
	if got := gprxy(t, log.env, "audit", "report", "--html", page); got.code != 0 || got.out != "" || !strings.Contains(got.err, page) {
		t.Fatalf("%+v", got)
	}
	info, err := os.Stat(page)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, want := range []string{"eve@example.com", "&lt;script&gt;alert(1)&lt;/script&gt;", "Content-Security-Policy",
		"default-src &#39;none&#39;", "is intact", "<svg"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, never := range []string{"<script>alert", "http://", "https://", "ZgotmplZ", "\x1b"} {
		if strings.Contains(text, never) {
			t.Errorf("%q is in the page", never)
		}
	}
	missing := filepath.Join(t.TempDir(), "no", "such", "folder.html")
	if got := gprxy(t, log.env, "audit", "report", "--html", missing); got.code != 1 || !strings.Contains(got.err, missing) {
		t.Errorf("%+v", got)
	}
}

// A log that was changed is no ground for a review.
func TestReportOfABrokenLog(t *testing.T) {
	log := reportLog(t)
	tamper(t, log.path, `UPDATE events SET body = replace(body, 'shop', 'shed') WHERE seq = 2`)
	if got := gprxy(t, log.env, "audit", "report"); got.code != 1 || got.out != "" || !strings.Contains(got.err, "seq 2") &&
		!strings.Contains(got.err, "event 2") {
		t.Errorf("%+v", got)
	}
	if got := gprxy(t, log.env, "audit", "report", "--no-verify"); got.code != 0 || !strings.Contains(got.out, "not checked") {
		t.Errorf("%+v", got)
	}
}

func TestExport(t *testing.T) {
	log := reportLog(t)
	lines := func(args ...string) []string {
		t.Helper()
		got := gprxy(t, log.env, append([]string{"audit", "export"}, args...)...)
		if got.code != 0 {
			t.Fatalf("%v: %+v", args, got)
		}
		return strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	}
	all := lines()
	if direct := gprxy(t, log.env, "audit", "--json", "--limit", "0"); !slices.Equal(all[:20], strings.Split(direct.out, "\n")[:20]) {
		t.Error("jsonl is not what audit --json prints")
	}
	if csv := lines("--format", "csv"); csv[0] != strings.Join(export.Fields, ",") || len(csv) != len(all)+3 { // two readings and the header
		t.Errorf("%d lines of csv, %d of jsonl", len(csv), len(all))
	}
	if some := lines("--user", "eve@example.com"); len(some) != 7 {
		t.Errorf("%d events of eve: %s", len(some), strings.Join(some, "\n"))
	}
	file := filepath.Join(t.TempDir(), "out.jsonl")
	if got := gprxy(t, log.env, "audit", "export", "-o", file, "--limit", "3"); got.code != 0 || got.out != "" ||
		!strings.Contains(got.err, "exported 3 events") {
		t.Errorf("%+v", got)
	}
	if content, err := os.ReadFile(file); err != nil || strings.Count(string(content), "\n") != 3 {
		t.Errorf("%q, %v", content, err)
	}
	if got := gprxy(t, log.env, "audit", "export", "--format", "xml"); got.code != 2 || !strings.Contains(got.err, "jsonl, csv, ocsf") {
		t.Errorf("%+v", got)
	}
}

// ocsfRequired are the attributes that OCSF 1.3.0 requires of a class and of the objects in it, from
// https://schema.ocsf.io/1.3.0/classes/authentication, .../account_change and .../datastore_activity. A list of lists:
// at least one of each. The actor of an account's change is only recommended there, but what the event is for.
var ocsfRequired = map[int][][]string{
	3001: {{"activity_id"}, {"category_uid"}, {"class_uid"}, {"metadata.product.vendor_name"}, {"metadata.version"}, {"severity_id"},
		{"time"}, {"type_uid"},
		{"user.name", "user.uid"}, {"actor.user.name", "actor.user.uid"}},
	3002: {{"activity_id"}, {"category_uid"}, {"class_uid"}, {"metadata.product.vendor_name"}, {"metadata.version"}, {"severity_id"},
		{"time"}, {"type_uid"},
		{"user.name", "user.uid"}, {"service.name", "dst_endpoint.ip"}},
	6005: {{"activity_id"}, {"category_uid"}, {"class_uid"}, {"metadata.product.vendor_name"}, {"metadata.version"}, {"severity_id"},
		{"time"}, {"type_uid"},
		{"actor.user.name", "actor.user.uid"}, {"src_endpoint.ip", "src_endpoint.name"}, {"database.name"}, {"database.type_id"}},
}

func TestExportAsOCSF(t *testing.T) {
	log := reportLog(t)
	got := gprxy(t, log.env, "audit", "export", "--format", "ocsf")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	seen := map[string]int{}
	for line := range strings.Lines(got.out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		class := int(e["class_uid"].(float64))
		required, known := ocsfRequired[class]
		if !known {
			t.Errorf("class %d: %s", class, line)
		}
		for _, one := range required {
			if !slices.ContainsFunc(one, func(path string) bool { return within(e, path) != nil }) {
				t.Errorf("%v is missing in %s", one, line)
			}
		}
		number := func(name string) int { return int(e[name].(float64)) }
		if number("type_uid") != class*100+number("activity_id") || number("category_uid") != class/1000 {
			t.Errorf("numbers that do not belong together: %s", line)
		}
		if at := time.UnixMilli(int64(e["time"].(float64))).UTC(); at.Year() != 2026 {
			t.Errorf("time %v", at)
		}
		if query := within(e, "query_info"); query != nil && within(e, "query_info.query_string") == nil {
			t.Errorf("a query without its text: %s", line)
		}
		seen[fmt.Sprint(number("type_uid"), " ", e["status"])]++
	}
	want := map[string]int{"300201 Success": 3, "300201 Failure": 1, "300202 Success": 3, "600503 Success": 3, "600503 Failure": 1,
		"600504 Success": 1, "600504 Failure": 1}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", seen, want)
	}
}

// Who altered whose account, and what of it, is a class of its own.
func TestExportOfAlteredAccountsAsOCSF(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	facts := []store.Fact{
		store.SessionConnected{Client: "10.0.0.1:1", RequestedUser: "eve", Database: "shop", Protocol: "3.0"},
		store.AuthSucceeded{Method: "token", User: "eve@example.com"},
		store.SessionStarted{ServiceAccount: "app_writer", BackendPID: 9, Backend: "127.0.0.1:5432"},
		store.AccountAltered{Account: "app_writer", ServiceAccount: "app_writer", What: []string{store.AlteredLogin, store.AlteredPassword},
			Tag: "ALTER ROLE"},
		store.AccountAltered{Account: "app_reader", ServiceAccount: "app_writer", What: []string{store.AlteredRights}, Tag: "DO"},
		store.AccountAltered{ServiceAccount: "app_writer", What: []string{store.AlteredUnknown}, Tag: "ALTER ROLE"},
	}
	for _, f := range facts {
		appendEvents(t, db, store.Event{Time: noon, Session: "a", Fact: f})
	}
	closeStore(t, db)
	var told []string
	for line := range strings.Lines(gprxy(t, env, "audit", "export", "--format", "ocsf").out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e["class_uid"] != 3001.0 {
			continue
		}
		for _, one := range ocsfRequired[3001] {
			if !slices.ContainsFunc(one, func(path string) bool { return within(e, path) != nil }) {
				t.Errorf("%v is missing in %s", one, line)
			}
		}
		told = append(told, fmt.Sprint(e["type_uid"], " ", e["activity_name"], " ", e["status"], " ", e["severity"], ": ",
			within(e, "actor.user.name"), " ", within(e, "user.name"), " ",
			within(e, "user.type"), " ", within(e, "unmapped.altered"), " ", within(e, "unmapped.command_tag"), " ", within(e, "actor.session.uid"),
			" ", within(e, "src_endpoint.ip")))
	}
	want := []string{
		"300103 Password Change Success Medium: eve@example.com app_writer Service [login password] ALTER ROLE a 10.0.0.1",
		"300199 Alter Unknown Medium: eve@example.com app_reader <nil> [rights] DO a 10.0.0.1",
		"300199 Alter Success Medium: eve@example.com unknown <nil> [unknown] ALTER ROLE a 10.0.0.1",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// within gives what stands at a path of an object, nil for nothing.
func within(object map[string]any, path string) any {
	name, rest, deeper := strings.Cut(path, ".")
	value := object[name]
	if inner, ok := value.(map[string]any); ok && deeper {
		return within(inner, rest)
	}
	if deeper || value == "" {
		return nil
	}
	return value
}
