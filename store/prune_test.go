// Retention: what goes, what stays, and that the log verifies all the while.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const oneDay = 24 * time.Hour

// midnight begins the day of t0.
var midnight = t0.Truncate(oneDay)

// threeDays is a log of three days: each begins a session that runs a statement and ends, and there is one
// session, "long", that runs one every day and is still open.
func threeDays(t *testing.T) (*DB, string) {
	path := logPath(t)
	d := open(t, path, Options{now: func() time.Time { return midnight.Add(10 * oneDay) }})
	for _, events := range threeDaysOfEvents() {
		mustAppend(t, d, events...)
	}
	return d, path
}

// threeDaysOfEvents are 29 events, in the calls that append them.
func threeDaysOfEvents() [][]Event {
	calls := [][]Event{{{Time: t0, Fact: ProxyStarted{Version: "1"}}}, login("long", "eve", "app_admin", t0)}
	for day := range 3 {
		id, at := fmt.Sprint("day", day), t0.Add(time.Duration(day)*oneDay)
		ms := int(at.Sub(t0).Milliseconds())
		calls = append(calls, login(id, "ann", "app_reader", at),
			[]Event{block(id, prepared("every day", ms+20), prepared(fmt.Sprint("on day ", day), ms+30)),
				block("long", ran(fmt.Sprint("long ", day), ms+40)), end(id, at.Add(time.Minute))})
	}
	return calls
}

// story is what is left of the log, in short.
func story(t *testing.T, path string) (events, sessions, texts []string) {
	t.Helper()
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{})) {
		events = append(events, fmt.Sprint(rec.Seq, " ", rec.Type, " ", rec.Session))
	}
	return events, ids(all(t, reader(t, path).Sessions(t.Context(), SessionFilter{}))), storedTexts(t, path)
}

func TestPruneGivesUpWhatIsOld(t *testing.T) {
	d, path := threeDays(t)
	before := verified(t, path)
	done, err := d.Prune(t.Context(), t0.Add(2*oneDay), "ann", nil) // the time of day does not count
	if err != nil {
		t.Fatal(err)
	}
	if done.Events != 1+2*(4+2+1+1) || done.Sessions != 2 || done.Texts != 2 || !done.Before.Equal(midnight.Add(2*oneDay)) {
		t.Errorf("pruned %+v", done)
	}
	events, sessions, texts := story(t, path)
	wantEqual(t, "events", events, []string{
		"2 session.connected long", "3 auth.succeeded long", "4 role.mapped long", "5 session.started long",
		"22 session.connected day2", "23 auth.succeeded day2", "24 role.mapped day2", "25 session.started day2",
		"26 statement.executed day2", "27 statement.executed day2", "28 statement.executed long", "29 session.ended day2",
		"30 log.pruned ",
	})
	wantEqual(t, "sessions", sessions, []string{"day2", "long"})
	wantEqual(t, "texts", texts, []string{"every day", "on day 2"})
	h := verified(t, path)
	if h.Events != before.Events+1 || len(h.Pruned) != 1 {
		t.Fatalf("head %+v", h)
	}
	if p := h.Pruned[0]; p.By != "ann" || p.FirstSeq != 1 || p.LastSeq != 21 || p.Events != done.Events || !p.Before.Equal(done.Before) {
		t.Errorf("the log says %+v", p)
	}
	if again, err := d.Prune(t.Context(), t0.Add(2*oneDay), "ann", nil); err != nil || again.Events != 0 {
		t.Errorf("pruned again: %+v, %v", again, err)
	}
	if h2 := verified(t, path); h2.Seq != h.Seq {
		t.Error("a prune that found nothing left an event")
	}
	if err := d.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	verified(t, path)
}

