package session_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/session/relay"
	"gprxy/store"
)

// smallDisk mounts a file system of 4 MB. fill leaves no room on it, free gives the room back.
func smallDisk(t *testing.T) (dir string, fill, free func()) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("gprxy-test", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("needs a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		file, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for page := make([]byte, 4096); err == nil; {
			_, err = file.Write(page)
		}
	}
	free = func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fill, free
}

// A disk that is full lets nobody in and cuts nobody off; what happened
// meanwhile is in the log once there is room, in a chain without a break.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := smallDisk(t)
	p := startProxy(t, recordingAs(relay.RecordText), func(o *options) { o.folder = dir })
	conn := rawSession(t, p, "READER")
	fill()
	sent := 0
	for deadline := time.Now().Add(20 * time.Second); p.events.Healthy() == nil; sent++ {
		send(t, conn, query(fmt.Sprintf("select %d /* %s */", sent, strings.Repeat("x", 1000))))
		receiveUntil(t, conn, 'Z')
		if time.Now().After(deadline) {
			t.Fatalf("the log is still written after %d statements", sent)
		}
	}
	for range 20 {
		send(t, conn, query(fmt.Sprintf("select %d /* %s */", sent, strings.Repeat("x", 1000))))
		if got := rows(receiveUntil(t, conn, 'Z')); len(got) != 1 {
			t.Fatalf("a running session got %q", got)
		}
		sent++
	}
	if answer := refused(t, p.dsn("bob", token("bob@example.com", "reader"))); answer.Code != "58030" || answer.Hint == "" {
		t.Errorf("answer %+v", answer)
	}
	free()
	eventually(t, "there is room, and all is in the log", 30*time.Second, func() bool {
		return p.events.Healthy() == nil && len(p.statements()) == sent
	})
	for n, s := range p.statements() {
		if !strings.HasPrefix(s.SQL, fmt.Sprintf("select %d ", n)) {
			t.Fatalf("statement %d is %.20q", n, s.SQL)
		}
	}
	connect(t, p.dsn("bob", token("bob@example.com", "reader")))
}

// Strict: with the disk full nothing reaches PostgreSQL without its record.
func TestAFullDiskInStrictMode(t *testing.T) {
	t.Parallel()
	admin(t, "create table inserted (n int)")
	admin(t, "grant all on inserted to app_writer")
	t.Cleanup(func() { admin(t, "drop table inserted") })
	dir, fill, free := smallDisk(t)
	p := startProxy(t, recordingAs(relay.RecordText), func(o *options) { o.folder, o.session.Statements.Strict = dir, true })
	conn := rawSession(t, p, "WRITER")
	fill()
	inserted, answer := 0, ""
	for deadline := time.Now().Add(30 * time.Second); ; inserted++ {
		send(t, conn, query(fmt.Sprintf("insert into inserted values (%d) /* %s */", inserted, strings.Repeat("x", 1000))))
		if answer = untilReadyOrGone(t, conn); !strings.Contains(answer, "INSERT 0 1") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d statements ran on a full disk", inserted)
		}
	}
	if !strings.Contains(answer, "SFATAL\x00") || !strings.Contains(answer, "C58030\x00") {
		t.Errorf("got %q, want 58030", answer)
	}
	if got := admin(t, "select count(*) from inserted"); got != fmt.Sprint(inserted) {
		t.Errorf("%s rows are in the table, %d statements were answered", got, inserted)
	}
	free()
	eventually(t, "there is room", 30*time.Second, func() bool { return p.events.Healthy() == nil })
	p.untilAllEnded()
	ran, refusals := 0, 0
	for _, s := range p.statements() {
		switch {
		case s.Outcome == store.OutcomeSkipped && s.SQLState == "58030":
			refusals++
		case s.Tag == "INSERT":
			ran++
		}
	}
	if ran != inserted || refusals != 1 {
		t.Errorf("%d statements recorded that ran and %d that were refused, want %d and 1", ran, refusals, inserted)
	}
}

// untilReadyOrGone reads what the proxy says up to a ReadyForQuery or the end.
func untilReadyOrGone(t *testing.T, conn net.Conn) string {
	t.Helper()
	var all strings.Builder
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(conn, head); err != nil {
			return all.String()
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatalf("after %q: %v", all.String(), err)
		}
		all.Write(body)
		if head[0] == 'Z' {
			return all.String()
		}
	}
}
