package session_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/session"
	"gprxy/store"
)

// People as real issuers describe them.

// lastOf is the newest event of the type.
func lastOf[F store.Fact](t *testing.T, p *proxy) (fact F) {
	t.Helper()
	all := p.records(fact.Type())
	if len(all) == 0 {
		t.Fatalf("no %s is recorded", fact.Type())
	}
	if err := json.Unmarshal(all[len(all)-1].Detail, &fact); err != nil {
		t.Fatal(err)
	}
	return fact
}

// A group that is odd keeps nobody out, and its number stands in the log.
func TestOddGroupsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for name, claims := range map[string]authtest.Claims{
		"too long":      {"groups": []any{strings.Repeat("g", 300), "reader"}},
		"a joiner":      {"groups": []any{"wri\u200dter", "reader"}},
		"a blank":       {"groups": []any{"writer ", "reader"}},
		"a number":      {"groups": []any{7, "reader"}},
		"null":          {"groups": []any{nil, "reader"}},
		"1,002 groups":  {"groups": append([]any{"x"}, manyGroups(1001, "reader")...)},
		"hidden":        {"roles": []any{nil}, "groups": []any{"reader"}},
		"a JSON list":   {"groups": `["reader",null]`},
		"an object":     {"roles": map[string]any{"reader": true, "writer": false}},
		"named objects": {"roles": []any{map[string]any{"id": 1}, map[string]any{"name": "reader"}}},
	} {
		t.Run(name, func(t *testing.T) {
			claims["email"] = "bob@example.com"
			conn := connect(t, p.dsn("bob", issuer.Token(claims)))
			if got := ask[string](t, conn, "select current_user::text"); got != "app_reader" {
				t.Errorf("served by %s", got)
			}
			if fact := lastOf[store.AuthSucceeded](t, p); fact.RolesIgnored != 1 && name != "hidden" || !slices.Contains(fact.Roles, "reader") {
				t.Errorf("recorded %+v", fact)
			}
			conn.Close(t.Context())
		})
	}
}

func manyGroups(n int, last string) []any {
	var groups []any
	for i := range n - 1 {
		groups = append(groups, fmt.Sprint("g", i))
	}
	return append(groups, last)
}

// One person who is spelled in three ways is one person wherever a name counts.
func TestSpellingsOfOnePerson(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for _, spelled := range []string{"ann@example.com", "Ann@Example.com", "ANN@EXAMPLE.COM"} {
		conn := connect(t, p.dsn("ann", token(spelled, "reader")))
		if got := ask[string](t, conn, "select current_setting('gprxy.user')"); got != "ann@example.com" {
			t.Errorf("gprxy.user is %s", got)
		}
		conn.Close(t.Context())
		fact := lastOf[store.AuthSucceeded](t, p)
		if got := fact.UserSpelled; fact.User != "ann@example.com" || got != spelled && spelled != fact.User {
			t.Errorf("recorded %+v", fact)
		}
	}
	r := p.reader()
	for _, filter := range []store.SessionFilter{{User: "ann@example.com"}, {User: "Ann@Example.COM",
		AlsoUser: auth.FoldUser("Ann@Example.COM")}} {
		n := 0
		for s, err := range r.Sessions(t.Context(), filter) {
			if n++; err != nil || s.User != "ann@example.com" {
				t.Errorf("session %+v, %v", s, err)
			}
		}
		if n != 3 {
			t.Errorf("%+v finds %d sessions", filter, n)
		}
	}
}

// A token that says that groups were left out gives nobody the account for people without roles.
func TestOverageIsNoDefaultRole(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) {
		roles, err := auth.NewRoles(auth.RolesConfig{Default: "reader",
			Mapping: map[string]auth.Login{"READER": {User: "app_reader", Password: "reader-secret"}}})
		if err != nil {
			t.Fatal(err)
		}
		o.session.Roles = roles
	})
	answer := refused(t, p.dsn("bob", issuer.Token(authtest.Claims{"email": "bob@example.com",
		"_claim_names": map[string]any{"groups": "src1"}})))
	if answer.Code != "28000" || !strings.Contains(answer.Message, "groups overage") || answer.Hint == "" {
		t.Errorf("answer %+v", answer)
	}
	if denied := lastOf[store.RoleDenied](t, p); denied.Reason != auth.ReasonRolesOverage {
		t.Errorf("recorded %+v", denied)
	}
	connect(t, p.dsn("bob", issuer.Token(authtest.Claims{"email": "bob@example.com"})))
}

func TestWhoLacksARequiredClaimIsNotLetIn(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) {
		v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: issuer.URL(), Audience: issuer.Audience(),
			Required: []auth.RequiredClaim{{Name: "hd", Values: []string{"example.com"}}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		o.session.Tokens = v
	})
	connect(t, p.dsn("bob", issuer.Token(authtest.Claims{"hd": "example.com", "roles": "reader"})))
	answer := refused(t, p.dsn("bob", issuer.Token(authtest.Claims{"email": "eve@gmail.com", "roles": "reader"})))
	if answer.Code != "28P01" || strings.Contains(answer.Message+answer.Hint, "hd") {
		t.Errorf("answer %+v", answer)
	}
	if failed := lastOf[store.AuthFailed](t, p); failed.Reason != auth.ReasonRequiredClaim || failed.User != "eve@gmail.com" ||
		!strings.Contains(failed.Detail, `"hd"`) {
		t.Errorf("recorded %+v", failed)
	}
}

