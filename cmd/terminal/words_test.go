// Durations as people read them.

package terminal

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                          "0 ms",
		0:                                     "0 ms",
		1500 * time.Microsecond:               "1 ms",
		1250 * time.Millisecond:               "1.2 s",
		59*time.Second + 999*time.Millisecond: "59.9 s",
		time.Minute:                           "1m 00s",
		3*time.Hour + 5*time.Minute:           "3h 05m",
		50 * time.Hour:                        "2d 02h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
