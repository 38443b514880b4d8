package cmd

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/store"
)

// What --output and --html name is written as people mean it, and never the log.
func TestOutputFiles(t *testing.T) {
	log := fixedLog(t)
	at := func(name string) string { return filepath.Join(log.env.Dir, name) }
	export := func(to string) outcome { return gprxy(t, log.env, "audit", "export", "--output", to) }

	if err := os.WriteFile(at("report"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("report"), at("link")); err != nil {
		t.Fatal(err)
	}
	if got := export(at("link")); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if info, err := os.Lstat(at("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if b, err := os.ReadFile(at("report")); err != nil || !strings.HasPrefix(string(b), `{"seq":1,`) {
		t.Errorf("the file that the link names: %.20q, %v", b, err)
	}

	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		pipe, err := os.Open(at("pipe"))
		if err != nil {
			read <- err.Error()
			return
		}
		defer pipe.Close()
		b, err := io.ReadAll(pipe)
		read <- string(b)
		if err != nil {
			t.Error(err)
		}
	}()
	if got := export(at("pipe")); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if b := <-read; !strings.HasPrefix(b, `{"seq":1,`) {
		t.Errorf("through a pipe came %.20q", b)
	}

	if err := os.Symlink(log.path, at("shortcut")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{log.path, log.path + "-wal", log.path + ".lock", at("shortcut")} {
		for _, got := range []outcome{export(to), gprxy(t, log.env, "audit", "report", "--no-verify", "--html", to)} {
			if got.code != 1 || !strings.Contains(got.err, "belongs to the event log") {
				t.Errorf("%s: %+v", to, got)
			}
		}
	}
	if got := export(log.env.Dir); got.code != 1 || !strings.Contains(got.err, "is a directory") {
		t.Errorf("a directory: %+v", got)
	}
	if got := gprxy(t, log.env, "audit", "--event-log", log.env.Dir); got.code != 1 ||
		!strings.Contains(got.err, filepath.Join(log.env.Dir, "events.db")) {
		t.Errorf("a directory as the log: %+v", got)
	}
}

// Names that strangers chose do nothing to a terminal, a spreadsheet, or the page around them.
func TestNamesFromStrangers(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	at := func(id string, f store.Fact) store.Event {
		return store.Event{Time: time.Date(2026, 3, 5, 11, 0, 0, 0, time.UTC), Session: id, Fact: f}
	}
	for id, name := range map[string]string{"a": "\n=1+1", "b": "＝cmd", "c": "\x1b[2J\u202eoof", "d": "plain"} {
		appendEvents(t, db, at(id, store.SessionConnected{Client: "10.0.0.1:1", RequestedUser: "wish-" + name, Database: "shop",
			ApplicationName: "app-" + name, Protocol: "3.0"}),
			at(id, store.AuthSucceeded{Method: "token", User: name}), at(id, store.SessionRefused{SQLState: "42501", Reason: "no_role"}))
	}
	closeStore(t, db)
	if out := gprxyOn(t, 200, env, "audit", "--csv").out; strings.ContainsAny(out, "\x1b\u202e") || !strings.Contains(out, "'＝cmd") ||
		!strings.Contains(out, "oof") {
		t.Errorf("on a terminal: %q", out)
	}
	if out := gprxy(t, env, "audit", "--csv").out; !strings.Contains(out, "\"'\n=1+1\"") {
		t.Errorf("in a file: %q", out)
	}
	page := filepath.Join(env.Dir, "page.html")
	if got := gprxy(t, env, "audit", "report", "--html", page); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if b, err := os.ReadFile(page); err != nil || strings.ContainsAny(string(b), "\x1b\u202e") || !strings.Contains(string(b), "oof") {
		t.Errorf("the page: %v", err)
	}
	wished := 0
	for line := range strings.Lines(gprxy(t, env, "audit", "export", "--format", "ocsf").out) {
		var e struct {
			Unmapped struct {
				User    string `json:"requested_user"`
				Program string `json:"application_name"`
			} `json:"unmapped"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Unmapped.User, "wish-") && strings.HasPrefix(e.Unmapped.Program, "app-") {
			wished++
		}
	}
	if wished != 8 {
		t.Errorf("%d of 8 events tell what was asked for", wished)
	}
}

// A statement that does not fit into a table is whole in a file.
func TestLongStatementsArePipedWhole(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	appendEvents(t, db, store.Event{Session: "a", Fact: store.StatementsExecuted{Statements: []store.Statement{
		{Kind: store.KindSimple, SQL: "select 1 " + strings.Repeat(" ", 10_000) + "\n, 'the end'", Start: time.Now()}}}})
	closeStore(t, db)
	if out := gprxy(t, env, "audit").out; !strings.Contains(out, "select 1 , 'the end'") {
		t.Errorf("%q", out)
	}
}
