package store

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A read transaction that somebody else holds lets the write-ahead log grow: that is told once, with its size, and told when
// it is over.
func TestAGrowingWriteAheadLogIsTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	var said logBuffer
	const limit = 256 << 10
	d := open(t, path, Options{
		Log:      slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo})),
		walLimit: limit, walLook: time.Nanosecond, retryEvery: 5 * time.Millisecond,
	})
	grow := func() {
		for range 8 {
			mustAppend(t, d, Event{Session: "s", Fact: SessionRefused{SQLState: "08P01", Reason: "x", Message: strings.Repeat("x", 50_000)}})
		}
	}
	grow()
	if said.count("write-ahead") > 0 {
		t.Error("it is told although nobody reads")
	}

	other, conn, err := openConn(t.Context(), path, "ro", "query_only(on)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN; SELECT count(*) FROM events"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		grow()
	}
	const grows, free = "another program holds a read transaction", "is free again"
	if said.count(grows) != 1 || said.count("level=WARN") != 1 || said.count("size=") != 1 || said.count(path+"-wal") != 1 ||
		said.count(free) != 0 {
		t.Errorf("while it is held: %q", said.b.String())
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); said.count(free) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody reads any more, and that is not told")
		}
	}
	grow()
	if said.count(grows) != 1 {
		t.Errorf("told %d times", said.count(grows))
	}
}