// What a session logged in as is kept until its end is old enough.
func TestPruneKeepsTheLoginOfASessionUntilItsEndIsOld(t *testing.T) {
	d, path := threeDays(t)
	mustAppend(t, d, end("long", t0.Add(3*oneDay)))
	for _, tc := range []struct {
		before time.Time
		want   string
	}{
		{midnight.Add(3 * oneDay), "2 3 4 5 30 31"},
		{midnight.Add(4 * oneDay), "31 32"}, // what says that they are gone
	} {
		if _, err := d.Prune(t.Context(), tc.before, "ann", nil); err != nil {
			t.Fatal(err)
		}
		var seqs []string
		for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{})) {
			seqs = append(seqs, fmt.Sprint(rec.Seq))
		}
		if got := strings.Join(seqs, " "); got != tc.want {
			t.Errorf("before %s: left %s, want %s", tc.before.Format(time.DateOnly), got, tc.want)
		}
		verified(t, path)
	}
	mustAppend(t, d, login("new", "ann", "app_reader", t0.Add(5*oneDay))...) // the chain goes on
	mustAppend(t, d, block("new", prepared("every day", int(5*oneDay.Milliseconds()))))
	verified(t, path)
	if _, _, texts := story(t, path); len(texts) != 1 {
		t.Errorf("texts %v", texts)
	}
}

func TestPruneRefusesWhatIsTooYoung(t *testing.T) {
	d, _ := threeDays(t)
	if _, err := d.Prune(t.Context(), midnight.Add(10*oneDay), "ann", nil); err == nil ||
		!strings.Contains(err.Error(), "less than 24 hours before now") {
		t.Errorf("got %v", err)
	}
}

func TestWhatWasPrunedCannotBeTamperedWith(t *testing.T) {
	for _, tc := range []struct {
		change string
		seq    int64
		what   string
	}{
		{`UPDATE pruned SET digests = zeroblob(length(digests)) WHERE first = 1`, 1, "hash differs"},
		{`UPDATE pruned SET digests = substr(digests, 33) WHERE first = 6`, 6, "hash differs"},
		{`UPDATE pruned SET hash = zeroblob(32) WHERE first = 6`, 6, "hash differs"},
		{`DELETE FROM pruned WHERE first = 6`, 6, "missing"},
		{`UPDATE pruned SET first = 7 WHERE first = 6`, 6, "missing"},
		{`DELETE FROM events WHERE seq = 28; INSERT INTO pruned (seq, first, digests, hash) VALUES (28, 28, x'` + strings.Repeat("00", 32) +
			`', zeroblob(32))`, 28, "hash differs"},
		{`UPDATE events SET body = replace(body, '"first_seq":1', '"first_seq":2') WHERE type = 'log.pruned'`, 30, "hash differs"},
	} {
		d, path := threeDays(t)
		if _, err := d.Prune(t.Context(), midnight.Add(2*oneDay), "ann", nil); err != nil {
			t.Fatal(err)
		}
		forge(t, path, func(db *sql.DB) { alter(t, db, tc.change) })
		_, err := reader(t, path).Verify(t.Context(), nil)
		broken, ok := errors.AsType[*BrokenError](err)
		if !ok || broken.Seq != tc.seq || !strings.Contains(err.Error(), tc.what) {
			t.Errorf("%s: got %v, want seq %d and %q", tc.change, err, tc.seq, tc.what)
		}
	}
}

// An event that somebody made look pruned is found, even though the chain of hashes holds.
func TestAnEventThatWasNotPrunedCannotBeHidden(t *testing.T) {
	_, path := threeDays(t)
	forge(t, path, func(db *sql.DB) { hide(t, db, 2) })
	_, err := reader(t, path).Verify(t.Context(), nil)
	if broken, ok := errors.AsType[*BrokenError](err); !ok || broken.Seq != 2 || !strings.Contains(err.Error(), "no log.pruned says so") {
		t.Errorf("got %v", err)
	}
}

// hide makes an event look pruned.
func hide(t testing.TB, db *sql.DB, seq int64) {
	t.Helper()
	var e event
	err := db.QueryRowContext(t.Context(), eventsIn, seq-1, seq).Scan(&e.seq, &e.time, &e.typ, &e.session, &e.body, &e.hash, &e.count)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := digest(nil, e.seq, e.time, e.typ, e.session, e.body)
	alter(t, db, `DELETE FROM events WHERE seq = ?`, seq)
	alter(t, db, `DELETE FROM sessions WHERE seq = ?`, seq)
	alter(t, db, `INSERT INTO pruned (seq, first, digests, hash) VALUES (?, ?, ?, ?)`, seq, seq-e.count+1, d[:], e.hash)
}

