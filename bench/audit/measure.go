// Putting the questions to the binary.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// questions are answered while a person waits: in 200 ms.
var questions = [][]string{
	{"audit", "--since", "1h"},
	{"audit", "--user", "person007@example.com"},
	{"sessions", "--active"},
	{"sessions", "--user", "person007@example.com"},
	{"sessions", "--user", "person299@example.com"},
	{"audit", "--type", "auth.failed", "--since", "7d"},
}

func measure(ctx context.Context, p plan) (figures []figure, err error) {
	var verdict struct {
		Events float64 `json:"events"`
	}
	out, took, err := ask(ctx, p, "audit", "verify", "--json")
	if err == nil {
		err = json.Unmarshal(out, &verdict)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(p.file)
	if err != nil {
		return nil, err
	}
	figures = append(figures,
		figure{What: "events", Value: verdict.Events, Unit: "events"},
		figure{What: "size of an event", Value: float64(info.Size()) / verdict.Events, Unit: "bytes"},
		figure{What: "audit verify", Value: verdict.Events / took.Seconds(), Unit: "events/s", Limit: 500_000})
	for _, q := range questions {
		var times []time.Duration
		for range p.rounds {
			_, took, err := ask(ctx, p, q...)
			if err != nil {
				return nil, err
			}
			times = append(times, took)
		}
		slices.Sort(times)
		figures = append(figures, figure{What: fmt.Sprint("gprxy ", q), Value: float64(times[len(times)/2].Microseconds()) / 1000, Unit: "ms",
			Limit: 200})
	}
	size, err := measureSize(ctx, p)
	if err != nil {
		return nil, err
	}
	figures = append(figures, size...)
	live, err := measureFollow(ctx, p)
	if err != nil {
		return nil, err
	}
	whole, err := measureWhole(ctx, p, verdict.Events)
	return append(append(figures, live...), whole...), err
}

// measureWhole puts what needs all of the log, once.
func measureWhole(ctx context.Context, p plan, events float64) (figures []figure, err error) {
	page := filepath.Join(filepath.Dir(p.file), "review.html")
	defer os.Remove(page)
	_, took, err := ask(ctx, p, "audit", "report", "--no-verify", "--html", page)
	if err != nil {
		return nil, err
	}
	figures = append(figures, figure{What: "audit report --html, without verify", Value: float64(took.Milliseconds()), Unit: "ms",
		Limit: 10_000})
	for _, format := range []string{"jsonl", "csv", "ocsf"} {
		took, peak, err := discard(ctx, p, "audit", "export", "--format", format)
		if err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{What: "audit export --format " + format, Value: events / took.Seconds(), Unit: "events/s", Limit: 150_000},
			figure{What: "its memory", Value: peak, Unit: "MiB"})
	}
	return figures, nil
}

// discard runs gprxy and throws away what it prints. peak is its memory in MiB.
func discard(ctx context.Context, p plan, args ...string) (took time.Duration, peak float64, err error) {
	cmd := exec.CommandContext(ctx, p.binary, append(args, "--event-log", p.file)...)
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("gprxy %v: %w", args, err)
	}
	took = time.Since(began)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = float64(usage.Maxrss) / 1024
	}
	return took, peak, nil
}

// ask runs gprxy on the log, from the start of the process to its end.
func ask(ctx context.Context, p plan, args ...string) (out []byte, took time.Duration, err error) {
	cmd := exec.CommandContext(ctx, p.binary, append(args, "--event-log", p.file)...)
	var answer, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &complaint
	began := time.Now()
	err = cmd.Run()
	took = time.Since(began)
	if err != nil {
		return nil, took, fmt.Errorf("gprxy %v: %w: %s", args, err, complaint.String())
	}
	return answer.Bytes(), took, nil
}
