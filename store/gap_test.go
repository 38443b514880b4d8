// What a killed proxy may not have recorded is recorded by the next one.

package store

import (
	"encoding/json"
	"testing"
	"time"
)

func TestNextStartRecordsTheGapOfACrash(t *testing.T) {
	run := func(durability string, more ...Event) []Event {
		return append([]Event{{Time: t0, Fact: ProxyStarted{Version: "1", Durability: durability}}}, more...)
	}
	serving := append(login("s1", "ann", "app_reader", t0), block("s1", ran("select 1", 1500)))
	for _, tc := range []struct {
		name   string
		events []Event
		gap    bool
	}{
		{"killed while serving", run(DurabilityAsync, serving...), true},
		{"killed, and the log was read since", append(run(DurabilityAsync, serving...),
			Event{Time: t0.Add(time.Hour), Fact: LogRead{OSUser: "root", Command: "audit"}}), true},
		{"stopped", run(DurabilityAsync, append(serving, end("s1", t0), Event{Time: t0, Fact: ProxyStopped{Reason: "signal"}})...), false},
		{"killed while nobody was there", run(DurabilityAsync, append(login("s1", "ann", "app_reader", t0), end("s1", t0))...), false},
		{"killed while somebody logged in", run(DurabilityAsync, login("s1", "ann", "app_reader", t0)[:2]...), false},
		{"statements were waited for", run(DurabilityStrict, serving...), false},
		{"statements were not recorded", run("", serving...), false},
		{"a killed run before one that stopped", append(run(DurabilityAsync, append(serving, end("s1", t0))...),
			run(DurabilityAsync, Event{Time: t0, Fact: ProxyStopped{Reason: "signal"}})...), false},
		{"killed after the one before it had handed over and stopped", append(run(DurabilityAsync, run(DurabilityAsync, serving...)...),
			Event{Time: t0.Add(1500 * time.Millisecond), Fact: ProxyStopped{Reason: "signal"}}), true},
		{"a new log", nil, false},
	} {
		path := logPath(t)
		a := appenderOn(t, path)
		enc, err := encodeAll(tc.events, t0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.append(t.Context(), enc); err != nil {
			t.Fatal(err)
		}
		start := t0.Add(2 * time.Hour)
		open(t, path, Options{now: func() time.Time { return start }})
		recs := all(t, reader(t, path).Events(t.Context(), EventFilter{Type: "log.gap"}))
		if (len(recs) == 1) != tc.gap {
			t.Errorf("%s: %d gaps", tc.name, len(recs))
		}
		want := LogGap{Since: t0.Add(1500 * time.Millisecond), Until: start, Reason: GapKilled, Sessions: 1, WindowMS: 50}
		for _, rec := range recs {
			var gap LogGap
			if err := json.Unmarshal(rec.Detail, &gap); err != nil || gap != want {
				t.Errorf("%s: the log says %+v (%v), want %+v", tc.name, gap, err, want)
			}
		}
		verified(t, path)
	}
}
