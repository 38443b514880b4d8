// The settings of the event log as a record: how long it is kept, and how it is proved.

package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gprxy/session/sqltext"
	"gprxy/store"
)

// The values of AUDIT_STATEMENTS.
const (
	StatementsOff    = "off"
	StatementsText   = "text"
	StatementsParams = "params"
)

// Audit says what is recorded, how it is proved, and how long it is kept.
type Audit struct {
	Statements string // StatementsOff, StatementsText or StatementsParams
	Durability string // store.DurabilityAsync or store.DurabilityStrict
	MaxText    int    // bytes of a statement that are kept

	MaskColumns []string // more names of secrets; nil: the built-in ones alone

	CheckpointFile     string        // where the signed head goes; "": to the log lines
	CheckpointInterval time.Duration // 0: no checkpoints

	Retention    time.Duration // events older than this are pruned each day; 0: never
	RetentionMin time.Duration // nobody may prune younger ones
}

// Day is the unit of retention.
const Day = 24 * time.Hour

func auditSettings() []Row {
	return []Row{
		{Name: "AUDIT_STATEMENTS", Default: StatementsOff, Meaning: "what is recorded of statements: nothing, their text, or their bind values " +
			"(params) as well",
			Allowed: []string{StatementsOff, StatementsText, StatementsParams},
			parse:   text(func(s *Settings) *string { return &s.Audit.Statements })},
		{Name: "AUDIT_DURABILITY", Default: store.DurabilityAsync, Meaning: "when a statement is on disk: within 50ms of its end, or, with " +
			"strict, before it runs",
			Allowed: []string{store.DurabilityAsync, store.DurabilityStrict},
			parse:   text(func(s *Settings) *string { return &s.Audit.Durability })},
		{Name: "AUDIT_MAX_TEXT", Default: "1MiB", Meaning: "how much of a statement's text, and of its bind values, is kept; of a longer text " +
			"its beginning and end, its length and a hash",
			parse: size(1<<10, 16<<20, func(s *Settings) *int { return &s.Audit.MaxText })},
		{Name: "AUDIT_MASK_COLUMNS", None: "those gprxy knows", Meaning: "more names of columns, parameters and functions whose values are " +
			"masked in what is recorded: a list with commas",
			parse: maskColumns},
		{Name: "CHECKPOINT_INTERVAL", Default: "1h", Meaning: "how often the head of the event log is signed, also when nothing happens; off " +
			"for " +
			"never",
			parse: interval(func(s *Settings) *time.Duration { return &s.Audit.CheckpointInterval })},
		{Name: "CHECKPOINT_FILE", None: "a log line", Meaning: "file that always has the latest checkpoint, to be copied elsewhere",
			parse: filePath(func(s *Settings) *string { return &s.Audit.CheckpointFile })},
		{Name: "RETENTION", None: "everything is kept", Meaning: "how long events are kept, such as 400d; older ones are pruned each day",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.Retention })},
		{Name: "RETENTION_MIN", Default: "30d", Meaning: "the least that RETENTION and gprxy audit prune must leave",
			parse: age(func(s *Settings) *time.Duration { return &s.Audit.RetentionMin })},
	}
}

// maskColumns reads a list of names.
func maskColumns(s *Settings, _ *loader, text string) *badValue {
	const most = 1000
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !isMaskedName(name) {
			return &badValue{fmt.Sprintf("holds %q, which is not a name that can be masked", name),
				fmt.Sprintf("use names of %d to 63 letters, digits and underscores, without a schema or table before them, with commas between them",
					sqltext.ShortestName)}
		}
		names = append(names, name)
	}
	if len(names) > most {
		return &badValue{fmt.Sprintf("holds %d names", len(names)), fmt.Sprintf("use at most %d", most)}
	}
	s.Audit.MaskColumns = names
	return nil
}

func isMaskedName(name string) bool {
	if len(name) < sqltext.ShortestName || len(name) > 63 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// size takes a number of bytes, with kB, KiB, MB or MiB.
func size(lowest, highest int, field func(*Settings) *int) func(*Settings, *loader, string) *badValue {
	units := []struct {
		name  string
		bytes int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"kB", 1000}, {"MB", 1_000_000}, {"", 1}}
	return func(s *Settings, _ *loader, t string) *badValue {
		for _, u := range units {
			digits, found := strings.CutSuffix(t, u.name)
			n, err := strconv.Atoi(strings.TrimSpace(digits))
			if !found || err != nil {
				continue
			}
			if n > highest/u.bytes || n*u.bytes < lowest {
				return &badValue{fmt.Sprintf("is %q", t), fmt.Sprintf("use a size from %d to %d bytes", lowest, highest)}
			}
			*field(s) = n * u.bytes
			return nil
		}
		return &badValue{fmt.Sprintf("is %q", t), "use a size such as 65536, 64KiB or 1MiB"}
	}
}

// interval takes a duration, or off.
func interval(field func(*Settings) *time.Duration) func(*Settings, *loader, string) *badValue {
	some := duration(time.Second, 30*Day, field)
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
		d, ok := ParseAgo(t)
		if !ok || d < Day {
			return &badValue{fmt.Sprintf("is %q", t), "use a time of at least a day, such as 30d, 52w or 400d"}
		}
		*field(s) = d
		return nil
	}
}

func checkAudit(s *Settings, l *loader) {
	a := s.Audit
	if a.Durability == store.DurabilityStrict && a.Statements == StatementsOff && !l.bad("AUDIT_STATEMENTS") {
		l.warn("AUDIT_DURABILITY is strict, but AUDIT_STATEMENTS is off: statements are not recorded")
	}
	if a.MaskColumns != nil && a.Statements == StatementsOff && !l.bad("AUDIT_STATEMENTS") {
		l.warn("AUDIT_MASK_COLUMNS is set, but AUDIT_STATEMENTS is off: statements are not recorded")
	}
	if a.CheckpointFile != "" && a.CheckpointInterval == 0 && !l.bad("CHECKPOINT_INTERVAL") {
		l.warn("CHECKPOINT_FILE is set, but CHECKPOINT_INTERVAL is off: no checkpoints are made")
	}
	if a.Retention != 0 && a.Retention < a.RetentionMin && !l.bad("RETENTION_MIN") {
		l.problem("RETENTION", fmt.Sprintf("is %s, less than RETENTION_MIN (%s)", InDays(a.Retention), InDays(a.RetentionMin)),
			"set RETENTION to at least that, or RETENTION_MIN to less")
	}
}

// InDays shows a retention as people write it.
func InDays(d time.Duration) string { return fmt.Sprintf("%dd", d/Day) }
