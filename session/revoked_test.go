package session_test

import (
	"testing"

	"gprxy/auth"
)

// An account that was locked while its backend was idle: its people get PostgreSQL's own words, and the log has them.
func TestARevokedAccountIsRefusedInPostgreSQLsWords(t *testing.T) {
	admin(t, "create role app_revoked login password 'revoked-secret'")
	t.Cleanup(func() { admin(t, "drop role app_revoked") })
	p := startProxy(t, func(o *options) {
		roles, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{"LEAVER": {User: "app_revoked", Password: "revoked-secret"}}})
		if err != nil {
			t.Fatal(err)
		}
		o.session.Roles = roles
	})
	dsn := p.dsn("bob", token("bob@example.com", "leaver"))
	var pids []uint32
	for range 2 {
		conn := connect(t, dsn)
		pids = append(pids, conn.PgConn().PID())
		conn.Close(t.Context())
		p.untilAllEnded()
	}
	if pids[0] != pids[1] {
		t.Fatalf("the second session had a backend of its own: %d", pids)
	}
	admin(t, "alter role app_revoked nologin")
	answer := refused(t, dsn)
	if answer.Code != "28000" || answer.Message != `role "app_revoked" is not permitted to log in` {
		t.Errorf("answer %+v", answer)
	}
	if s := p.sessions()[0]; s.State != "refused" || s.EndReason != "postgresql_28000" {
		t.Errorf("session %+v", s)
	}
}
