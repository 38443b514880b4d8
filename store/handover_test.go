// A proxy that ends and the next one, both on the same log.

package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func states(t *testing.T, path string) string {
	t.Helper()
	var list []string
	for _, s := range all(t, reader(t, path).Sessions(t.Context(), SessionFilter{})) {
		list = append([]string{s.Session + " " + s.State}, list...)
	}
	return strings.Join(list, ", ")
}

func TestHandOver(t *testing.T) {
	path := logPath(t)
	old := open(t, path, Options{})
	mustAppend(t, old, Event{Time: t0, Fact: ProxyStarted{Version: "1", Durability: DurabilityAsync}})
	mustAppend(t, old, login("s1", "ann", "app_reader", at(1))...)
	mustAppend(t, old, login("s2", "bob", "app_reader", at(2))...)
	if err := old.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := open(t, path, Options{})
	mustAppend(t, next, Event{Time: t0, Fact: ProxyStarted{Version: "2"}})
	mustAppend(t, next, login("s3", "cid", "app_reader", at(3))...)
	mustAppend(t, next, login("s4", "dan", "app_reader", at(4))...)
	mustAppend(t, old, end("s1", at(5)))
	mustAppend(t, old, login("s5", "eve", "app_reader", at(6))...) // was just arriving
	mustAppend(t, next, end("s3", at(7)))
	if got, want := states(t, path), "s1 ended, s2 active, s3 ended, s4 active, s5 active"; got != want {
		t.Errorf("while both run: %s, want %s", got, want)
	}
	// The old one is killed now: it ends no session, its locks go.
	if err := old.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "s1 ended, s2 aborted, s3 ended, s4 active, s5 aborted"
	for deadline := time.Now().Add(10 * time.Second); states(t, path) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("afterwards: %s, want %s", states(t, path), want)
		}
	}
	mustAppend(t, next, end("s4", at(8)))
	gaps := all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.gap"}))
	if len(gaps) != 1 || !strings.Contains(string(gaps[0].Detail), `"sessions":2`) {
		t.Errorf("what the old one may not have recorded: %+v", gaps)
	}
	verified(t, path)
}

func TestOnlyOneProxyLeavesAtATime(t *testing.T) {
	path := logPath(t)
	first := open(t, path, Options{})
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := open(t, path, Options{})
	err := second.Leave(t.Context())
	if locked, ok := errors.AsType[*LockedError](err); !ok || !locked.Leaving {
		t.Errorf("two leave: %v", err)
	}
	_, err = Open(t.Context(), path, Options{})
	if locked, ok := errors.AsType[*LockedError](err); !ok || locked.Leaving {
		t.Errorf("a third opens: %v", err)
	}
	mustAppend(t, second, login("s1", "ann", "app_reader", at(1))...)
	if err := errors.Join(first.Close(t.Context()), second.Close(t.Context())); err != nil {
		t.Error(err)
	}
	open(t, path, Options{})
}

// A file is not brought up to date under a program that writes its older form.
func TestNoMigrationDuringAHandOver(t *testing.T) {
	path := logPath(t)
	old := open(t, path, Options{})
	if err := old.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	alter(t, db, "PRAGMA user_version = 1")
	_, err := Open(t.Context(), path, Options{})
	if locked, ok := errors.AsType[*LockedError](err); !ok || !locked.Leaving || !strings.Contains(err.Error(), "when it has ended") {
		t.Errorf("open: %v", err)
	}
}
