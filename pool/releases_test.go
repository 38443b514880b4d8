// The releases of PostgreSQL that the proof of cleanness must hold on: the oldest, the one that is installed, the newest.
package pool_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// major is a server of one major version, started by the first test that needs it and stopped after the last.
type major struct {
	number int // 0: the server of all other tests
	once   sync.Once
	server *pooltest.Server
	err    error
}

var majors = []*major{{number: pooltest.OldestMajor}, {}, {number: pooltest.NewestMajor}}

// onEachRelease runs a test on all of them at once.
func onEachRelease(t *testing.T, test func(t *testing.T, s *pooltest.Server)) {
	for _, m := range majors {
		name := "installed"
		if m.number != 0 {
			name = strconv.Itoa(m.number)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, m.start(t))
		})
	}
}

func (m *major) start(t *testing.T) *pooltest.Server {
	t.Helper()
	m.once.Do(func() {
		if m.number == 0 {
			m.server = server
			return
		}
		ctx := context.WithoutCancel(t.Context())
		var bin string
		if bin, m.err = pooltest.Release(ctx, m.number, os.Stderr); m.err != nil {
			return
		}
		// Passwords are tested elsewhere, but for these roles.
		asked := map[string]string{}
		for _, role := range []string{"revoked_expired", "revoked_renaming", "revoked_dropped"} {
			asked[role] = "scram-sha-256"
		}
		o := pooltest.Options{BinDir: bin, Auth: "trust", UserAuth: asked}
		if m.server, m.err = pooltest.Start(ctx, o); m.err == nil {
			m.err = createRoles(ctx, m.server)
		}
	})
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.server
}

// stopMajors is for the end of all tests.
func stopMajors() {
	for _, m := range majors {
		if m.number != 0 && m.server != nil {
			m.server.Stop()
		}
	}
}

// at is for another server than the usual one.
func at(s *pooltest.Server) func(*pool.Config) {
	return func(c *pool.Config) { c.Port = s.Port }
}
