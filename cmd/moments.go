// Points in time as people type them for --since and --until.

package cmd

import (
	"strings"
	"time"

	"gprxy/cmd/settings"
)

const momentExamples = "90s, 1h, 7d, 2026-03-01 or 2026-03-01T09:30:00Z"

// parseMoment understands a time ago (90s, 30m, 1h, 7d, 2w, 1d12h), an RFC 3339 time, a date, which is
// the beginning of that day in UTC, and a UTC time as our tables show it.
func parseMoment(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), plausible(t)
		}
	}
	ago, ok := settings.ParseAgo(text)
	if !ok {
		return time.Time{}, false
	}
	t := now.Add(-ago).UTC()
	return t, plausible(t)
}

// plausible refuses years that the log, which counts microseconds, cannot hold or compare.
func plausible(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }
