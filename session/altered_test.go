package session_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/session/relay"
	"gprxy/store"
)

// alteredAccount lets people with the role ALTERED in as a role of their own.
func alteredAccount(t *testing.T, name string) func(*options) {
	t.Helper()
	admin(t, "create role "+name+" login password 'altered-secret'")
	t.Cleanup(func() { admin(t, "drop owned by "+name+"; drop role "+name) })
	return func(o *options) {
		roles, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{"ALTERED": {User: name, Password: "altered-secret"}}})
		if err != nil {
			t.Fatal(err)
		}
		o.session.Roles = roles
	}
}

// alterations are the account.altered events of all sessions so far.
func (p *proxy) alterations() (all []store.AccountAltered) {
	p.t.Helper()
	for _, r := range p.records(store.AccountAltered{}.Type()) {
		var f store.AccountAltered
		if err := json.Unmarshal(r.Detail, &f); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// Whoever changes the account that serves them, or another, leaves an event, whether statements are recorded or not.
func TestAlteredAccountsAreRecorded(t *testing.T) {
	t.Parallel()
	currentRole := "current_role"
	if serverMajor(t) < 14 {
		currentRole = "current_user" // the other is no name of a role there
	}
	for _, recorded := range []bool{false, true} {
		name := fmt.Sprintf("altered_%t", recorded)
		p := startProxy(t, quietly, alteredAccount(t, name), func(o *options) {
			if recorded {
				recordingAs(relay.RecordText)(o)
			}
		})
		for _, row := range []struct{ sent, want string }{
			{query("alter role current_user password 'altered-secret'"), name + " [password] ALTER ROLE"},
			{query(`ALTER USER "` + name + `" PASSWORD 'altered-secret'`), name + " [password] ALTER ROLE"}, // psql's \password
			{query("alter /* so */ user\t" + strings.ToUpper(name) + " encrypted password 'altered-secret'"), name + " [password] ALTER ROLE"},
			{query("alter role current_user set search_path to 'login password'"), name + " [settings] ALTER ROLE"},
			{query("alter role session_user in database demo reset all"), name + " [settings] ALTER ROLE"},
			{parseAs("", "alter role "+currentRole+" password 'altered-secret'") + bindTo("", "") + executePortal("", 0) + syncing,
				name + " [password] ALTER ROLE"},
			{parseAs("later", "alter role current_user password 'altered-secret'") + syncing + bindTo("", "later") + executePortal("", 0) + syncing +
				message('C', "Slater\x00") + syncing, name + " [password] ALTER ROLE"},
			{query("select 1; alter role current_user password 'altered-secret'; select 2"), name + " [password] ALTER ROLE"},
			{query("do $$begin execute 'alter role current_user password ''altered-secret'''; end$$"), name + " [password] DO"},
			{query("alter role current_user superuser") + query("alter role current_user password 'altered-secret'"),
				name + " [rights password] ALTER ROLE"}, // which of the two failed is not told by the order
			{parseAs("", "alter role current_user set work_mem to default") + parseAs("", "alter role current_user password 'altered-secret'") +
				bindTo("", "") + executePortal("", 0) + syncing, name + " [settings password] ALTER ROLE"},
			{query(strings.Repeat("alter role current_user reset all;", 20) + "alter role current_user password 'altered-secret'"),
				strings.Repeat(name+" [settings] ALTER ROLE", 16) + strings.Repeat(" [unknown] ALTER ROLE", 5)},
			{query("select 'alter role nobody set x to y'; alter role current_user password 'altered-secret'"), name + " [password] ALTER ROLE"},
			{query("/* alter role nobody set x to y */ alter role current_user password 'altered-secret'"), " [settings password] ALTER ROLE"},
			{query("/* " + strings.Repeat("alter role nobody set x ", 40_000) + " */ alter role current_user password 'altered-secret'"),
				" [settings unknown] ALTER ROLE"},
			{query("select 1 as \"alter role nobody set x\"; alter role current_user password 'altered-secret'"), name + " [password] ALTER ROLE"},
			{query("alter role U&\"altered!005f" + strings.TrimPrefix(name, "altered_") + "\" uescape '!' password 'altered-secret'"), " [password] ALTER ROLE"},
			{query("alter role current_user superuser"), ""},
			{query("alter role app_reader password 'x'"), ""},
			{query("select 'alter role x password'"), ""},
			{query("do $$begin perform 'alter role x password'; perform 1/0; end$$"), ""},
		} {
			before := len(p.alterations())
			conn := rawSession(t, p, "ALTERED")
			send(t, conn, row.sent)
			for range strings.Count(row.sent, syncing) + strings.Count(row.sent, "Q\x00\x00") {
				receiveUntil(t, conn, 'Z')
			}
			p.untilEnded(conn)
			got := ""
			for _, f := range p.alterations()[before:] {
				got += fmt.Sprint(f.Account, " ", f.What, " ", f.Tag)
				if f.ServiceAccount != name {
					t.Errorf("%q: the session was served by %s", row.sent, f.ServiceAccount)
				}
			}
			if got != row.want {
				t.Errorf("recorded %v, %q: altered %q, want %q", recorded, row.sent, got, row.want)
			}
		}
	}
}

// Who was locked out by a changed password is told who changed it, in gprxy's log alone.
func TestWhoLocksGprxyOutIsNamed(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	p := startProxy(t, alteredAccount(t, "altered_away"), func(o *options) { o.logger = slog.New(slog.NewTextHandler(&log, nil)) })
	conn := rawSession(t, p, "ALTERED")
	send(t, conn, query("alter role current_user password 'tops3cret'"))
	receiveUntil(t, conn, 'Z')
	answer := refused(t, p.dsn("ann", token("ann@example.com", "ALTERED"), "application_name=another backend"))
	if answer.Code != "XX000" || strings.Contains(answer.Message+answer.Hint+answer.Detail, "altered_away") {
		t.Errorf("ann is told %+v", answer)
	}
	said := log.String()
	for _, want := range []string{"refused gprxy's password for a service account", "changed_by=bob@example.com", "ALTER ROLE ... PASSWORD"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "tops3cret") {
		t.Error("the log has the password")
	}
}
