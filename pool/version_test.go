// Servers that are too old.
package pool_test

import (
	"errors"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

func old(t *testing.T, version string) *pool.Pools {
	t.Helper()
	port := pooltest.Claiming(t, version)
	return newPools(t, config(func(c *pool.Config) { c.Port = port }))
}

func TestOldServersAreRefusedInWords(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ says, version string }{
		{"12.22 (Debian 12.22-1.pgdg120+1)", "12.22"}, {"9.6.24", "9.6.24"}, {"12beta1", "12beta1"},
	} {
		p := old(t, row.says)
		_, acquiring := p.Acquire(t.Context(), request())
		_, replicating := p.Acquire(t.Context(), request(walsender(pool.PhysicalReplication, "on")))
		checking := p.CheckLogin(t.Context(), request())
		_, asking := p.Account(t.Context(), request())
		for what, err := range map[string]error{"Acquire": acquiring, "a walsender": replicating, "CheckLogin": checking, "Superuser": asking} {
			old, ok := errors.AsType[*pool.VersionError](err)
			if !ok || old.Version != row.version {
				t.Errorf("%s: %s got %v", row.says, what, err)
			}
		}
		if err := p.Down(); err != nil {
			t.Errorf("%s counts as an outage: %v", row.says, err)
		}
	}
	for _, version := range []string{"13.0", "18.4", "19devel"} {
		if err := old(t, version).CheckLogin(t.Context(), request()); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}
