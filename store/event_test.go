// The stored bytes of every fact, frozen: files written today must be readable for ever.

package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFactsKeepTheirBytes(t *testing.T) {
	expires := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		fact Fact
		typ  string
		body string
	}{
		{ProxyStarted{"1.0.0", "127.0.0.1:7777", "localhost:5432", 7, "async"}, "proxy.started",
			`{"version":"1.0.0","listen":"127.0.0.1:7777","upstream":"localhost:5432","pid":7,"audit_durability":"async"}`},
		{ProxyStarted{Version: "1.0.0", Listen: "127.0.0.1:7777", Upstream: "localhost:5432", PID: 7}, "proxy.started",
			`{"version":"1.0.0","listen":"127.0.0.1:7777","upstream":"localhost:5432","pid":7}`},
		{ProxyStopped{"signal"}, "proxy.stopped", `{"reason":"signal"}`},
		{SessionConnected{"10.0.0.7:50412", "ann", "shop", "psql", "TLSv1.3", "3.0", "", nil}, "session.connected",
			`{"client":"10.0.0.7:50412","requested_user":"ann","database":"shop","application_name":"psql","tls":"TLSv1.3","protocol":"3.0"}`},
		{SessionConnected{Client: "c", RequestedUser: "u", Database: "d", Protocol: "3.0"}, "session.connected",
			`{"client":"c","requested_user":"u","database":"d","protocol":"3.0"}`},
		{SessionConnected{Client: "c", RequestedUser: "u", Database: "d", Protocol: "3.0", Via: "10.0.0.1:9"}, "session.connected",
			`{"client":"c","requested_user":"u","database":"d","protocol":"3.0","via":"10.0.0.1:9"}`},
		{SessionConnected{Client: "[local]", RequestedUser: "u", Database: "d", Protocol: "3.0", Peer: &Peer{1000, 77, "ann"}},
			"session.connected",
			`{"client":"[local]","requested_user":"u","database":"d","protocol":"3.0","peer":{"uid":1000,"pid":77,"user":"ann"}}`},
		{AuthSucceeded{"token", "ann@example.org", "https://login.example/", "u|1", []string{"reader"}, "t1", &expires, 2, "Ann@Example.org"},
			"auth.succeeded",
			`{"method":"token","user":"ann@example.org","issuer":"https://login.example/","subject":"u|1","roles":["reader"],"token_id":"t1","token_expires":"2026-03-01T10:00:00Z","roles_ignored":2,"user_spelled":"Ann@Example.org"}`},
		{AuthSucceeded{Method: "token", User: "ann@example.org", TokenExpires: &expires}, "auth.succeeded",
			`{"method":"token","user":"ann@example.org","token_expires":"2026-03-01T10:00:00Z"}`},
		{AuthSucceeded{Method: "password", User: "bob"}, "auth.succeeded", `{"method":"password","user":"bob"}`},
		{AuthFailed{"token", "ann", "https://login.example/", "t1", "expired", "exp 2026-03-01"}, "auth.failed",
			`{"method":"token","user":"ann","issuer":"https://login.example/","token_id":"t1","reason":"expired","detail":"exp 2026-03-01"}`},
		{AuthFailed{Method: "password", Reason: "wrong_password"}, "auth.failed", `{"method":"password","reason":"wrong_password"}`},
		{RoleMapped{"reader", "app_reader", "ROLE_MAPPING_READER"}, "role.mapped",
			`{"role":"reader","service_account":"app_reader","rule":"ROLE_MAPPING_READER"}`},
		{RoleDenied{[]string{"x"}, "app_writer", "not_held"}, "role.denied",
			`{"roles":["x"],"requested_user":"app_writer","reason":"not_held"}`},
		{SessionStarted{"app_reader", 4711, "127.0.0.1:5432", 1.5, true}, "session.started",
			`{"service_account":"app_reader","backend_pid":4711,"backend":"127.0.0.1:5432","wait_ms":1.5,"reused":true}`},
		{ReplicationStarted{"physical", "app_backup", 4711}, "replication.started",
			`{"kind":"physical","service_account":"app_backup","backend_pid":4711}`},
		{AccountAltered{"app_reader", "app_reader", []string{AlteredPassword}, "ALTER ROLE"}, "account.altered",
			`{"account":"app_reader","service_account":"app_reader","what":["password"],"tag":"ALTER ROLE"}`},
		{SessionRefused{"28000", "no_role", "no role of yours"}, "session.refused",
			`{"sqlstate":"28000","reason":"no_role","message":"no role of yours"}`},
		{CancelForwarded{"10.0.0.7:1", 4711}, "cancel.forwarded", `{"client":"10.0.0.7:1","backend_pid":4711}`},
		{CancelRejected{"10.0.0.7:1", 4711, "unknown_key"}, "cancel.rejected",
			`{"client":"10.0.0.7:1","backend_pid":4711,"reason":"unknown_key"}`},
		{SessionEnded{"client_left", 12.25, 1, 2, 3, 4, 5, ""}, "session.ended",
			`{"reason":"client_left","duration_ms":12.25,"statements":1,"errors":2,"rows":3,"bytes_in":4,"bytes_out":5}`},
		{LogRead{"root", "audit", "since=1h"}, "log.read", `{"os_user":"root","command":"audit","filter":"since=1h"}`},
		{LogPruned{"root", expires, 1, 9, 7}, "log.pruned",
			`{"by":"root","before":"2026-03-01T10:00:00Z","first_seq":1,"last_seq":9,"events":7}`},
		{LogCondensed{"cancel.rejected", "unknown_key", "10.0.0.7", 99940, expires, expires.Add(time.Second)}, "log.condensed",
			`{"of":"cancel.rejected","reason":"unknown_key","client":"10.0.0.7","count":99940,"first":"2026-03-01T10:00:00Z","last":"2026-03-01T10:00:01Z"}`},
		{LogGap{Since: expires, Until: expires, Reason: "killed", Sessions: 2, WindowMS: 50}, "log.gap",
			`{"since":"2026-03-01T10:00:00Z","until":"2026-03-01T10:00:00Z","reason":"killed","sessions":2,"window_ms":50}`},
		{LogGap{Since: expires, Until: expires, Reason: "unwritable", Lost: 7}, "log.gap",
			`{"since":"2026-03-01T10:00:00Z","until":"2026-03-01T10:00:00Z","reason":"unwritable","lost":7}`},
		{LogCheckpointed{9, "ab", "k1"}, "log.checkpointed", `{"seq":9,"hash":"ab","key_id":"k1"}`},
	} {
		e, err := encode(Event{Time: t0, Fact: tc.fact}, t0)
		if err != nil {
			t.Errorf("%T: %v", tc.fact, err)
			continue
		}
		if e.typ != tc.typ || e.body != tc.body {
			t.Errorf("%T:\n got  %s %s\n want %s %s", tc.fact, e.typ, e.body, tc.typ, tc.body)
		}
	}
}

