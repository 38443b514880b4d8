// Startup parameters, settings and what the lease reports.
package pool_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gprxy/pool"
)

func TestStartupParametersAreTheDefaultsThatResetReturnsTo(t *testing.T) {
	p := newPools(t, config())
	l := acquire(t, p, request(parameter("statement_timeout", "1234"), parameter("options", "-c work_mem=5MB")))
	ask(t, l, "SET statement_timeout = 0; SET work_mem = '8MB'")
	ask(t, l, "RESET ALL")
	if got := ask(t, l, "SHOW statement_timeout"); got != "1234ms" {
		t.Errorf("RESET ALL gives statement_timeout %s", got)
	}
	if got := ask(t, l, "SHOW work_mem"); got != "5MB" {
		t.Errorf("RESET ALL gives work_mem %s", got)
	}
}

func TestBackendsAreSharedByClientsWithTheSameParametersOnly(t *testing.T) {
	p := newPools(t, config(maxConns(4)))
	use := func(changes ...func(*pool.Request)) uint32 {
		t.Helper()
		l := acquire(t, p, request(changes...))
		defer release(t, l)
		for _, change := range changes {
			var r pool.Request
			change(&r)
			for _, p := range r.Parameters {
				if got := ask(t, l, "SHOW "+p.Name); got != p.Value {
					t.Errorf("%s is %q, want %q", p.Name, got, p.Value)
				}
			}
		}
		return l.PID()
	}
	a := use(parameter("application_name", "a"))
	b := use(parameter("application_name", "b"))
	none := use()
	if a == b || a == none || b == none {
		t.Errorf("backends shared: %d %d %d", a, b, none)
	}
	if got := use(parameter("application_name", "a")); got != a {
		t.Errorf("the backend with application_name a was not used again")
	}
	if got := use(parameter("APPLICATION_NAME", "a")); got != a {
		t.Error("the case of a parameter's name matters")
	}
}

func TestTheOrderOfParametersMattersOnlyWhereOneComesTwice(t *testing.T) {
	p := newPools(t, config(maxConns(9)))
	pid := func(pairs ...string) uint32 {
		t.Helper()
		l := acquire(t, p, request(parameters(pairs...)))
		defer release(t, l)
		return l.PID()
	}
	first := pid("work_mem", "1MB", "DateStyle", "German")
	if pid("datestyle", "German", "Work_Mem", "1MB") != first {
		t.Error("the order and the case of names matter")
	}
	for _, other := range [][]string{
		{"work_mem", "3MB", "work_mem", "1MB", "DateStyle", "German"},
		{"work_mem", "1MB", "WORK_MEM", "3MB", "DateStyle", "German"},
		{"work_mem", "1MB", "sort_mem", "3MB", "DateStyle", "German"},
		{"sort_mem", "3MB", "work_mem", "1MB", "DateStyle", "German"},
	} {
		l := acquire(t, p, request(parameters(other...)))
		want := "1MB"
		if other[3] == "3MB" {
			want = "3MB"
		}
		if got := ask(t, l, "SHOW work_mem"); got != want || l.Reused() {
			t.Errorf("%q: work_mem is %s, the backend reused %t", other, got, l.Reused())
		}
		release(t, l)
	}
	quiet := pid("client_min_messages", "error", "application_name", strings.Repeat("n", 70))
	if pid("application_name", strings.Repeat("n", 70), "client_min_messages", "error") == quiet {
		t.Error("a login without notices serves one that would have had one")
	}
	pid("options", "-c work_mem=1MB", "DateStyle", "German")
	// An earlier value is checked, too, and a name that is not ASCII is another one.
	for _, bad := range [][]string{
		{"work_mem", "much", "work_mem", "1MB", "DateStyle", "German"},
		{"wor\u212a_mem", "1MB", "DateStyle", "German"},
		{"OPTIONS", "-c work_mem=1MB", "DateStyle", "German"},
	} {
		if _, err := p.Acquire(t.Context(), request(parameters(bad...))); err == nil {
			t.Errorf("%q got a backend", bad)
		}
	}
}

func TestBadParametersAreRefusedByPostgreSQL(t *testing.T) {
	p := newPools(t, config())
	for name, row := range map[string]struct{ parameter, value, code string }{
		"bad value":    {"work_mem", "much", "22023"},
		"unknown name": {"no_such_thing", "1", "42704"},
		"bad option":   {"options", "-c", "42601"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Acquire(t.Context(), request(parameter(row.parameter, row.value)))
			wantCode(t, err, row.code)
		})
	}
	if s := p.Stats(); len(s) != 0 {
		t.Errorf("something is left of refused requests: %+v", s)
	}
}

