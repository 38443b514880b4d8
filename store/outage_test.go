// The log cannot be written: who is told, what is kept, and that it heals by itself.

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func contextWithTimeout(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// outage drives one outage: the log works, break_ stops it, repair lets it work again.
func outage(t *testing.T, path string, o Options, break_, repair func()) {
	t.Helper()
	var lines logBuffer
	o.Log = slog.New(slog.NewTextHandler(&lines, nil))
	d := open(t, path, o)
	mustAppend(t, d, login("s1", "ann", "app_reader", t0)...)
	break_()
	refused := untilRefused(t, d)
	d.Enqueue(end("s1", t0.Add(time.Second)))
	err := d.Append(t.Context(), Event{Time: t0, Fact: ProxyStopped{Reason: "second refusal"}})
	if _, ok := errors.AsType[*UnavailableError](err); !ok || !strings.Contains(err.Error(), path) {
		t.Errorf("append during the outage: %v", err)
	}
	if d.Healthy() == nil {
		t.Error("healthy during the outage")
	}
	repair()
	healed(t, d)
	mustAppend(t, d, Event{Time: t0, Fact: ProxyStopped{Reason: "after"}})
	if err := d.Close(t.Context()); err != nil { // which tells that the outage is over without waiting to be sure
		t.Error(err)
	}
	if begin, heal := lines.count("level=ERROR"), lines.count("can be written again"); begin != 1 || heal != 1 {
		t.Errorf("%d errors and %d healings logged:\n%s", begin, heal, lines.b.String())
	}
	t.Log(err)
	want := []string{refused, `{"reason":"second refusal"}`, `{"reason":"after"}`}
	var got []string
	r := reader(t, path)
	for _, rec := range all(t, r.Events(t.Context(), EventFilter{Type: "proxy.stopped"})) {
		if body := string(rec.Detail); !strings.Contains(body, "fill") || body == refused {
			got = append(got, body)
		}
	}
	wantEqual(t, "events of the outage, in order", got, want)
	if s := all(t, r.Sessions(t.Context(), SessionFilter{})); s[0].State != StateEnded {
		t.Errorf("session after the outage: %+v", s[0])
	}
	verified(t, path)
}

// untilRefused appends until the log fails and gives the body of the event that was refused.
func untilRefused(t *testing.T, d *DB) string {
	t.Helper()
	for i := range 1000 {
		fact := ProxyStopped{Reason: "fill " + strings.Repeat("x", 8000+i)}
		err := d.Append(t.Context(), Event{Time: t0, Fact: fact})
		if _, ok := errors.AsType[*UnavailableError](err); ok {
			return `{"reason":"` + fact.Reason + `"}`
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the log never failed")
	return ""
}

func healed(t *testing.T, d *DB) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); d.Healthy() != nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not healed: %v", d.Healthy())
		}
	}
}

func TestFullDatabase(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	o := Options{pragmas: func() []string {
		if full.Load() {
			return []string{"max_page_count(100)"}
		}
		return []string{"max_page_count(1000000)"}
	}}
	outage(t, logPath(t), o, func() {}, func() { full.Store(false) })
}

