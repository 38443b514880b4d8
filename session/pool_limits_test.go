package session_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/pool/pooltest"
	"gprxy/session"
)

// POOL_MAX_PER_USER: who comes with more is refused at once, in words, and the log says why. Other people are not.
func TestAPersonMayHaveSoManySessions(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns, o.pool.MaxPerPerson = 10, 3 })
	var served, refused atomic.Int32
	conns := make(chan *pgconn.PgConn, 20)
	var all sync.WaitGroup
	for i := range 20 {
		role := []string{"reader", "writer"}[i%2] // one person, two accounts
		dsn := p.dsn("eve", token("eve@example.com", role))
		all.Go(func() {
			conn, err := pgconn.Connect(t.Context(), dsn)
			switch {
			case err == nil:
				served.Add(1)
				conns <- conn
			case strings.Contains(err.Error(), "POOL_MAX_PER_USER allows 3") && strings.Contains(err.Error(), "53300"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if served.Load() != 3 || refused.Load() != 17 {
		t.Errorf("%d were served, %d refused", served.Load(), refused.Load())
	}
	said := 0
	for _, s := range p.sessions() {
		if s.State == "refused" && s.EndReason == "pool_max_per_user" && s.User == "eve@example.com" {
			said++
		}
	}
	if said != 17 {
		t.Errorf("%d refusals with their reason in the log", said)
	}
	connect(t, p.dsn("bob", token("bob@example.com", "reader"))).Close(t.Context())
	for range 3 {
		(<-conns).Close(t.Context())
	}
	waitIdle(t, p)
	connect(t, p.dsn("eve", token("eve@example.com", "reader"))).Close(t.Context())
}

func TestAnOldServerIsToldInWords(t *testing.T) {
	t.Parallel()
	port := pooltest.Claiming(t, "12.22 (Debian 12.22-1)")
	p := startProxy(t, func(o *options) { o.pool.Port = port; o.session.Passwords = session.PasswordSelf })
	for what, dsn := range map[string]string{"a token": p.dsn("eve", token("eve@example.com", "reader")),
		"a password": p.dsn("alice", alicePassword)} {
		answer := refused(t, dsn)
		if answer.Code != "0A000" || answer.Message != "PostgreSQL 12.22 is too old for gprxy, which needs 13 or later" || answer.Hint == "" {
			t.Errorf("%s: %+v", what, answer)
		}
	}
	for _, s := range p.sessions() {
		if s.EndReason != "postgresql_too_old" {
			t.Errorf("session %+v", s)
		}
	}
}
