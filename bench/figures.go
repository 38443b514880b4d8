package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A row is one figure of each target, medians over the rounds. The ratios are
// medians of the rounds' own ratios, because the machine drifts between rounds.
type row struct {
	What     string  `json:"what"`
	Unit     string  `json:"unit"`
	Direct   float64 `json:"direct,omitempty"`
	Bouncer  float64 `json:"pgbouncer,omitempty"`
	Gprxy    float64 `json:"gprxy"`
	ToDirect float64 `json:"gprxy_to_direct,omitempty"`
	ToOther  float64 `json:"gprxy_to_pgbouncer,omitempty"`
	ToOff    float64 `json:"gprxy_to_no_record,omitempty"`
	Aim      string  `json:"aim,omitempty"`
	Met      *bool   `json:"met,omitempty"` // whether the aim is; nil without one
}

// aimed notes what the figure should be.
func (r row) aimed(aim string, met bool) row {
	r.Aim, r.Met = aim, &met
	return r
}

// verdict is the aim, and whether it is met.
func (r row) verdict() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return r.Aim + ": met"
	}
	return r.Aim + ": MISSED"
}

// series collects one figure over the rounds.
type series struct{ direct, bouncer, gprxy []float64 }

func (s *series) add(name string, value float64) {
	switch name {
	case "direct":
		s.direct = append(s.direct, value)
	case "PgBouncer":
		s.bouncer = append(s.bouncer, value)
	default:
		s.gprxy = append(s.gprxy, value)
	}
}

func (s *series) row(what, unit string) row {
	return row{
		What: what, Unit: unit,
		Direct: median(s.direct), Bouncer: median(s.bouncer), Gprxy: median(s.gprxy),
		ToDirect: median(ratios(s.gprxy, s.direct)), ToOther: median(ratios(s.gprxy, s.bouncer)),
	}
}

func ratios(a, b []float64) (all []float64) {
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			all = append(all, a[i]/b[i])
		}
	}
	return all
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile is the value that the given part of all does not exceed.
func quantile(values []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(part*float64(len(sorted)-1))]
}

func printTable(out io.Writer, title string, rows []row) {
	fmt.Fprintf(out, "\n%s\n", title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tunit\tdirect\tPgBouncer\tgprxy\tto direct\tto PgBouncer\tto no record\taim\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.What, r.Unit,
			number(r.Direct), number(r.Bouncer), number(r.Gprxy), ratio(r.ToDirect), ratio(r.ToOther), ratio(r.ToOff), r.verdict())
	}
	t.Flush()
}

func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func ratio(v float64) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + "x"
}

// cpuMicroseconds is the processor time a process has used so far.
func cpuMicroseconds(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses and may hold blanks.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	const ticks = 100 // USER_HZ on every Linux of today
	return (user + system) / ticks * 1e6, err
}

// residentKiB is a process's memory.
func residentKiB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}
