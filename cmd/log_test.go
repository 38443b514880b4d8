// A real event log with a known content, for the tests of the commands that read it.

package cmd

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

// testLog is a log file with a known content.
type testLog struct {
	env  Environment
	path string
}

// noon is the time of the first event; the clock of the tests stands at 12:00 of the same day.
var noon = time.Date(2026, 3, 5, 11, 0, 0, 123456000, time.UTC)

// fixedLog has a token session that ended, a refused one, a password session that still runs, and one
// whose client tried to write to the terminal.
func fixedLog(t *testing.T) testLog {
	t.Helper()
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"HOME=" + env.Dir, "EVENT_LOG=" + path}
	db := openStore(t, path)
	appendEvents(t, db, fixedEvents()...)
	t.Cleanup(func() { closeStore(t, db) }) // before the clean-up the proxy runs
	return testLog{env, path}
}

func openStore(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path, store.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeStore(t *testing.T, db *store.DB) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := db.Close(ctx); err != nil {
		t.Error(err)
	}
}

func appendEvents(t *testing.T, db *store.DB, events ...store.Event) {
	t.Helper()
	if err := db.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func fixedEvents() []store.Event {
	expires := noon.Add(time.Hour)
	at := func(seconds int, session string, f store.Fact) store.Event {
		return store.Event{Time: noon.Add(time.Duration(seconds) * time.Second), Session: session, Fact: f}
	}
	const a, b, c, d = "06d3k2p8w1zvq4ta", "06d3k2p8w1zvq4tb", "06d3k2p8w1zvq4tc", "06d3k2p8w1zvq4td"
	return []store.Event{
		at(0, "", store.ProxyStarted{Version: "1.0", Listen: "127.0.0.1:7777", Upstream: "localhost:5432", PID: 42}),
		at(1, a, store.SessionConnected{Client: "10.0.0.1:4000", RequestedUser: "alice", Database: "shop", ApplicationName: "psql",
			TLS: "TLSv1.3", Protocol: "3.0"}),
		at(1, a, store.AuthSucceeded{Method: "token", User: "alice@example.com", Issuer: "https://i", Subject: "s",
			Roles: []string{"reader", "writer"}, TokenID: "t1", TokenExpires: &expires}),
		at(1, a, store.RoleMapped{Role: "writer", ServiceAccount: "app_writer", Rule: "priority"}),
		at(2, a, store.SessionStarted{ServiceAccount: "app_writer", BackendPID: 4711, Backend: "127.0.0.1:5432", WaitMS: 12.5, Reused: true}),
		at(3, b, store.SessionConnected{Client: "10.0.0.2:4000", RequestedUser: "mallory", Database: "shop", Protocol: "3.0"}),
		at(3, b, store.AuthFailed{Method: "token", Reason: "expired", Detail: "since 3m"}),
		at(3, b, store.SessionRefused{SQLState: "28P01", Reason: "bad_token", Message: "authentication failed"}),
		at(4, c, store.SessionConnected{Client: "10.0.0.3:4000", RequestedUser: "bob", Database: "shop", Protocol: "3.0"}),
		at(4, c, store.AuthSucceeded{Method: "password", User: "bob"}),
		at(4, c, store.RoleMapped{ServiceAccount: "svc", Rule: "password"}),
		at(4, c, store.SessionStarted{ServiceAccount: "svc", BackendPID: 4712, Backend: "127.0.0.1:5432", WaitMS: 1}),
		at(5, "", store.CancelRejected{Client: "10.9.9.9:1", BackendPID: 4711, Reason: "unknown_key"}),
		at(6, d, store.SessionConnected{Client: "10.0.0.4:4000", RequestedUser: "x\x1b[2J\u202eeve", Database: "=cmd()", Protocol: "3.0"}),
		at(6, d, store.SessionEnded{Reason: "left_while_waiting", DurationMS: 3}),
		at(64, a, store.SessionEnded{Reason: "client_closed", DurationMS: 63000, Statements: 3, Rows: 1234, BytesIn: 100, BytesOut: 2000}),
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

func lines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var objects []map[string]any
	for line := range strings.Lines(out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		objects = append(objects, o)
	}
	return objects
}
