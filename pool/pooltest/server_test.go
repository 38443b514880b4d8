// The provider against the real server it starts.
package pooltest_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/pool/pooltest"
)

func TestStartAnswersRestartsAndLeavesNothing(t *testing.T) {
	began := time.Now()
	s, err := pooltest.Start(t.Context(), pooltest.Options{TLS: true, Settings: map[string]string{"work_mem": "7MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %s", time.Since(began))
	if rows, err := s.Query(t.Context(), "postgres", "SHOW work_mem"); err != nil || rows[0][0] != "7MB" {
		t.Errorf("work_mem: %v, %v", rows, err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatalf("restart: %v", err)
	}
	conn, err := pgconn.Connect(t.Context(), s.SuperuserDSN())
	if err != nil {
		t.Fatalf("connecting over TLS: %v", err)
	}
	conn.Close(t.Context())
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(s.RootCert)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server's folder is still there: %v", err)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("the port still answers")
	}
}

func TestUsersAreAskedForTheirPassword(t *testing.T) {
	s := pooltest.New(t, pooltest.Options{UserAuth: map[string]string{"old": "md5", "open": "trust"}})
	for _, name := range []string{"old", "open", "new"} {
		if err := s.CreateUser(t.Context(), name, "right"); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		user, password string
		refused        bool
	}{
		{"old", "right", false}, {"old", "wrong", true},
		{"new", "right", false}, {"new", "wrong", true},
		{"open", "wrong", false},
		{pooltest.Superuser, s.SuperuserPassword, false}, {pooltest.Superuser, "wrong", true},
	} {
		conn, err := pgconn.Connect(t.Context(), s.DSN(row.user, row.password, "postgres"))
		if (err != nil) != row.refused {
			t.Errorf("%s with password %s: %v", row.user, row.password, err)
		}
		if err == nil {
			conn.Close(t.Context())
		}
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]pooltest.Options{
		"unknown method":        {Auth: "magic"},
		"line break in setting": {Settings: map[string]string{"a": "b\nc"}},
		"folder with nothing":   {BinDir: t.TempDir()},
	} {
		if s, err := pooltest.Start(t.Context(), o); err == nil {
			s.Stop()
			t.Errorf("%s: started", name)
		}
	}
}
