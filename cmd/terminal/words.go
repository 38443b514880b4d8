// Package terminal makes texts fit for people at terminals: nothing from outside moves the cursor or hides anything, times and
// durations are short, numbers agree with their nouns.
package terminal

import (
	"fmt"
	"strings"
	"time"
)

// ShortTime is how tables show a time: UTC, to the second.
func ShortTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}

// Span is a duration to two figures that matter.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// InWords shows a reason of the log, such as client_gone, as words.
func InWords(reason string) string { return strings.ReplaceAll(reason, "_", " ") }

// Counted is a number with its noun: 1 event, 2 events.
func Counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Milliseconds is Span of that many milliseconds.
func Milliseconds(ms float64) string { return Span(time.Duration(ms * float64(time.Millisecond))) }
