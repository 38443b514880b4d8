package main

import (
	"context"
	"fmt"
)

// measureIdle opens many sessions that do nothing. A session holds a backend, so
// gprxy's figure is that of client and backend together.
func measureIdle(ctx context.Context, l *lab) ([]row, error) {
	var memory series
	const sessions = maxSessions - 20
	for _, to := range []target{l.bouncer, l.gprxy} {
		before, err := residentKiB(to.pid)
		if err != nil {
			return nil, err
		}
		conns, err := l.open(ctx, to, sessions)
		if err == nil {
			var after float64
			after, err = residentKiB(to.pid)
			memory.add(to.name, (after-before)/sessions)
		}
		for _, conn := range conns {
			conn.Close(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return []row{memory.row(fmt.Sprintf("%d sessions, backend included", sessions), "KiB each")}, nil
}
