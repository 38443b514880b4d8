// What was revoked while a backend was idle: PostgreSQL's own refusal comes, not the backend.
package pool_test

import (
	"context"
	"fmt"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

func TestARevokedAccountGetsNoIdleBackend(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		for _, row := range []struct {
			name, revoke, restore string
			code                  string
		}{
			{"nologin", "ALTER ROLE %s NOLOGIN", "ALTER ROLE %s LOGIN", "28000"},
			{"expired", "ALTER ROLE %s VALID UNTIL '2020-01-01'", "ALTER ROLE %s VALID UNTIL 'infinity'", "28P01"},
			{"unconnected", "REVOKE CONNECT ON DATABASE %s FROM PUBLIC", "GRANT CONNECT ON DATABASE %s TO PUBLIC", "42501"},
			{"closed", "ALTER DATABASE %s ALLOW_CONNECTIONS false", "ALTER DATABASE %s ALLOW_CONNECTIONS true", "55000"},
			{"renaming", "ALTER ROLE %s RENAME TO renamed_since", "ALTER ROLE renamed_since RENAME TO %s", "28P01"},
			{"dropped", "DROP ROLE %s", "", "28P01"},
		} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				account := "revoked_" + row.name
				if err := s.CreateUser(context.WithoutCancel(t.Context()), account, "right"); err != nil {
					t.Fatal(err)
				}
				admin(t, s, "postgres", "CREATE DATABASE "+account)
				p := newPools(t, config(at(s)))
				r := request(user(account), database(account), setting("gprxy.user", "ann"))

				one, two := acquire(t, p, r), acquire(t, p, r)
				pid := one.PID()
				release(t, one)
				if one = acquire(t, p, r); one.PID() != pid || !one.Reused() {
					t.Fatal("the idle backend was not reused before anything was revoked")
				}
				release(t, one)
				release(t, two)

				admin(t, s, "postgres", fmt.Sprintf(row.revoke, account))
				l, err := p.Acquire(t.Context(), r)
				if err == nil {
					l.Discard()
				}
				wantCode(t, err, row.code)
				eventually(t, "no backend of the account is open", func() bool { return stat(p, r.Key).Open == 0 })

				if row.restore != "" {
					admin(t, s, "postgres", fmt.Sprintf(row.restore, account))
				} else if err := s.CreateUser(context.WithoutCancel(t.Context()), account, "right"); err != nil {
					t.Fatal(err)
				}
				release(t, acquire(t, p, r))
			})
		}
	})
}

// PostgreSQL looks at VALID UNTIL only for a password, and at CONNECT for no superuser.
func TestWhatPostgreSQLDoesNotAskAtALoginIsNotAskedOfAnIdleBackend(t *testing.T) {
	t.Parallel()
	admin(t, server, "postgres", "CREATE DATABASE exempt")
	admin(t, server, "postgres", "REVOKE CONNECT ON DATABASE exempt FROM PUBLIC")
	admin(t, server, "postgres", "GRANT CONNECT ON DATABASE exempt TO open")
	admin(t, server, "postgres", "ALTER ROLE open VALID UNTIL '2020-01-01'")
	p := newPools(t, config())
	r := request(user("open"), database("exempt"))
	l := acquire(t, p, r)
	release(t, l)
	if next := acquire(t, p, r); next.PID() != l.PID() {
		t.Error("the idle backend of a role that needs no password was not reused after VALID UNTIL")
	}
}

// The role among the session's parameters is not who logs in; and names may hold anything.
func TestTheRoleThatLoggedInIsAskedAbout(t *testing.T) {
	t.Parallel()
	for _, r := range []pool.Request{
		request(parameter("role", "other")),
		request(user("jürgen")),
	} {
		p := newPools(t, config())
		l := acquire(t, p, r)
		release(t, l)
		if next := acquire(t, p, r); next.PID() != l.PID() {
			t.Errorf("the idle backend of %s with %v was not reused", r.User, r.Parameters)
		}
	}
}
