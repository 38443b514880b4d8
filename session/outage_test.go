package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// No record, no access. While the log cannot be written nobody is let in and
// nothing reaches the database; who is in stays in; it heals by itself, and what
// happened meanwhile is recorded then.
func TestNoRecordNoAccess(t *testing.T) {
	p := startProxy(t)
	inside := rawSession(t, p, "reader")
	folder := filepath.Dir(p.log)
	away := folder + ".away"
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	back := func() {
		if err := os.Rename(away, folder); err != nil {
			t.Fatal(err)
		}
	}
	logins := func() int { return strings.Count(postgres.Log(), "connection received: host=127.0.0.1") }
	before := logins()
	if before == 0 {
		t.Fatal("PostgreSQL's log does not show connections")
	}
	for _, password := range []string{alicePassword, token("bob@example.com", "reader"), "wrong"} {
		answer := refused(t, p.dsn("alice", password))
		if answer.Code != "58030" || answer.Hint == "" {
			t.Errorf("answer %+v", answer)
		}
	}
	if after := logins(); after != before {
		t.Errorf("PostgreSQL saw %d connections, %d before the refused logins", after, before)
	}
	send(t, inside, query("select 1"))
	if got := rows(receiveUntil(t, inside, 'Z')); len(got) != 1 {
		t.Errorf("a running session got %q", got)
	}
	send(t, inside, message('X', ""))
	readAll(t, inside)
	waitIdle(t, p)

	back()
	eventually(t, "the log can be written again", 20*time.Second, func() bool { return p.events.Healthy() == nil })
	connect(t, p.dsn("eve", token("eve@example.com", "reader")))
	if got := len(p.records("session.ended")); got != 1 {
		t.Errorf("%d ends recorded, want the one during the outage", got)
	}
	refusals := 0
	for _, s := range p.sessions() {
		if s.EndReason == "event_log_unavailable" {
			refusals++
		}
	}
	if refusals != 3 {
		t.Errorf("%d refusals recorded, want the 3 during the outage", refusals)
	}
}

// An idle backend hears nothing of a login that could not be recorded.
func TestAnIdleBackendHearsNothingOfALoginThatIsNotRecorded(t *testing.T) {
	p := startProxy(t)
	pid := connectAndLeave(t, p)
	heard := func() string {
		return admin(t, fmt.Sprintf("SELECT state_change FROM pg_stat_activity WHERE pid = %d", pid))
	}
	before := heard()
	folder := filepath.Dir(p.log)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if answer := refused(t, p.dsn("bob", token("bob@example.com", "reader"))); answer.Code != "58030" {
			t.Errorf("answer %+v", answer)
		}
	}
	if after := heard(); after != before || before == "" {
		t.Errorf("the backend's state changed at %q, then at %q", before, after)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log can be written again", 20*time.Second, func() bool { return p.events.Healthy() == nil })
	if next := connectAndLeave(t, p); next != pid {
		t.Errorf("the idle backend %d was not kept, the next login has %d", pid, next)
	}
}

// connectAndLeave returns the pid of the backend that it leaves idle.
func connectAndLeave(t *testing.T, p *proxy) uint32 {
	conn := connect(t, p.dsn("bob", token("bob@example.com", "reader")))
	pid := conn.PgConn().PID()
	conn.Close(t.Context())
	waitIdle(t, p)
	return pid
}
