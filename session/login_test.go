package session_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/session"
	"gprxy/store"
)

// The service account in the log is current_user of the backend.
func TestTheRecordedAccountIsTheOneThatServed(t *testing.T) {
	t.Parallel()
	prioritised, err := auth.NewRoles(auth.RolesConfig{
		Mapping: map[string]auth.Login{
			"READER": {User: "app_reader", Password: "reader-secret"},
			"WRITER": {User: "app_writer", Password: "writer-secret"},
		},
		Priority: []string{"WRITER", "READER"},
		Default:  "READER",
	})
	if err != nil {
		t.Fatal(err)
	}
	self := func(o *options) { o.session.Passwords = session.PasswordSelf }
	priority := func(o *options) { o.session.Roles = prioritised }
	usual := func(*options) {}
	tests := []struct {
		name, user, password, account, person, method string
		change                                        func(*options)
	}{
		{"password", "alice", alicePassword, "gprxy_service", "alice", "password", usual},
		{"password, own account", "alice", alicePassword, "alice", "alice", "password", self},
		{"token, one role", "bob", token("bob@example.com", "reader"), "app_reader", "bob@example.com", "token", usual},
		{"token, first of two roles", "bob", token("bob@example.com", "writer", "reader"), "app_writer", "bob@example.com", "token", usual},
		{"token, unmapped role first", "bob", token("bob@example.com", "other", "reader"), "app_reader", "bob@example.com", "token", usual},
		{"token, asks for an account it has", "app_reader", token("bob@example.com", "writer", "reader"), "app_reader", "bob@example.com",
			"token", usual},
		{"token, asks for a role it has", "reader", token("bob@example.com", "writer", "reader"), "app_reader", "bob@example.com", "token",
			usual},
		{"token, priority", "bob", token("bob@example.com", "reader", "writer"), "app_writer", "bob@example.com", "token", priority},
		{"token, default role", "bob", token("bob@example.com"), "app_reader", "bob@example.com", "token", priority},
		{"token of 60 kB", "bob", issuer.Token(authtest.Claims{"email": "big@example.com", "roles": []string{"reader"},
			"pad": strings.Repeat("x", 44_000)}), "app_reader", "big@example.com", "token", usual},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := startProxy(t, test.change)
			conn := connect(t, p.dsn(test.user, test.password))
			if got := ask[string](t, conn, "select current_user::text"); got != test.account {
				t.Errorf("current_user is %s, want %s", got, test.account)
			}
			if got := ask[string](t, conn, "select current_setting('gprxy.user')"); got != test.person {
				t.Errorf("gprxy.user is %s, want %s", got, test.person)
			}
			s := p.sessions()[0]
			if s.ServiceAccount != test.account || s.User != test.person || s.AuthMethod != test.method ||
				s.RequestedUser != test.user || s.State != store.StateActive || s.Database != database {
				t.Errorf("recorded %+v", s)
			}
			if s.BackendPID != conn.PgConn().PID() {
				t.Errorf("recorded pid %d, the client has %d", s.BackendPID, conn.PgConn().PID())
			}
			if got := ask[int](t, conn, "select pg_backend_pid()"); uint32(got) != conn.PgConn().PID() {
				t.Errorf("pg_backend_pid() is %d, the client was told %d", got, conn.PgConn().PID())
			}
		})
	}
}

// Every step of a login stands in the log, in order, when the client is in.
func TestTheStepsOfALoginAreRecorded(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := connect(t, p.dsn("bob", token("bob@example.com", "reader"), "application_name=test\x01tool"))
	var types []string
	for _, r := range p.records() {
		types = append(types, r.Type)
	}
	want := []string{"session.connected", "auth.succeeded", "role.mapped", "session.started"}
	if !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	run(t, conn, "select generate_series(1, 10)")
	conn.Close(t.Context())
	eventually(t, "the end is recorded", 20*time.Second, func() bool { return len(p.records("session.ended")) == 1 })
	var end store.SessionEnded
	if err := json.Unmarshal(p.records("session.ended")[0].Detail, &end); err != nil {
		t.Fatal(err)
	}
	if end.Reason != "client_terminated" || end.Rows != 10 || end.Statements != 1 || end.BytesIn == 0 || end.BytesOut == 0 {
		t.Errorf("recorded end %+v", end)
	}
}

