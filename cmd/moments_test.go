// Times as people type them.

package cmd

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.FixedZone("", 3600))
	for _, row := range []struct{ typed, want string }{
		{"90s", "2026-03-05T10:58:30Z"},
		{"1h", "2026-03-05T10:00:00Z"},
		{"1h30m", "2026-03-05T09:30:00Z"},
		{"7d", "2026-02-26T11:00:00Z"},
		{"2w", "2026-02-19T11:00:00Z"},
		{"1d12h", "2026-03-03T23:00:00Z"},
		{" 1h ", "2026-03-05T10:00:00Z"},
		{"2026-03-01", "2026-03-01T00:00:00Z"},
		{"2026-03-01 09:30:00", "2026-03-01T09:30:00Z"},
		{"2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z"},
		{"2026-03-01T09:30:00.123456Z", "2026-03-01T09:30:00.123456Z"},
		{"2026-03-01T09:30:00+02:00", "2026-03-01T07:30:00Z"},
		{"", ""}, {"0s", ""}, {"1", ""}, {"h", ""}, {"-1h", ""}, {"1.5h", ""}, {"1H", ""}, {"1y", ""}, {"1 h", ""},
		{"yesterday", ""}, {"2026-02-30", ""}, {"2026-03-01T09:30", ""}, {"99999999999999999999s", ""}, {"9999999999w", ""},
	} {
		got, ok := parseMoment(row.typed, now)
		if ok != (row.want != "") || ok && got.Format(time.RFC3339Nano) != row.want {
			t.Errorf("%q: %s, %v; want %q", row.typed, got.Format(time.RFC3339Nano), ok, row.want)
		}
	}
}

func FuzzParseMoment(f *testing.F) {
	for _, seed := range []string{"90s", "1d12h", "2026-03-01", "2026-03-01T09:30:00+23:59", "9223372036854775807s", "0000-01-01", "１h"} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseMoment(text, now)
		if !ok {
			return
		}
		if back := time.UnixMicro(got.UnixMicro()).UTC(); !back.Equal(got.Truncate(time.Microsecond)) {
			t.Errorf("%q is %s, which the log cannot hold", text, got)
		}
		if again, ok := parseMoment(got.Format(time.RFC3339Nano), now); !ok || !again.Equal(got) {
			t.Errorf("%q is %s, which is not understood again", text, got)
		}
	})
}
