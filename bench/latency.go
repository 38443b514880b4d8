package main

import (
	"context"
	"time"
)

// How many statements each round times.
const roundTrips = 2000

// measureLatency is how long one client waits for the answer to one statement.
func measureLatency(ctx context.Context, l *lab) ([]row, error) {
	var half, nearlyAll series
	for range l.rounds {
		for _, to := range l.targets() {
			times, err := l.roundTrips(ctx, to)
			if err != nil {
				return nil, err
			}
			half.add(to.name, median(times))
			nearlyAll.add(to.name, quantile(times, 0.99))
		}
	}
	return []row{half.row("select 1, p50", "us"), nearlyAll.row("select 1, p99", "us")}, nil
}

// roundTrips is in microseconds.
func (l *lab) roundTrips(ctx context.Context, to target) ([]float64, error) {
	conn, err := l.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	times := make([]float64, roundTrips)
	for i := range times {
		began := time.Now()
		if _, err := conn.PgConn().Exec(ctx, "select 1").ReadAll(); err != nil {
			return nil, err
		}
		times[i] = float64(time.Since(began).Nanoseconds()) / 1000
	}
	return times, nil
}
