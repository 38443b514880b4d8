// What is possible and unlikely: a clock that was wrong makes it, or somebody who owns the file.

package store

import (
	"fmt"
	"time"
)

const (
	// clockSlack is by how much a clock may have been set back without a doubt.
	clockSlack = 24 * time.Hour
	// lateSlack is by how much an event may be older than the moment in which it was written: a login
	// is recorded when it is over, and people may take their time in a browser.
	lateSlack = 15 * time.Minute
)

// warnPrunes warnings what log.pruned events say of themselves and of the events around them.
func warnPrunes(gone []prunedRun, said []PrunedRange, e Expected) (warnings []Warning) {
	for _, s := range joined(said) {
		if least := e.RetentionMin; s.Before.After(s.At.Add(-least)) {
			warnings = append(warnings, Warning{s.seq, fmt.Sprintf("this log.pruned gave up events from before %s, "+
				"less than RETENTION_MIN (%d days) before it was written, %s",
				s.Before.Format(time.DateOnly), least/(24*time.Hour), shortly(s.At))})
		}
		warnings = append(warnings, s.warnTime(e.Now)...)
	}
	told := map[int]bool{} // once of each log.pruned
	warnings = append(warnings, warnAges(gone, said, told)...)
	return append(warnings, warnHoles(gone, said, told)...)
}

// warnTime warnings the time that the log.pruned has given itself.
func (s *PrunedRange) warnTime(now time.Time) []Warning {
	warning := func(other string, t time.Time) []Warning {
		return []Warning{{s.seq, fmt.Sprintf("this log.pruned says that it was written at %s, but %s %s", shortly(s.At), other, shortly(t))}}
	}
	switch {
	case s.At.After(now.Add(lateSlack)):
		return warning("by the clock of this machine it is", now)
	case s.before != 0 && fromMicro(s.before).After(s.At.Add(clockSlack)):
		return warning("the event before it is of", fromMicro(s.before))
	case s.after != 0 && fromMicro(s.after).Before(s.At.Add(-clockSlack)):
		return warning("the event after it is of", fromMicro(s.after))
	}
	return nil
}

// warnAges warnings that events were given up for their age where the event before them, which is older as
// a rule, is younger than what the log.pruned that tells of them was about. Somebody who takes out
// events of yesterday and appends that retention did it is found so, unless nothing stands before them.
func warnAges(gone []prunedRun, said []PrunedRange, told map[int]bool) (warnings []Warning) {
	for _, g := range gone {
		s, before := said[g.teller], fromMicro(g.after)
		if g.after != 0 && before.After(s.Before.Add(clockSlack)) && !told[g.teller] {
			told[g.teller] = true
			warnings = append(warnings, Warning{g.from, fmt.Sprintf("by the log.pruned of %s it was given up as one from before %s, "+
				"but the event before it is of %s",
				s.At.Format(time.DateOnly), s.Before.Format(time.DateOnly), before.Format(time.DateOnly))})
		}
	}
	return warnings
}

// warnHoles warnings that nothing happened between the day that was given up and the first event that is
// left. A proxy that runs leaves an event every CHECKPOINT_INTERVAL.
func warnHoles(gone []prunedRun, said []PrunedRange, told map[int]bool) (warnings []Warning) {
	var latest *PrunedRange // of the runs that no event stands between
	for i, g := range gone {
		if s := &said[g.teller]; latest == nil || s.Before.After(latest.Before) {
			latest = s
		}
		next := g.next
		if next == 0 && i < len(gone)-1 {
			continue
		}
		if next == 0 { // all that is left are log.pruned events
			next = latest.At.UnixMicro()
		}
		if fromMicro(next).After(latest.Before.Add(clockSlack)) && !told[g.teller] {
			told[g.teller] = true
			warnings = append(warnings, Warning{g.to, fmt.Sprintf("by the log.pruned of %s what is from before %s was given up, "+
				"but the first event that is left is of %s: nothing is left of the time between",
				latest.At.Format(time.DateOnly), latest.Before.Format(time.DateOnly), shortly(fromMicro(next)))})
		}
		latest = nil
	}
	return warnings
}