func TestTriggersGuardWhatIsPruned(t *testing.T) {
	d, path := threeDays(t)
	if _, err := d.Prune(t.Context(), midnight.Add(2*oneDay), "ann", nil); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	const run = `INSERT INTO pruned (seq, first, digests, hash) VALUES (%d, %[1]d, zeroblob(32), zeroblob(32))`
	for _, change := range []string{
		`DELETE FROM events WHERE seq = 28`,
		`DELETE FROM events WHERE seq < 28`,
		`DELETE FROM pruned`,
		`UPDATE pruned SET first = first + 1`,
		fmt.Sprintf(run, 28), // not what the last event says is pruned
	} {
		if _, err := db.ExecContext(t.Context(), change); err == nil {
			t.Errorf("accepted: %s", change)
		}
	}
	mustAppend(t, d, Event{Fact: ProxyStopped{}})
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf(run, 5)); err == nil {
		t.Error("accepted a run without its log.pruned")
	}
	verified(t, path)
}

// longAgo is old whatever the clock says.
var longAgo = time.Date(2020, 3, 1, 9, 30, 0, 0, time.UTC)

// oldSessions fills a log with sessions of that day.
func oldSessions(t *testing.T, d *DB, sessions int) {
	t.Helper()
	for n := range sessions {
		id := sessionID(n)
		mustAppend(t, d, append(login(id, "ann", "app_reader", longAgo), Event{Session: id,
			Fact: StatementsExecuted{[]Statement{{Kind: KindSimple, SQL: fmt.Sprint("select ", n), Start: longAgo}}}},
			end(id, longAgo.Add(time.Second)))...)
	}
}

func TestPruneBesideAProxyGivesSpaceBack(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	var batch []Event
	for n := range 600 {
		id := sessionID(n)
		batch = append(append(batch, login(id, "ann", "app_reader", longAgo)...), end(id, longAgo.Add(time.Second)))
	}
	mustAppend(t, d, batch...)
	writtenBack(t, path)
	full := size(t, path)
	pruned, stop := make(chan error, 1), make(chan struct{})
	steps := 0
	go func() {
		done, err := Prune(t.Context(), path, longAgo.Add(oneDay), "root", func(Pruned) { steps++ })
		if err == nil && (done.Events != 3000 || done.Sessions != 600 || done.Pages == 0) {
			err = fmt.Errorf("pruned %+v", done)
		}
		close(stop)
		pruned <- err
	}()
	appended := int64(0)
	for running := true; running; appended++ {
		mustAppend(t, d, Event{Fact: ProxyStopped{}})
		select {
		case <-stop:
			running = false
		default:
		}
	}
	if err := <-pruned; err != nil {
		t.Fatal(err)
	}
	if steps < 4 || appended < 2 {
		t.Errorf("%d steps, and %d events beside them", steps, appended)
	}
	if h := verified(t, path); h.Events != 3000+appended+int64(len(said(t, path))) || len(h.Pruned) != 1 || h.Pruned[0].Events != 3000 {
		t.Errorf("head %+v after %d events", h, appended)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	writtenBack(t, path) // what came last may still stand in the write-ahead log
	const each = 200     // bytes of what was appended meanwhile
	if now := size(t, path); now > full/3+appended*each {
		t.Errorf("the file has %d bytes with %d new events, and had %d", now, appended, full)
	}
}

func said(t *testing.T, path string) []Record {
	t.Helper()
	return all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.pruned"}))
}

// writtenBack puts all that was written into the file itself.
func writtenBack(t *testing.T, path string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// pruneUntilKilled is the child of the test below.
func pruneUntilKilled(path string) int {
	_, err := Prune(context.Background(), path, longAgo.Add(oneDay), "root", func(p Pruned) { fmt.Println(p.Events) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledPruneLeavesALogThatVerifies(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	oldSessions(t, d, 700) // 4,200 rows: five steps
	events := verified(t, path).Events
	kills := 0
	for finished := false; !finished; {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "GPRXY_STORE_PRUNE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1)
		out.Read(buf) // it has found what to do
		for range kills + 1 {
			out.Read(buf)
		}
		cmd.Process.Kill()
		finished = cmd.Wait() == nil || kills > 20
		kills++
		h := verified(t, path)
		if n := h.Events - int64(len(said(t, path))); n != events {
			t.Fatalf("%d events after %d kills, were %d", n, kills, events)
		}
	}
	t.Logf("killed %d times", kills-1)
	left := all(t, reader(t, path).Events(t.Context(), EventFilter{Session: sessionID(699)}))
	if len(left) != 0 {
		t.Errorf("%d events are left of the last session after %d kills", len(left), kills)
	}
}