// A disk that is full and not full in turns is told once, and once when it has been well for a while.
func TestFlappingIsToldOnce(t *testing.T) {
	t.Parallel()
	var (
		lines logBuffer
		err   atomic.Pointer[error]
		clock atomic.Int64
	)
	const flaps = 5
	fail := func(e error) { err.Store(&e) }
	pass := func(d time.Duration) { clock.Add(int64(d)) }
	full, unwritable := errors.New("database or disk is full"), fmt.Errorf("look at the file: %w", fs.ErrNotExist)
	fail(nil)
	d := open(t, logPath(t), Options{
		Log:    slog.New(slog.NewTextHandler(&lines, nil)),
		limits: limits{events: 10, bytes: 1 << 20},
		now:    func() time.Time { return t0.Add(time.Duration(clock.Load())) },
		pragmas: func() []string { // the next attempt, which would find that the last one was stored after all, fails too
			if *err.Load() != nil {
				return []string{"no pragma ("}
			}
			return nil
		},
		afterWrite: func(written error) error {
			if e := *err.Load(); e != nil {
				return e
			}
			return written
		},
	})
	between := func() { // rounds of the writer's, at whose end it says what there is to say
		t.Helper()
		if err := d.do(t.Context(), func(context.Context, *appender) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	round := func() {
		t.Helper()
		between()
		mustAppend(t, d, Event{Fact: ProxyStopped{}})
		between()
	}
	flap := func(e error, well time.Duration, deferred int) {
		t.Helper()
		fail(e)
		if err := d.Append(t.Context(), Event{Fact: ProxyStopped{}}); err == nil {
			t.Fatal("appended during the outage")
		}
		for range deferred {
			d.Enqueue(Event{Fact: ProxyStopped{}})
		}
		pass(time.Second)
		fail(nil)
		healed(t, d)
		round()
		pass(well)
	}
	said := func(what string, errors, heals int) {
		t.Helper()
		round()
		if e, h := lines.count("level=ERROR"), lines.count("can be written again"); e != errors || h != heals {
			t.Errorf("%s: %d errors and %d healings, want %d and %d:\n%s", what, e, h, errors, heals, lines.b.String())
		}
	}
	for range flaps {
		flap(full, wellAfter-time.Second, 0)
	}
	said("a disk that flaps", 1, 0)
	flap(unwritable, wellAfter-time.Second, 0)
	flap(unwritable, wellAfter-time.Second, 0)
	said("another reason", 2, 0)
	pass(time.Second)
	said("well for a minute", 2, 1)
	if want := `well_for=1m0s failed_times=7 lasted=6m1s kept_events=7 lost_events=0`; lines.count(want) != 1 {
		t.Errorf("%s is not in\n%s", want, lines.b.String())
	}
	pass(time.Hour)
	said("well for an hour", 2, 1)
	flap(full, wellAfter-time.Second, 20) // 9 find room beside the one that was waited for
	flap(full, wellAfter, 20)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); lines.count("can be written again") < 2; { // nobody writes anything
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the end of the next trouble is not told:\n%s", lines.b.String())
		}
	}
	if want := "failed_times=2 lasted=1m1s kept_events=20 lost_events=22"; lines.count(want) != 1 {
		t.Errorf("%s is not in\n%s", want, lines.b.String())
	}
	if n := lines.count("events are being lost"); n != 1 {
		t.Errorf("losses were told %d times", n)
	}
}

func TestFolderMovedAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "events.db")
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	outage(t, path, Options{}, move(dir, dir+".away"), move(dir+".away", dir))
}

func TestReadOnlyFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes read-only files")
	}
	path := logPath(t)
	mode := func(m os.FileMode) func() {
		return func() {
			if err := os.Chmod(path, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := open(t, path, Options{})
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mode(0o400)()
	_, err := Open(t.Context(), path, Options{})
	if _, ok := errors.AsType[*UnavailableError](err); !ok {
		t.Errorf("open a read-only file: %v", err)
	}
	mode(0o600)()
	open(t, path, Options{})
}

func TestDeletedLogIsNotSilentlyBegunAnew(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Fact: ProxyStopped{}})
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
	err := d.Append(t.Context(), Event{Fact: ProxyStopped{Reason: "kept"}})
	if _, ok := errors.AsType[*UnavailableError](err); !ok || !strings.Contains(err.Error(), "put "+path+" back") {
		t.Fatalf("append to a deleted log: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	healed(t, d)
	if got := types(t, path); !slices.Equal(got, []string{"proxy.stopped", "log.gap"}) {
		t.Errorf("the new log has %v", got)
	}
}

// types are those of all events.
func types(t *testing.T, path string) (types []string) {
	t.Helper()
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{})) {
		types = append(types, rec.Type)
	}
	return types
}

