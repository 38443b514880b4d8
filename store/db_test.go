// Opening, appending, and who may do so.

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAppendStoresContiguousChainedEvents(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Time: t0, Fact: ProxyStarted{Version: "1"}})
	mustAppend(t, d, append(login("s1", "ann", "app_reader", t0), end("s1", t0.Add(time.Second)))...)
	mustAppend(t, d) // nothing is nothing

	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{}))
	var types []string
	for i, rec := range recs {
		if rec.Seq != int64(i+1) {
			t.Errorf("record %d has seq %d", i, rec.Seq)
		}
		types = append(types, rec.Type)
	}
	wantEqual(t, "types", types, []string{"proxy.started", "session.connected", "auth.succeeded", "role.mapped", "session.started",
		"session.ended"})
	last := recs[len(recs)-1]
	if last.User != "ann" || last.ServiceAccount != "app_reader" || last.Database != "shop" || last.Client != "10.0.0.7:50412" {
		t.Errorf("session of the last record: %+v", last)
	}
	if h := verified(t, path); h.Seq != 6 || h.Events != 6 || h.Hash != last.Hash {
		t.Errorf("head %+v", h)
	}
}

func TestThirtyTwoWritersShareCommits(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := sessionID(w*each + i)
				if err := d.Append(t.Context(), login(id, "ann", "app_reader", t0)...); err != nil {
					t.Error(err)
				}
				d.Enqueue(end(id, t0.Add(time.Second)))
			}
		})
	}
	wg.Wait()
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := verified(t, path); h.Events != writers*each*5 {
		t.Errorf("%d events", h.Events)
	}
	if d.commits >= writers*each {
		t.Errorf("%d commits for %d appends: no group commit", d.commits, writers*each)
	}
	t.Logf("%d appends and as many deferred ends in %d commits", writers*each, d.commits)
	assertContiguous(t, path)
}

// assertContiguous checks that each login's four events stand next to each other.
func assertContiguous(t *testing.T, path string) {
	t.Helper()
	recs := all(t, reader(t, path).Events(t.Context(), EventFilter{}))
	for i, rec := range recs {
		if rec.Type == "session.connected" && (recs[i+3].Session != rec.Session || recs[i+3].Type != "session.started") {
			t.Fatalf("seq %d: the login of %s was torn apart", rec.Seq, rec.Session)
		}
	}
}

func TestOneProxyPerFile(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	_, err := Open(t.Context(), path, Options{})
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.PID != os.Getpid() || !strings.Contains(err.Error(), "EVENT_LOG") {
		t.Fatalf("second open: %v", err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, open(t, path, Options{}), Event{Fact: ProxyStopped{}})
	if err := d.Append(t.Context(), Event{Fact: ProxyStopped{}}); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	path := filepath.Join(t.TempDir(), "new", "events.db")
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Fact: ProxyStopped{}})
	for file, want := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + ".lock": 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", file, info.Mode().Perm(), err, want)
		}
	}
}

func TestOddPathsAreOnlyPaths(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory&x=%41#y", "events.db")
	mustAppend(t, open(t, path, Options{}), Event{Fact: ProxyStopped{}})
	if h := verified(t, path); h.Events != 1 {
		t.Errorf("%d events", h.Events)
	}
}

func TestRestartEndsSessionsOfACrash(t *testing.T) {
	path := logPath(t)
	a := appenderOn(t, path)
	var batch []Event
	for i := range 3 {
		batch = append(batch, login(sessionID(i), "ann", "app_reader", t0)...)
	}
	batch = append(batch, end(sessionID(0), t0), login(sessionID(3), "eve", "", t0)[0])
	enc, err := encodeAll(batch, t0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.append(t.Context(), enc); err != nil {
		t.Fatal(err)
	}
	open(t, path, Options{})
	var got []string
	for _, s := range all(t, reader(t, path).Sessions(t.Context(), SessionFilter{})) {
		got = append(got, fmt.Sprint(s.Session[15:], " ", s.State, " ", s.EndReason))
	}
	wantEqual(t, "sessions", got, []string{"3 aborted aborted", "2 aborted aborted", "1 aborted aborted", "0 ended client_left"})
	verified(t, path)
}

// appenderOn makes a log and gives a bare connection to it, as a proxy that will crash has one.
func appenderOn(t *testing.T, path string) *appender {
	t.Helper()
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := openAppender(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.close() })
	return a
}

func TestCommitsAreSynced(t *testing.T) {
	path := logPath(t)
	a := appenderOn(t, path)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "checkpoint_fullfsync": "1", "auto_vacuum": "2", "busy_timeout": "5000",
	} {
		var got string
		if err := a.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
		}
	}
}

func TestCloseWritesWhatWasDeferredEvenWithAnEndedContext(t *testing.T) {
	for range 20 {
		path := logPath(t)
		d, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		d.Enqueue(Event{Fact: ProxyStopped{}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if h := verified(t, path); h.Events != 1 {
			t.Fatalf("%d events", h.Events)
		}
	}
}

func TestNoteReadBesideTheProxyKeepsTheChain(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				if err := d.Append(t.Context(), login(sessionID(w*100+i), "ann", "app_reader", t0)...); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				if err := NoteRead(t.Context(), path, LogRead{OSUser: "root", Command: "audit"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if h := verified(t, path); h.Events != 4*25*4+40 {
		t.Errorf("%d events", h.Events)
	}
	if n := len(all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.read"}))); n != 40 {
		t.Errorf("%d log.read", n)
	}
}

func TestCancelledAppendReturns(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	db := raw(t, path)
	alter(t, db, "BEGIN IMMEDIATE")
	ctx, cancel := contextWithTimeout(t, 50*time.Millisecond)
	defer cancel()
	if err := d.Append(ctx, Event{Fact: ProxyStopped{}}); !errors.Is(err, ctx.Err()) || err == nil {
		t.Errorf("append with an ended context: %v", err)
	}
	alter(t, db, "ROLLBACK")
}