// What looks like a token never reaches PostgreSQL, whatever stands around it or is missing.
func TestWhatLooksLikeATokenIsNoPassword(t *testing.T) {
	p := startProxy(t)
	good := token("bob@example.com", "reader")
	for _, wrapped := range []string{good + "\n", " " + good + "\t", `"` + good + `"`, "Bearer " + good + "\r\n"} {
		conn := connect(t, p.dsn("bob", wrapped))
		if got := ask[string](t, conn, "select current_setting('gprxy.user')"); got != "bob@example.com" {
			t.Errorf("gprxy.user is %s", got)
		}
		conn.Close(t.Context())
	}
	logins := strings.Count(postgres.Log(), "connection received")
	for spoilt, reason := range map[string]string{
		"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn": auth.ReasonEncrypted,
		good[:50]:                          auth.ReasonTruncated,
		good[:30] + "\n" + good[30:]:       auth.ReasonMalformed,
		"ya29." + strings.Repeat("a0", 40): auth.ReasonOpaque,
	} {
		if answer := refused(t, p.dsn("bob", spoilt)); answer.Code != "28P01" {
			t.Errorf("answer %+v", answer)
		}
		if failed := lastOf[store.AuthFailed](t, p); failed.Reason != reason || failed.Method != auth.MethodToken ||
			strings.Contains(failed.Detail, spoilt[:20]) {
			t.Errorf("recorded %+v, want %s", failed, reason)
		}
	}
	if after := strings.Count(postgres.Log(), "connection received"); after != logins {
		t.Errorf("PostgreSQL was asked %d times", after-logins)
	}
	for name, password := range map[string]string{"dotted": "my.own.password", "eyjafjoll": "eyJafjöll.x.y"} {
		admin(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
		connect(t, p.dsn(name, password)).Close(t.Context())
	}
}

// Who has a genuine token is told that it has expired; who comes with a password where there are none, that.
func TestWhatIsToldAboutTokens(t *testing.T) {
	t.Parallel()
	p := startProxy(t, offerOAuth, func(o *options) { o.session.Passwords = session.PasswordOff })
	expired := issuer.Token(authtest.Claims{"email": "Bob@example.com", "exp": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix()})
	answer := refused(t, p.dsn("bob", expired))
	if answer.Code != "28P01" || answer.Message != "the token has expired" || answer.Detail != "It was good until 2026-01-02 03:04:05 UTC." ||
		answer.Hint == "" {
		t.Errorf("answer %+v", answer)
	}
	if failed := lastOf[store.AuthFailed](t, p); failed.Reason != auth.ReasonExpired || failed.User != "bob@example.com" {
		t.Errorf("recorded %+v", failed)
	}
	answer = refused(t, p.dsn("bob", spoil(expired)))
	if answer.Code != "28P01" || strings.Contains(answer.Message, "expired") {
		t.Errorf("answer %+v", answer)
	}
	answer = refused(t, p.dsn("alice", alicePassword))
	if answer.Code != "28000" || !strings.Contains(answer.Message, "takes tokens only") || answer.Hint == "" {
		t.Errorf("answer %+v", answer)
	}
	if failed := lastOf[store.AuthFailed](t, p); failed.Reason != "password_login_off" {
		t.Errorf("recorded %+v", failed)
	}
}

// A program that retries a token of its own locks out nobody who asks for the same user at that address.
func TestAGenuineTokenCountsForItsPerson(t *testing.T) {
	t.Parallel()
	p := startProxy(t, fromLoadBalancers, guarded(time.Hour))
	const here = "192.0.2.1:1"
	expired := issuer.Token(authtest.Claims{"email": "cron@example.com", "exp": 1})
	elsewhere := issuer.Token(authtest.Claims{"email": "cron@example.com", "aud": "another"})
	for range 5 {
		if answer, _ := attempt(t, p, here, "app_reader", expired); answer.field('M') != "the token has expired" {
			t.Errorf("answer %v", answer)
		}
	}
	for range 5 {
		attempt(t, p, here, "app_reader", elsewhere)
	}
	if failed := lastOf[store.AuthFailed](t, p); failed.Reason != "too_many_failures" {
		t.Errorf("recorded %+v", failed)
	}
	if answer, took := attempt(t, p, here, "app_reader", token("cron@example.com", "reader")); answer.kind != 'R' || took > time.Second {
		t.Errorf("the same person with a good token is answered %v after %v", answer, took)
	}
	if answer, _ := attempt(t, p, here, "app_reader", token("dora@example.com", "reader")); answer.kind != 'R' {
		t.Errorf("another person is answered %v", answer)
	}
	if answer, _ := attempt(t, p, here, "bob", issuer.Token(authtest.Claims{"email": "eve@example.com",
		"aud": "another"})); answer.field('C') != "28P01" {
		t.Errorf("answer %v", answer)
	}
	if failed := lastOf[store.AuthFailed](t, p); failed.Reason != auth.ReasonWrongAudience {
		t.Errorf("recorded %+v", failed)
	}
}