func TestOneBadEventDoesNotFailItsNeighbours(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	db := raw(t, path)
	alter(t, db, `CREATE TRIGGER bad BEFORE INSERT ON events WHEN new.session = 'bad' BEGIN SELECT raise(ABORT, 'bad event'); END`)
	alter(t, db, "BEGIN IMMEDIATE") // so that all of them meet in one batch
	var wg sync.WaitGroup
	for _, id := range []string{"a", "bad", "b", "bad", "c"} {
		wg.Go(func() {
			err := d.Append(t.Context(), login(id, "ann", "app_reader", t0)...)
			if (err != nil) != (id == "bad") {
				t.Errorf("append of %s: %v", id, err)
			}
		})
	}
	d.Enqueue(end("bad", t0), Event{Fact: ProxyStopped{}})
	alter(t, db, "ROLLBACK")
	wg.Wait()
	if err := d.Healthy(); err != nil {
		t.Error(err)
	}
	mustAppend(t, d, end("a", t0))
	alter(t, db, "DROP TRIGGER bad")
	if h := verified(t, path); h.Events != 14 {
		t.Errorf("%d events", h.Events)
	}
}

func TestBatchWhoseCommitOnlySeemedToFailIsNotWrittenTwice(t *testing.T) {
	path := logPath(t)
	failed := false
	d := open(t, path, Options{afterWrite: func(err error) error {
		if err == nil && !failed {
			failed = true
			return errors.New("the disk said no, after the data was on it")
		}
		return err
	}})
	if err := d.Append(t.Context(), login("s1", "ann", "app_reader", t0)...); err == nil {
		t.Fatal("the failure was not told")
	}
	healed(t, d)
	mustAppend(t, d, end("s1", t0))
	verified(t, path)
	if got := types(t, path); len(got) != 4+1+1 || got[4] != "log.gap" {
		t.Errorf("the log has %v", got)
	}
}

func TestBacklogIsBoundedAndDeferredEventsGoFirst(t *testing.T) {
	path := logPath(t)
	var lines logBuffer
	var full atomic.Bool
	full.Store(true)
	d := open(t, path, Options{
		Log:    slog.New(slog.NewTextHandler(&lines, nil)),
		limits: limits{events: 10, bytes: 1 << 20},
		pragmas: func() []string {
			if full.Load() {
				return []string{"max_page_count(60)"}
			}
			return nil
		},
	})
	untilRefused(t, d)
	for range 20 { // 4 find room: half of the backlog is for them
		if err := d.Append(t.Context(), Event{Fact: ProxyStopped{Reason: "refused"}}); err == nil {
			t.Fatal("append during the outage succeeded")
		}
	}
	for range 7 { // 5 find room
		d.Enqueue(Event{Fact: ProxyStopped{Reason: "deferred"}})
	}
	full.Store(false)
	healed(t, d)
	waiting := func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.queue.events
	}
	for deadline := time.Now().Add(10 * time.Second); waiting() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // the log heals with the first batch; the backlog is full until then
			t.Fatal("the backlog is not written")
		}
	}
	mustAppend(t, d, Event{Fact: ProxyStopped{Reason: "after"}})
	n := map[string]int{}
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{})) {
		n[strings.Trim(string(rec.Detail), `{}"`)]++
	}
	if r, f := n[`reason":"refused`], n[`reason":"deferred`]; r != 4 || f != 5 {
		t.Errorf("kept %d refused and %d deferred events, want 4 and 5", r, f)
	}
	var gap LogGap
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.gap"})) {
		if err := json.Unmarshal(rec.Detail, &gap); err != nil {
			t.Fatal(err)
		}
	}
	if gap.Reason != GapUnwritable || gap.Lost != 18 || !gap.Since.Before(gap.Until) {
		t.Errorf("the log says %+v", gap)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if lines.count("events are being lost") != 1 || lines.count("lost_events=18") != 1 || lines.count("level=ERROR") != 2 {
		t.Errorf("log:\n%s", lines.b.String())
	}
}

func TestCloseDuringAnOutageEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	d, err := Open(t.Context(), filepath.Join(dir, "events.db"), Options{retryEvery: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	d.Enqueue(Event{Fact: ProxyStopped{}})
	ctx, cancel := contextWithTimeout(t, 100*time.Millisecond)
	defer cancel()
	if err := d.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 events could not be written") {
		t.Errorf("close: %v", err)
	}
}
