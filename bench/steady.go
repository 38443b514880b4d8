package main

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The relay's figures: sessions that run one small query after the other. Their
// logins come before the measuring, and are measured elsewhere.

// progress is what pgbench reports each second.
var progress = regexp.MustCompile(`^progress: ([0-9.]+) s, ([0-9.]+) tps`)

// loginLimit is how long the clients may take to get in.
const loginLimit = 20 * time.Second

func measureSelect(ctx context.Context, l *lab) (rows []row, err error) {
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, clients := range l.clients {
			some, err := l.interleave(ctx, fmt.Sprintf("%s, %d", mode, clients), l.targets(), nil, "-M", mode, "-c", strconv.Itoa(clients))
			if err != nil {
				return nil, err
			}
			rows = append(rows,
				some[0].aimed("at least 0.9x PgBouncer", some[0].ToOther >= 0.9),
				some[1].aimed("at most 1.5x PgBouncer", some[1].ToOther <= 1.5))
		}
	}
	return rows, nil
}

func measureTLS(ctx context.Context, l *lab) (rows []row, err error) {
	for _, clients := range l.clients {
		// The lab's PostgreSQL offers no TLS.
		some, err := l.interleave(ctx, fmt.Sprintf("prepared, %d", clients), []target{l.bouncer, l.gprxy},
			[]string{"PGSSLMODE=require"}, "-M", "prepared", "-c", strconv.Itoa(clients))
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// interleave runs one pgbench configuration through the targets, round by round.
func (l *lab) interleave(ctx context.Context, what string, targets []target, env []string, args ...string) ([]row, error) {
	var speed, cost series
	for range l.rounds {
		for _, to := range targets {
			s, err := l.steady(ctx, to, env, args...)
			if err != nil {
				return nil, err
			}
			speed.add(to.name, s.transactions/s.seconds)
			if to.pid != 0 {
				cost.add(to.name, s.microseconds/s.transactions)
			}
		}
	}
	return []row{speed.row(what, "tps"), cost.row(what, "CPU us/tx")}, nil
}

// A stretch is a part of a pgbench run, and the proxy's processor time meanwhile.
type stretch struct {
	begun                               bool
	began, cpuBefore                    float64
	transactions, seconds, microseconds float64
}

// report takes in what pgbench says at a time: how fast it was since the last. The
// first report that tells of transactions begins the stretch.
func (s *stretch) report(to target, at, tps float64) error {
	cpu, err := to.cpu()
	if !s.begun {
		s.begun, s.began, s.cpuBefore = tps > 0, at, cpu
		return err
	}
	s.transactions += tps * (at - s.began - s.seconds)
	s.seconds, s.microseconds = at-s.began, cpu-s.cpuBefore
	return err
}

// steady runs pgbench until all clients were in for the plan's time.
func (l *lab) steady(ctx context.Context, to target, env []string, args ...string) (s stretch, err error) {
	ctx, stop := context.WithTimeout(ctx, loginLimit+time.Duration(l.seconds)*time.Second)
	defer stop()
	cmd := l.command(ctx, "pgbench", to, benchPassword, env, append([]string{"-n", "-S", "-P", "1", "-T", "3600"}, args...)...)
	reports, err := cmd.StderrPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, err
	}
	var text strings.Builder
	for lines := bufio.NewScanner(reports); int(s.seconds+0.5) < l.seconds && lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if m := progress.FindStringSubmatch(lines.Text()); m != nil && err == nil {
			err = s.report(to, parse(m[1]), parse(m[2]))
		}
	}
	stop()
	ended := cmd.Wait()
	if err == nil && s.transactions == 0 {
		err = fmt.Errorf("pgbench through %s: %w\n%s", to.name, ended, &text)
	}
	return s, err
}

// cpu is the processor time the proxy has used so far, in microseconds.
func (t target) cpu() (float64, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return cpuMicroseconds(t.pid)
}

func parse(figure string) float64 {
	v, err := strconv.ParseFloat(figure, 64)
	if err != nil {
		return 0
	}
	return v
}