func TestImpossibleRequestsAreRefusedWithoutAConnection(t *testing.T) {
	p := newPools(t, config())
	for name, r := range map[string]pool.Request{
		"NUL in the user":      request(user("app\x00database\x00x")),
		"NUL in the password":  request(password("right\x00")),
		"NUL in a parameter":   request(parameter("application_name", "a\x00role\x00postgres")),
		"NUL in a setting":     request(setting("gprxy.user", "a\x00")),
		"replication":          request(parameter("replication", "true")),
		"a walsender of what?": request(func(r *pool.Request) { r.Replication = pool.LogicalReplication }),
		"another user":         request(parameter("user", "postgres")),
		"another database":     request(parameter("database", "template1")),
		"a protocol option":    request(parameter("_pq_.new", "1")),
		"an end of the list":   request(parameter("", "")),
		"too much":             request(parameter("my.text", strings.Repeat("x", 9980))),
		"no user, no database": {},
	} {
		if _, err := p.Acquire(t.Context(), r); !errors.Is(err, pool.ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParametersAreReportedInTheServersOrderAndAreTrueForTheSession(t *testing.T) {
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request(parameter("application_name", "mine"), parameter("timezone", "Asia/Tokyo"),
		setting("DateStyle", "German, DMY")))
	names := func(l *pool.Lease) (names []string) {
		for _, m := range l.Greeting() {
			names = append(names, m.Parameter.Name)
		}
		return names
	}
	value := func(l *pool.Lease, name string) string {
		i := slices.IndexFunc(l.Greeting(), func(m pool.Message) bool { return m.Parameter.Name == name })
		return l.Greeting()[i].Parameter.Value
	}
	// PostgreSQL 15's 13; later ones report more.
	for _, name := range []string{"application_name", "client_encoding", "DateStyle", "integer_datetimes", "is_superuser",
		"server_version", "session_authorization", "standard_conforming_strings", "TimeZone"} {
		if !slices.Contains(names(l), name) {
			t.Errorf("%s is not reported: %v", name, names(l))
		}
	}
	first := names(l)
	for name, want := range map[string]string{"application_name": "mine", "TimeZone": "Asia/Tokyo", "DateStyle": "German, DMY"} {
		if got := value(l, name); got != want {
			t.Errorf("%s is reported as %q, want %q", name, got, want)
		}
	}
	ask(t, l, "SET TimeZone = 'Europe/Oslo'")
	if got := value(l, "TimeZone"); got != "Europe/Oslo" {
		t.Errorf("SetParameter was not noted: %q", got)
	}
	release(t, l)
	next := acquire(t, p, request(parameter("application_name", "mine"), parameter("timezone", "Asia/Tokyo")))
	if !next.Reused() || !slices.Equal(names(next), first) {
		t.Errorf("other names or order on reuse: %v, then %v", first, names(next))
	}
	if tz, style := value(next, "TimeZone"), value(next, "DateStyle"); tz != "Asia/Tokyo" || strings.HasPrefix(style, "German") {
		t.Errorf("the next session is told TimeZone %q and DateStyle %q", tz, style)
	}
}

func TestSettingsAreBoundSafelyAndGoneAfterwards(t *testing.T) {
	const value = `a'); DROP TABLE x; -- \ "ü漢`
	p := newPools(t, config(maxConns(1)))
	// The client's own encoding and search_path must not change what is set.
	latin := parameter("client_encoding", "LATIN1")
	evil := parameter("search_path", "evil, pg_catalog")
	l := acquire(t, p, request(latin, evil, setting("gprxy.user", value), setting("gprxy.session", "7")))
	if got := ask(t, l, `SELECT encode(convert_to(current_setting('gprxy.user'), 'UTF8'), 'hex') = '`+hexOf(value)+`'`); got != "t" {
		t.Errorf("gprxy.user has another value")
	}
	if got := ask(t, l, "SHOW gprxy.session"); got != "7" {
		t.Errorf("gprxy.session is %q", got)
	}
	release(t, l)
	next := acquire(t, p, request(latin, evil))
	if got := ask(t, next, "SELECT coalesce(current_setting('gprxy.user', true), '')"); got != "" {
		t.Errorf("the next session sees gprxy.user %q", got)
	}
	release(t, next)
	_, err := p.Acquire(t.Context(), request(latin, setting("no such name", "1")))
	wantCode(t, err, "42704")
}

func TestTheLeaseSaysWhoTheBackendIs(t *testing.T) {
	p := newPools(t, config())
	l := acquire(t, p, request(user("jürgen"), parameter("client_encoding", "LATIN1")))
	if l.CurrentUser() != "jürgen" {
		t.Errorf("current_user is %q", l.CurrentUser())
	}
	if got := ask(t, l, "SELECT pg_backend_pid()"); got != itoa(l.PID()) {
		t.Errorf("pid is %s, the lease says %d", got, l.PID())
	}
	if l.Backend() != server.Addr() || l.Reused() || l.Waited() <= 0 {
		t.Errorf("backend %q, reused %t, waited %s", l.Backend(), l.Reused(), l.Waited())
	}
}

func hexOf(s string) string  { return hex.EncodeToString([]byte(s)) }
func itoa(pid uint32) string { return strconv.Itoa(int(pid)) }
