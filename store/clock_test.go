// The clock is set: facts whose times run back, as after a step of NTP, are as good as others.

package store

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// setBack is a log over whose sessions the clock was set back by 5 hours, from 14:30 to 09:30: s1 lasted over it, s2
// came after it, s3 began before it and lasts.
func setBack(t *testing.T) (*DB, string) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Time: at(5), Fact: ProxyStarted{Version: "1"}})
	mustAppend(t, d, login("s1", "ann", "app_reader", at(5))...)
	mustAppend(t, d, block("s1", ran("select 1", 0)))
	mustAppend(t, d, login("s3", "cid", "app_reader", at(5))...)
	mustAppend(t, d, end("s1", at(0.5)))
	mustAppend(t, d, login("s2", "bob", "app_reader", at(1))...)
	mustAppend(t, d, end("s2", at(1.5)))
	return d, path
}

func TestAClockThatIsSetBackBreaksNoChain(t *testing.T) {
	d, path := setBack(t)
	verified(t, path) // the table of the sessions too
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path)
	var last int64
	for _, e := range all(t, r.Events(t.Context(), EventFilter{})) {
		if e.Seq <= last {
			t.Errorf("event %d comes after %d", e.Seq, last)
		}
		last = e.Seq
	}
	now := at(2) // still before the time s3 began
	open(t, path, Options{now: func() time.Time { return now }})
	verified(t, path)
	if sessions := all(t, r.Sessions(t.Context(), SessionFilter{User: "cid"})); len(sessions) != 1 || sessions[0].State != StateAborted {
		t.Errorf("a session that a crash left open: %+v", sessions)
	}
}

// A session is found at the time it began by the clock of then, though it ended earlier by the clock of later.
func TestSessionsOverAClockThatIsSetBack(t *testing.T) {
	_, path := setBack(t)
	r := reader(t, path)
	for _, row := range []struct {
		name string
		f    SessionFilter
		want string
	}{
		{"since before it was set", SessionFilter{Since: at(4.5)}, "s3 s1"},
		{"around the login", SessionFilter{Since: at(4.5), Until: at(5.5)}, "s3 s1"},
		{"of a person", SessionFilter{Since: at(4.5), User: "ann"}, "s1"},
		{"of an account", SessionFilter{Since: at(4.5), ServiceAccount: "app_reader"}, "s3 s1"},
		{"of a database", SessionFilter{Since: at(4.5), Database: "shop"}, "s3 s1"},
		{"after all", SessionFilter{Since: at(6)}, "s3"},
		{"since after it was set", SessionFilter{Since: at(1), Until: at(2)}, "s2"},
	} {
		if got := strings.Join(ids(all(t, r.Sessions(t.Context(), row.f))), " "); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	found := all(t, r.Events(t.Context(), EventFilter{Since: at(4.5)}))
	if !slices.ContainsFunc(found, func(e Record) bool { return e.Session == "s1" && e.Type == "session.started" }) ||
		slices.ContainsFunc(found, func(e Record) bool { return e.Session == "s2" }) {
		t.Errorf("events since before it was set: %+v", found)
	}
}

// A gap does not end before it begins.
func TestGapsOverAClockThatIsSetBack(t *testing.T) {
	path := logPath(t)
	a := appenderOn(t, path)
	killed := append([]Event{{Time: at(5), Fact: ProxyStarted{Version: "1", Durability: DurabilityAsync}}},
		login("s1", "ann", "app_reader", at(5))...)
	enc, err := encodeAll(killed, at(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.append(t.Context(), enc); err != nil {
		t.Fatal(err)
	}
	now := at(1)
	d := open(t, path, Options{now: func() time.Time { return now }})
	d.outageSince = at(3)
	d.mu.Lock()
	outage := d.afterOutage()
	d.mu.Unlock()
	bodies := [][]byte{[]byte(outage.events[0].body)}
	for _, rec := range all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.gap"})) {
		bodies = append(bodies, rec.Detail)
	}
	if len(bodies) != 2 {
		t.Errorf("%d gaps", len(bodies))
	}
	for i, began := range []time.Time{at(3), at(5)}[:len(bodies)] {
		var gap LogGap
		if err := json.Unmarshal(bodies[i], &gap); err != nil || !gap.Since.Equal(at(1)) ||
			!gap.Until.Truncate(10*time.Millisecond).Equal(began.Truncate(10*time.Millisecond)) {
			t.Errorf("%s: from %v to %v, want all between %v and %v (%v)", gap.Reason, gap.Since, gap.Until, at(1), began, err)
		}
	}
}

// Retention gives up what is old by its own time; where that runs back, no session loses its end and keeps its beginning.
func TestRetentionOverAClockThatIsSetBack(t *testing.T) {
	path := logPath(t)
	now := t0.Add(10 * oneDay)
	d := open(t, path, Options{now: func() time.Time { return now }})
	day := func(n int) time.Time { return t0.Add(time.Duration(n) * oneDay) }
	mustAppend(t, d, login("s1", "ann", "app_reader", day(5))...) // and then the clock was set back
	mustAppend(t, d, block("s1", ran("select 1", 0)))
	mustAppend(t, d, end("s1", day(1)))
	mustAppend(t, d, login("s2", "bob", "app_reader", day(1))...)
	mustAppend(t, d, end("s2", day(1)))
	s4 := login("s4", "dan", "app_reader", day(1)) // the clock was ahead for a moment
	s4[1].Time = day(5)
	mustAppend(t, d, append(s4, end("s4", day(1)))...)
	mustAppend(t, d, login("s3", "cid", "app_reader", day(6))...)
	if _, err := d.Prune(t.Context(), day(3), "ann", nil); err != nil {
		t.Fatal(err)
	}
	verified(t, path)
	var got []string
	for _, s := range all(t, reader(t, path).Sessions(t.Context(), SessionFilter{})) {
		got = append(got, s.Session+" "+s.State)
	}
	if want := []string{"s3 active", "s1 ended"}; !slices.Equal(got, want) {
		t.Errorf("sessions %q, want %q", got, want)
	}
}

// Who follows from a time on sees what is recorded from then on, also when the clock is set back meanwhile.
func TestFollowUnderAClockThatIsSetBack(t *testing.T) {
	path := logPath(t)
	d := open(t, path, Options{})
	mustAppend(t, d, Event{Time: at(1), Fact: ProxyStarted{Version: "old"}}, Event{Time: at(5), Fact: ProxyStarted{Version: "since"}})
	ctx, cancel := contextWithTimeout(t, 10*time.Second)
	defer cancel()
	var got []string
	for rec, err := range reader(t, path).Follow(ctx, EventFilter{Since: at(4)}, time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, string(rec.Detail)); len(got) == 2 {
			break
		}
		mustAppend(t, d, Event{Time: at(2), Fact: ProxyStopped{Reason: "set back"}})
	}
	if len(got) != 2 || !strings.Contains(got[0], "since") || !strings.Contains(got[1], "set back") {
		t.Errorf("followed %q", got)
	}
}
