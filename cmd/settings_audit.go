// The settings of the event log as a record: how long it is kept, and how it is proved.

package cmd

import (
	"fmt"
	"time"
)

// AuditSettings say what is recorded, how it is proved, and how long it is kept.
type AuditSettings struct {
	CheckpointFile     string        // where the signed head goes; "": to the log lines
	CheckpointInterval time.Duration // 0: no checkpoints

	Retention    time.Duration // events older than this are pruned each day; 0: never
	RetentionMin time.Duration // nobody may prune younger ones
}

const day = 24 * time.Hour

func auditSettings() []setting {
	return []setting{
		{name: "CHECKPOINT_INTERVAL", def: "1h", meaning: "how often the head of the event log is signed, also when nothing happens; off for never",
			parse: interval(func(s *Settings) *time.Duration { return &s.Audit.CheckpointInterval })},
		{name: "CHECKPOINT_FILE", none: "a log line", meaning: "file that always has the latest checkpoint, to be copied elsewhere",
			parse: filePath(func(s *Settings) *string { return &s.Audit.CheckpointFile })},
		{name: "RETENTION", none: "everything is kept", meaning: "how long events are kept, such as 400d; older ones are pruned each day",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.Retention })},
		{name: "RETENTION_MIN", def: "30d", meaning: "the least that RETENTION and gprxy audit prune must leave",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.RetentionMin })},
	}
}

// interval takes a duration, or off.
func interval(field func(*Settings) *time.Duration) func(*Settings, *loader, string) *badValue {
	some := duration(time.Second, 30*day, field)
	return func(s *Settings, l *loader, t string) *badValue {
		if t == "off" {
			*field(s) = 0
			return nil
		}
		return some(s, l, t)
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

func checkAudit(s *Settings, l *loader) {
	a := s.Audit
	if a.CheckpointFile != "" && a.CheckpointInterval == 0 && !l.bad("CHECKPOINT_INTERVAL") {
		l.warn("CHECKPOINT_FILE is set, but CHECKPOINT_INTERVAL is off: no checkpoints are made")
	}
	if a.Retention != 0 && a.Retention < a.RetentionMin && !l.bad("RETENTION_MIN") {
		l.problem("RETENTION", fmt.Sprintf("is %s, less than RETENTION_MIN (%s)", inDays(a.Retention), inDays(a.RetentionMin)),
			"set RETENTION to at least that, or RETENTION_MIN to less")
	}
}

func inDays(d time.Duration) string { return fmt.Sprintf("%dd", d/day) }
