// Points in time as people type them for --since and --until.

package cmd

import (
	"strconv"
	"strings"
	"time"
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
	ago, ok := parseAgo(text)
	if !ok {
		return time.Time{}, false
	}
	t := now.Add(-ago).UTC()
	return t, plausible(t)
}

// plausible refuses years that the log, which counts microseconds, cannot hold or compare.
func plausible(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// parseAgo reads whole numbers with a unit each, largest first or not, and adds them up.
func parseAgo(text string) (time.Duration, bool) {
	const longest = 200 * 365 * 24 * time.Hour
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if digits == 0 || digits == len(rest) {
			return 0, false
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit, known := units[rest[digits]]
		if err != nil || !known || n > int64(longest/unit) {
			return 0, false
		}
		sum += time.Duration(n) * unit
		if sum > longest {
			return 0, false
		}
		rest = rest[digits+1:]
	}
	return sum, sum > 0
}
