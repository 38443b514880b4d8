// What came of a campaign, in figures.
package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

type figures struct {
	rounds, postgresKilled, startsKilled, kills int

	connections, admitted, refused, counted, cancelled int
	rows, kept, unknown, held                          int
	events                                             int64

	starts, firstLogin, backendsGone times
	late                             times // how late timers were at the kills

	began time.Time
	took  time.Duration
}

// count takes in a round that was judged.
func (f *figures) count(j *judgement) {
	f.connections += len(j.visits)
	f.unknown += j.unknown
	f.held += j.held
	f.counted += j.counted
	for _, v := range j.visits {
		f.rows += len(v.sent)
		f.kept += len(v.kept)
		f.admitted += oneIf(v.admitted)
		f.refused += oneIf(v.refused != "")
		f.cancelled += oneIf(v.cancelled)
	}
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (f *figures) print(out io.Writer) {
	fmt.Fprintf(out, "gprxy was killed %d times under load and %d times while it started, PostgreSQL %d times, in %v\n",
		f.kills, f.startsKilled, f.postgresKilled, f.took.Round(time.Second))
	for _, line := range []struct {
		what string
		is   string
	}{
		{"connections", fmt.Sprint(f.connections)},
		{"let in, and found in the log as they were", fmt.Sprint(f.admitted)},
		{"refused, and found in the log", fmt.Sprint(f.refused - f.counted)},
		{"refused unjudged, too many to be recorded", fmt.Sprint(f.counted)},
		{"cancels served, and found in the log", fmt.Sprint(f.cancelled)},
		{"rows sent", fmt.Sprint(f.rows)},
		{"rows acknowledged, and stored", fmt.Sprint(f.kept)},
		{"rows that only PostgreSQL knows about", fmt.Sprint(f.unknown)},
		{"of these, statements looked for and found", fmt.Sprint(f.held)},
		{"events, all verified and folded anew", fmt.Sprint(f.events)},
		{"from start to listening", f.starts.String()},
		{"from listening to the first login", f.firstLogin.String()},
		{"from the kill to the end of the last backend", f.backendsGone.String()},
		{"how late the machine was at the kills", f.late.String()},
	} {
		fmt.Fprintf(out, "  %-46s %s\n", line.what, line.is)
	}
}

// times are how long something took, each time.
type times []time.Duration

func (t *times) add(d time.Duration) { *t = append(*t, d) }

func (t times) String() string {
	if len(t) == 0 {
		return "never"
	}
	sorted := slices.Sorted(slices.Values(t))
	return fmt.Sprintf("median %v, longest %v", sorted[len(sorted)/2].Round(time.Millisecond), sorted[len(sorted)-1].Round(time.Millisecond))
}
