// The settings of the event log as a record: how long it is kept.

package cmd

import (
	"fmt"
	"time"
)

// AuditSettings say what is recorded, how it is proved, and how long it is kept.
type AuditSettings struct {
	Retention    time.Duration // events older than this are pruned each day; 0: never
	RetentionMin time.Duration // nobody may prune younger ones
}

const day = 24 * time.Hour

func auditSettings() []setting {
	return []setting{
		{name: "RETENTION", none: "everything is kept", meaning: "how long events are kept, such as 400d; older ones are pruned each day",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.Retention })},
		{name: "RETENTION_MIN", def: "30d", meaning: "the least that RETENTION and gprxy audit prune must leave",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.RetentionMin })},
	}
}

// age takes a time in days or weeks, as --since does, of at least a day.
func age(field func(*Settings) *time.Duration) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		d, ok := parseAgo(t)
		if !ok || d < day {
			return &badValue{fmt.Sprintf("is %q", t), "use a time of at least a day, such as 30d, 52w or 400d"}
		}
		*field(s) = d
		return nil
	}
}

func checkRetention(s *Settings, l *loader) {
	a := s.Audit
	if a.Retention != 0 && a.Retention < a.RetentionMin && !l.bad("RETENTION_MIN") {
		l.problem("RETENTION", fmt.Sprintf("is %s, less than RETENTION_MIN (%s)", inDays(a.Retention), inDays(a.RetentionMin)),
			"set RETENTION to at least that, or RETENTION_MIN to less")
	}
}

func inDays(d time.Duration) string { return fmt.Sprintf("%dd", d/day) }
