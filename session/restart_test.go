package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/pool/pooltest"
)

// A server of the test's own, to be taken down, and a proxy before it. It has the roles of furnish.
func breakable(t *testing.T, change ...func(*options)) (*pooltest.Server, *proxy) {
	t.Helper()
	server := pooltest.New(t, pooltest.Options{})
	for _, name := range []string{"app_reader:reader-secret", "gprxy_service:service-secret", "alice:" + alicePassword} {
		user, password, _ := strings.Cut(name, ":")
		if err := server.CreateUser(t.Context(), user, password); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Exec(t.Context(), "CREATE DATABASE "+database); err != nil {
		t.Fatal(err)
	}
	quiet := func(o *options) {
		o.pool.Port = server.Port
		o.pool.MaxConns, o.pool.AcquireTimeout, o.pool.RestartWait = 20, 20*time.Second, 20*time.Second
		o.logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return server, startProxy(t, append([]func(*options){quiet}, change...)...)
}

// A restart of PostgreSQL costs the sessions that are open, and no login, however many want in meanwhile.
func TestARestartUnderClientsThatReconnect(t *testing.T) {
	server, p := breakable(t, func(o *options) { o.session.WaitNotice = 100 * time.Millisecond })
	const clients = 20
	var logins, cut atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for i := range clients {
		password := token(fmt.Sprintf("p%d@example.com", i), "reader")
		if i%4 == 0 {
			password = alicePassword
		}
		all.Go(func() {
			for ctx.Err() == nil {
				conn, err := pgx.Connect(context.WithoutCancel(ctx), p.dsn("alice", password))
				if err != nil {
					t.Errorf("a login failed: %v", err)
					return
				}
				logins.Add(1)
				if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
					cut.Add(1)
					wantCut(t, err)
				}
				conn.Close(t.Context())
			}
		})
	}
	for name, restart := range map[string]func() error{
		"fast":      server.Down,
		"immediate": server.Abort,
		"crash":     func() error { return server.Crash(t.Context()) },
	} {
		before, cutBefore := logins.Load(), cut.Load()
		eventually(t, "the clients are in", 30*time.Second, func() bool { return logins.Load() > before+clients })
		if err := restart(); err != nil {
			t.Fatal(err)
		}
		if err := server.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		before = logins.Load()
		eventually(t, "the clients are in again", 30*time.Second, func() bool { return logins.Load() > before+clients })
		if n := cut.Load() - cutBefore; n > clients {
			t.Errorf("%s: %d sessions of %d clients were cut", name, n, clients)
		}
		t.Logf("%s: %d sessions were cut, no login failed", name, cut.Load()-cutBefore)
	}
	stop()
	all.Wait()

	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	waits := dial(t, p.addr)
	send(t, waits, startupPacket(3<<16, "user", "eve", "database", database))
	receive(t, waits)
	send(t, waits, message('p', token("eve@example.com", "reader")+"\x00"))
	wantWelcome(t, waits, "waiting for PostgreSQL: PostgreSQL is unreachable: connection refused")
	if err := server.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	receiveUntil(t, waits, 'Z')
	if refused := p.records("session.refused"); len(refused) > 0 {
		t.Errorf("%d logins were refused, e.g. %s", len(refused), refused[0].Detail)
	}
}

// wantCut requires one of the ends that a session may meet when its server goes.
func wantCut(t *testing.T, err error) {
	t.Helper()
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if ok && answer.Code != "57P01" && answer.Code != "57P02" && answer.Code != "08006" {
		t.Errorf("a session ended with %v", err)
	}
}
