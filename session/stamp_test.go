package session_test

import (
	"strings"
	"testing"
)

// However long the client's own name is and whatever the person's holds, PostgreSQL's views show who it is.
func TestThePersonStandsFirstInApplicationName(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.session.StampApplicationName = true })
	conn := connect(t, p.dsn("bob", token("jürgen@example.com", "reader"), "application_name="+strings.Repeat("n", 70)))
	got := admin(t, "select application_name from pg_stat_activity where pid = "+ask[string](t, conn, "select pg_backend_pid()::text"))
	want := `[j\u00FCrgen@example.com] ` + strings.Repeat("n", 63)
	if got != want[:63] {
		t.Errorf("PostgreSQL shows %q", got)
	}
}