// What the fold looks at is read as encoding/json would read it.
func TestFactsAreReadAsWritten(t *testing.T) {
	for _, f := range []Fact{
		SessionConnected{Client: "c", RequestedUser: "ü\"\n", Database: "d", ApplicationName: "a", TLS: "TLSv1.3"},
		SessionConnected{},
		AuthSucceeded{Method: "token", User: "ann", Roles: []string{"a,b", "ü\\"}},
		AuthSucceeded{Method: "password", User: "bob"},
		AuthFailed{Method: "token", User: "ann"},
		RoleMapped{Role: "r", ServiceAccount: "s"},
		SessionStarted{ServiceAccount: "s", BackendPID: 4294967295},
		SessionRefused{Reason: "r"},
		SessionEnded{Reason: "r", Statements: 1, Errors: 2, Rows: 3, BytesIn: 4, BytesOut: 1 << 62},
	} {
		e, err := encode(Event{Session: "s", Fact: f}, t0)
		if err != nil || !reflect.DeepEqual(e.fact, f) {
			t.Errorf("%+v was read as %+v (%v)", f, e.fact, err)
		}
	}
	if _, err := decode("session.ended", []byte(`{"rows":"many"}`)); err == nil {
		t.Error("a text was read as a number")
	}
}

func TestEventsThatCannotBeStoredAreRefused(t *testing.T) {
	for name, e := range map[string]Event{
		"no fact":                    {},
		"a session id with newlines": {Session: "a\nb", Fact: ProxyStopped{}},
		"a session id too long":      {Session: strings.Repeat("a", 65), Fact: ProxyStopped{}},
		"a payload too large":        {Fact: ProxyStopped{Reason: strings.Repeat("a", maxBody)}},
	} {
		if _, err := encode(e, t0); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// FuzzClientText: whatever a client calls itself, the event is one line of JSON without control
// characters, and folds to the same row now and when it is read again.
func FuzzClientText(f *testing.F) {
	f.Add("psql", "shop")
	f.Add("a\x00\x1b[31m\n", "\xff\xfe")
	f.Add("\u2028</script>", `"\`)
	f.Fuzz(func(t *testing.T, app, database string) {
		e, err := encode(Event{Session: "s", Fact: SessionConnected{ApplicationName: app, Database: database}}, t0)
		if err != nil {
			if len(app)+len(database) < maxBody/6 {
				t.Fatal(err)
			}
			return
		}
		if strings.ContainsFunc(e.body, func(r rune) bool { return r < ' ' }) {
			t.Fatalf("control character in %q", e.body)
		}
		var want SessionConnected
		if err := json.Unmarshal([]byte(e.body), &want); err != nil || e.fact != want {
			t.Fatalf("%v, by encoding/json %v (%v)", e.fact, want, err)
		}
	})
}