// A bad login gets one answer whatever is wrong with it; the reason and
// nothing secret stands in the log.
func TestBadLoginsGetOneAnswer(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	other := authtest.Start(t, authtest.Options{})
	good := token("bob@example.com", "reader")
	tests := []struct{ name, password, reason string }{
		{"wrong password", "not it", "rejected_by_postgresql"},
		{"not valid yet", issuer.Token(authtest.Claims{"nbf": time.Now().Add(time.Hour).Unix()}), auth.ReasonNotYetValid},
		{"another audience", issuer.Token(authtest.Claims{"aud": "another"}), auth.ReasonWrongAudience},
		{"another issuer", other.Token(nil), auth.ReasonWrongIssuer},
		{"an unknown key", mustSign(t, other, map[string]any{"kid": "nobody-s"}, authtest.Claims{"iss": issuer.URL()}), auth.ReasonUnknownKey},
		{"a changed signature", spoil(good), auth.ReasonBadSignature},
		{"an expired one for another audience", issuer.Token(authtest.Claims{"aud": "another", "exp": 1}), auth.ReasonWrongAudience},
		{"an expired one with a changed signature", spoil(issuer.Token(authtest.Claims{"exp": 1})), auth.ReasonBadSignature},
		{"encrypted", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn", auth.ReasonEncrypted},
		{"cut off", good[:40], auth.ReasonTruncated},
		{"a claim of the wrong type", issuer.Token(authtest.Claims{"email": "a@b.c", "sub": []int{1}}), auth.ReasonBadClaims},
	}
	first := ""
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(p.records("auth.failed"))
			dsn := p.dsn("alice", test.password)
			answer := refused(t, dsn)
			if answer.Code != "28P01" || answer.Hint == "" {
				t.Errorf("answer %+v", answer)
			}
			if first == "" {
				first = answer.Message + answer.Hint
			}
			if answer.Message+answer.Hint != first {
				t.Errorf("answer %q differs from %q", answer.Message+answer.Hint, first)
			}
			failed := p.records("auth.failed")
			if len(failed) != before+1 {
				t.Fatalf("%d events, want one more than %d", len(failed), before)
			}
			last := failed[len(failed)-1]
			if !strings.Contains(string(last.Detail), test.reason) {
				t.Errorf("recorded %s, want the reason %s", last.Detail, test.reason)
			}
			if strings.Contains(string(last.Detail), test.password) {
				t.Errorf("the secret stands in the log: %s", last.Detail)
			}
			if s := p.sessions()[0]; s.State != store.StateRefused || s.ServiceAccount != "" {
				t.Errorf("session %+v", s)
			}
		})
	}
}

// spoil changes a token's signature.
func spoil(token string) string {
	changed := []byte(token)
	if at := &changed[len(changed)-10]; *at == 'A' {
		*at = 'B'
	} else {
		*at = 'A'
	}
	return string(changed)
}

func mustSign(t *testing.T, i *authtest.Issuer, header map[string]any, c authtest.Claims) string {
	t.Helper()
	signed, err := i.Sign("", header, c)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestPeopleWithoutARoleAreRefused(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	tests := []struct{ name, user, token, reason string }{
		{"no role", "bob", token("bob@example.com"), auth.ReasonNoMappedRole},
		{"no mapped role", "bob", token("bob@example.com", "baker"), auth.ReasonNoMappedRole},
		{"an account they do not hold", "app_writer", token("bob@example.com", "reader"), auth.ReasonAccountNotHeld},
		{"a role they do not hold", "writer", token("bob@example.com", "reader"), auth.ReasonAccountNotHeld},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := refused(t, p.dsn(test.user, test.token))
			if answer.Code != "28000" || answer.Hint == "" || strings.Contains(answer.Hint, "OIDC_SCOPES") != (test.name == "no role") {
				t.Errorf("answer %+v", answer)
			}
			denied := p.records("role.denied")
			if last := denied[len(denied)-1]; !strings.Contains(string(last.Detail), test.reason) || last.User != "bob@example.com" {
				t.Errorf("recorded %+v", last)
			}
		})
	}
}

// PostgreSQL's own refusals come through, once the password was right.
func TestPostgreSQLsOwnRefusalsPassThrough(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	tests := []struct{ name, dsn, code string }{
		{"unknown database, token", strings.Replace(p.dsn("bob", token("bob@example.com", "reader")), "/demo", "/nowhere", 1), "3D000"},
		{"unknown database, password", strings.Replace(p.dsn("alice", alicePassword), "/demo", "/nowhere", 1), "3D000"},
		{"no right to connect", strings.Replace(p.dsn("alice", alicePassword), "/demo", "/closed", 1), "42501"},
		{"a bad value", p.dsn("bob", token("bob@example.com", "reader"), "statement_timeout=soon"), "22023"},
		{"options in capitals", p.dsn("bob", token("bob@example.com", "reader"), "OPTIONS=-c role=postgres"), "42704"},
		{"an unknown parameter", p.dsn("bob", token("bob@example.com", "reader"), "no_such_thing=1"), "42704"},
		{"a role that may not log in", p.dsn("locked", "locked"), "28P01"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if answer := refused(t, test.dsn); answer.Code != test.code || strings.Contains(answer.Message, "127.0.0.1") {
				t.Errorf("answer %+v, want %s", answer, test.code)
			}
			if s := p.sessions()[0]; s.State != store.StateRefused {
				t.Errorf("session %+v", s)
			}
		})
	}
}

func TestWhoTheSessionIsCannotBeChangedAtLogin(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for _, parameter := range []string{"role=postgres", "session_authorization=postgres", "options=-c role=postgres",
		"local_preload_libraries=x", "gprxy.user=mallory"} {
		if answer := refused(t, p.dsn("bob", token("bob@example.com", "reader"), parameter)); answer.Code != "42501" {
			t.Errorf("%s: answer %+v", parameter, answer)
		}
	}
	if answer := refused(t, p.dsn("bob", token("bob@example.com", "reader"), "replication=true")); answer.Code != "0A000" ||
		answer.Hint == "" {
		t.Errorf("replication: answer %+v", answer)
	}
}

// The stamp leaves no unnamed statement behind: a new session has none.
func TestTheStampLeavesNoStatement(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := rawSession(t, p, "READER")
	send(t, conn, bindTo("", "")+syncing)
	if m := receiveUntil(t, conn, 'Z')[0]; m.kind != 'E' || m.field('C') != "26000" {
		t.Errorf("got %v, PostgreSQL says 26000", m)
	}
}
