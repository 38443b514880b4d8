// gprxy sessions on a real log, down to the byte.

package cmd

import (
	"slices"
	"strings"
	"testing"
)

func TestSessionsTable(t *testing.T) {
	log := fixedLog(t)
	equal(t, "not a terminal", gprxy(t, log.env, "sessions").out, `
SESSION           STATE    STARTED               LASTED  USER                 ACCOUNT     DATABASE  CLIENT         STATEMENTS  ROWS  END
06d3k2p8w1zvq4td  ended    2026-03-05 11:00:06     0 ms  (x\x1b[2J\u202eeve)              =cmd()    10.0.0.4:4000           0     0  left before login
06d3k2p8w1zvq4tc  active   2026-03-05 11:00:04  59m 55s  bob                  svc         shop      10.0.0.3:4000
06d3k2p8w1zvq4tb  refused  2026-03-05 11:00:03     0 ms  (mallory)                        shop      10.0.0.2:4000                    bad token
06d3k2p8w1zvq4ta  ended    2026-03-05 11:00:01   1m 03s  alice@example.com    app_writer  shop      10.0.0.1:4000           3  1234  client closed
`[1:])
	plain := log.env
	plain.Variables = append(slices.Clone(plain.Variables), "NO_COLOR=1")
	got := gprxyOn(t, 80, plain, "sessions")
	equal(t, "80 columns", got.out, `
STATE    STARTED              USER              ACCOUNT     DATABASE  END
ended    2026-03-05 11:00:06  (x\x1b[2J\u202e…              =cmd()    left befo…
active   2026-03-05 11:00:04  bob               svc         shop
refused  2026-03-05 11:00:03  (mallory)                     shop      bad token
ended    2026-03-05 11:00:01  alice@example.c…  app_writer  shop      client cl…
`[1:])
	equal(t, "80 columns, stderr", got.err, "not shown for want of room: session, lasted, client, statements, rows; a wider terminal or --json shows all\n")
}

func TestSessionsFilters(t *testing.T) {
	log := fixedLog(t)
	for _, row := range []struct{ line, want string }{
		{"sessions", "d c b a"},
		{"sessions --active", "c"},
		{"sessions --user alice@example.com", "a"},
		{"sessions --service-account svc", "c"},
		{"sessions --database shop", "c b a"},
		{"sessions --limit 2", "d c"},
		{"sessions --limit 0", "d c b a"},
		{"sessions --since 59m --json", "c a"},
		{"sessions --until 2026-03-05T11:00:03Z", "a"},
		{"sessions --until 2026-03-05", ""},
		{"sessions --since 2026-03-05 --user bob", "c"},
	} {
		got := gprxy(t, log.env, append(strings.Fields(row.line), "--json")...)
		var ids []string
		for _, s := range lines(t, got.out) {
			ids = append(ids, strings.TrimPrefix(s["session"].(string), "06d3k2p8w1zvq4t"))
		}
		if got.code != 0 || strings.Join(ids, " ") != row.want {
			t.Errorf("gprxy %s: %q, want %q (exit %d, %s)", row.line, ids, row.want, got.code, got.err)
		}
		wantNote := map[string]string{"": "no sessions match; gprxy audit shows every event", "d c": "the newest 2 sessions; there are more: --limit 0 shows all"}[row.want]
		if !strings.Contains(got.err, wantNote) || (wantNote == "" && got.err != "") {
			t.Errorf("gprxy %s says %q, want %q", row.line, got.err, wantNote)
		}
	}
}

func TestSessionsJSON(t *testing.T) {
	log := fixedLog(t)
	equal(t, "an ended session", gprxy(t, log.env, "sessions", "--json", "--user", "alice@example.com").out,
		`{"session":"06d3k2p8w1zvq4ta","state":"ended","started":"2026-03-05T11:00:01.123456Z","ended":"2026-03-05T11:01:04.123456Z",`+
			`"user":"alice@example.com","requested_user":"alice","auth_method":"token","roles":["reader","writer"],"role":"writer",`+
			`"service_account":"app_writer","database":"shop","client":"10.0.0.1:4000","application_name":"psql","tls":"TLSv1.3",`+
			`"backend_pid":4711,"statements":3,"rows":1234,"errors":0,"bytes_in":100,"bytes_out":2000,"end_reason":"client_closed","doubt":null}`+"\n")
	equal(t, "an active session", gprxy(t, log.env, "sessions", "--json", "--active").out,
		`{"session":"06d3k2p8w1zvq4tc","state":"active","started":"2026-03-05T11:00:04.123456Z","ended":null,`+
			`"user":"bob","requested_user":"bob","auth_method":"password","roles":null,"role":null,`+
			`"service_account":"svc","database":"shop","client":"10.0.0.3:4000","application_name":null,"tls":null,`+
			`"backend_pid":4712,"statements":null,"rows":null,"errors":null,"bytes_in":null,"bytes_out":null,"end_reason":null,"doubt":null}`+"\n")
	hostile := gprxy(t, log.env, "sessions", "--json", "--limit", "1").out
	if !strings.Contains(hostile, `"requested_user":"x\u001b[2J\u202eeve"`) {
		t.Errorf("control characters in JSON: %s", hostile)
	}
}
