package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	idleSessions = 200
	// Logins before the measuring: what the first ones touch is there for all.
	idleWarmUp = 5
	// What a proxy is given to finish what it does after the last login or goodbye.
	idleRest = time.Second
)

// measureIdle is the memory of sessions that do nothing: with the backend each of
// them holds, and, for gprxy, what it is more than that of an idle backend.
func measureIdle(ctx context.Context, l *lab) ([]row, error) {
	var whole, plain, secured series
	for _, to := range []target{l.bouncer, l.gprxy} {
		grown, err := l.growth(ctx, to, "disable")
		if err != nil {
			return nil, err
		}
		whole.add(to.name, grown)
	}
	for mode, s := range map[string]*series{"disable": &plain, "require": &secured} {
		grown, err := l.beyondBackend(ctx, mode)
		if err != nil {
			return nil, err
		}
		s.add(l.gprxy.name, grown)
	}
	beyond := plain.row("a client beyond its backend", "KiB each")
	return []row{
		whole.row(fmt.Sprintf("%d sessions, backend included", idleSessions), "KiB each"),
		beyond.aimed("at most 25 KiB", beyond.Gprxy <= 25),
		secured.row("the same inside TLS", "KiB each"),
	}, nil
}

// beyondBackend fills a gprxy's pool, and returns what each session adds that is
// then served from it. The memory limit, which cannot be kept, makes Go collect at
// once what logins leave behind: left are the sessions.
func (l *lab) beyondBackend(ctx context.Context, sslmode string) (float64, error) {
	to, err := l.runGprxy("GOMEMLIMIT=8MiB", "EVENT_LOG="+filepath.Join(l.dir, "idle-"+sslmode+".db"))
	if err != nil {
		return 0, err
	}
	defer l.stop(to)
	if _, err := l.growth(ctx, to, sslmode); err != nil {
		return 0, err
	}
	return l.growth(ctx, to, sslmode)
}

// growth is by how many KiB each of many sessions makes a proxy grow.
func (l *lab) growth(ctx context.Context, to target, sslmode string) (float64, error) {
	if _, err := l.residentWith(ctx, to, sslmode, idleWarmUp); err != nil {
		return 0, err
	}
	before, err := residentKiB(to.pid)
	if err != nil {
		return 0, err
	}
	after, err := l.residentWith(ctx, to, sslmode, idleSessions)
	return (after - before) / idleSessions, err
}

// residentWith is a proxy's memory while it has that many sessions.
func (l *lab) residentWith(ctx context.Context, to target, sslmode string, sessions int) (kib float64, err error) {
	config, err := l.config(to, sslmode)
	if err != nil {
		return 0, err
	}
	conns, err := l.open(ctx, config, sessions)
	if err == nil {
		time.Sleep(idleRest)
		kib, err = residentKiB(to.pid)
	}
	for _, conn := range conns {
		conn.Close(ctx)
	}
	time.Sleep(idleRest)
	return kib, err
}

func (l *lab) open(ctx context.Context, config *pgx.ConnConfig, n int) (conns []*pgx.Conn, err error) {
	for range n {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			return conns, err
		}
	}
	return conns, nil
}
