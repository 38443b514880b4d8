package store

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"
)

// An event that stands among those that were pruned cannot be hidden either: their number is known.
func TestAnEventAmongThePrunedCannotBeHidden(t *testing.T) {
	d, path := threeDays(t)
	if _, err := d.Prune(t.Context(), midnight.Add(2*oneDay), "ann", nil); err != nil {
		t.Fatal(err)
	}
	forge(t, path, func(db *sql.DB) { // the login of the session that lasts
		for seq := range int64(4) {
			hide(t, db, 2+seq)
		}
	})
	_, err := reader(t, path).Verify(t.Context(), nil)
	if broken, ok := errors.AsType[*BrokenError](err); !ok || broken.Seq != 1 || !strings.Contains(err.Error(), "4 events more are gone") {
		t.Errorf("got %v", err)
	}
	if says, intact := verifyByScript(t, path); intact {
		t.Errorf("the script says %q", says)
	}
}

// Somebody who takes out what is young, and appends that retention did it, leaves a chain that holds,
// and a doubt.
func TestAPruneOfYoungEventsIsDoubted(t *testing.T) {
	d, path := threeDays(t)
	if h := verified(t, path); len(h.Warnings) != 0 {
		t.Errorf("doubts %+v", h.Warnings)
	}
	said := LogPruned{By: "RETENTION=400d", Before: midnight.Add(-365 * oneDay), FirstSeq: 22, LastSeq: 22, Events: 1}
	mustAppend(t, d, Event{Fact: said})
	forge(t, path, func(db *sql.DB) { hide(t, db, 22) })
	h := verified(t, path)
	if len(h.Warnings) != 1 || h.Warnings[0].Seq != 22 || !strings.Contains(h.Warnings[0].What, "2025") {
		t.Errorf("doubts %+v", h.Warnings)
	}
}

// What was pruned again and again, in parts that lie within each other, is not doubted.
func TestPruneByPruneIsNotDoubted(t *testing.T) {
	d, path := threeDays(t)
	mustAppend(t, d, end("long", t0.Add(3*oneDay)))
	for day := range 6 {
		if _, err := d.Prune(t.Context(), midnight.Add(time.Duration(day)*oneDay), "ann", nil); err != nil {
			t.Fatal(err)
		}
		h := verified(t, path)
		if day >= 4 && len(h.Warnings) == 1 && strings.Contains(h.Warnings[0].What, "nothing is left") {
			continue // that is true: nobody came after
		}
		if len(h.Warnings) != 0 {
			t.Errorf("on day %d: doubts %+v", day, h.Warnings)
		}
	}
}

// A log.pruned about events that still stand is no prune of ours either.
func TestAPruneThatTookNothingIsFound(t *testing.T) {
	for events, want := range map[int64]string{3: "broken at seq 1: from here on log.pruned events tell of 3 events more than are gone",
		-3: "broken at seq 30: this log.pruned tells of -3 events"} {
		d, path := threeDays(t)
		mustAppend(t, d, Event{Fact: LogPruned{By: "ann", Before: midnight, FirstSeq: 1, LastSeq: 3, Events: events}})
		_, err := reader(t, path).Verify(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if says, intact := verifyByScript(t, path); intact || strings.Contains(says, "Traceback") {
			t.Errorf("the script says %q", says)
		}
	}
}
