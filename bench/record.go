package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// measureRecording is what it costs to record statements: gprxy that does not, and others beside it
// that do, in the same rounds.
func measureRecording(ctx context.Context, l *lab) (rows []row, err error) {
	ways := []struct {
		what string
		env  []string
	}{
		{"text", []string{"AUDIT_STATEMENTS=text"}},
		{"params", []string{"AUDIT_STATEMENTS=params"}},
		{"text, strict", []string{"AUDIT_STATEMENTS=text", "AUDIT_DURABILITY=strict"}},
	}
	var recording []target
	for i, way := range ways {
		to, err := l.runGprxy(append(way.env, "EVENT_LOG="+filepath.Join(l.dir, fmt.Sprintf("record-%d.db", i)))...)
		if err != nil {
			return nil, err
		}
		defer l.stop(to)
		recording = append(recording, to)
	}
	for _, clients := range l.clients {
		var off, offCost series
		speed, cost := make([]series, len(ways)), make([]series, len(ways))
		all := append([]target{l.gprxy}, recording...)
		for round := range l.rounds {
			for turn := range all { // whoever comes after a heavy one is the slower for it
				i := (round + turn) % len(all)
				to := all[i]
				s, err := l.steady(ctx, to, nil, "-M", "prepared", "-c", strconv.Itoa(clients))
				if err != nil {
					return nil, err
				}
				if i == 0 {
					off.gprxy = append(off.gprxy, s.transactions/s.seconds)
					offCost.gprxy = append(offCost.gprxy, s.microseconds/s.transactions)
					continue
				}
				speed[i-1].gprxy = append(speed[i-1].gprxy, s.transactions/s.seconds)
				cost[i-1].gprxy = append(cost[i-1].gprxy, s.microseconds/s.transactions)
			}
		}
		nothing := fmt.Sprintf("nothing, %d", clients)
		rows = append(rows, off.row(nothing, "tps"), offCost.row(nothing, "CPU us/tx"))
		for i, way := range ways {
			what := fmt.Sprintf("%s, %d", way.what, clients)
			r := speed[i].row(what, "tps")
			r.ToOff = median(ratios(speed[i].gprxy, off.gprxy))
			if way.what == "text" {
				r = r.aimed("at least 0.9x no record", r.ToOff >= 0.9)
			}
			spent := cost[i].row(what, "CPU us/tx")
			spent.ToOff = median(ratios(cost[i].gprxy, offCost.gprxy))
			rows = append(rows, r, spent)
		}
	}
	return rows, nil
}
