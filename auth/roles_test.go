// Which account serves whom, as a specification.

package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gprxy/auth"
)

// mapping gives each role of "reader=app_reader writer=app_writer" an account.
func mapping(text string) map[string]auth.Login {
	m := map[string]auth.Login{}
	for pair := range strings.FieldsSeq(text) {
		role, user, _ := strings.Cut(pair, "=")
		m[role] = auth.Login{User: user, Password: auth.Secret("pw of " + user)}
	}
	return m
}

func newRoles(t testing.TB, m, priority, defaultRole string) *auth.Roles {
	t.Helper()
	r, err := auth.NewRoles(auth.RolesConfig{Mapping: mapping(m), Priority: strings.Fields(priority), Default: defaultRole})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type roleCase struct {
	name               string
	mapping, priority  string
	defaultRole        string
	roles              string // of the token, in its order
	requested          string
	account, rule, why string // why: the refusal's reason
}

func TestRolesFor(t *testing.T) {
	const (
		usual  = "READER=app_reader WRITER=app_writer ADMIN=app_admin"
		denied = auth.ReasonAccountNotHeld
		none   = auth.ReasonNoMappedRole
	)
	for _, test := range []roleCase{
		{"one role", usual, "", "", "reader", "ann", "app_reader", auth.RuleOnlyRole, ""},
		{"one mapped role among others", usual, "", "", "staff,reader,de", "ann", "app_reader", auth.RuleOnlyRole, ""},
		{"several: the token's first", usual, "", "", "writer,reader", "ann", "app_writer", auth.RuleTokenOrder, ""},
		{"several: priority", usual, "READER WRITER", "", "writer,reader", "ann", "app_reader", auth.RulePriority, ""},
		{"listed before not listed", usual, "READER", "", "admin,writer,reader", "ann", "app_reader", auth.RulePriority, ""},
		{"none of several listed", usual, "READER", "", "writer,admin", "ann", "app_writer", auth.RuleTokenOrder, ""},
		{"one role with priority", usual, "WRITER", "", "reader", "ann", "app_reader", auth.RuleOnlyRole, ""},
		{"the same role twice, spelled apart", "DB_READER=r", "", "", "db-reader,DB Reader", "ann", "r", auth.RuleOnlyRole, ""},

		{"no roles", usual, "", "", "", "ann", "", "", none},
		{"no mapped role", usual, "", "", "staff", "ann", "", "", none},
		{"no mapping at all", "", "", "", "reader", "ann", "", "", none},
		{"default", usual, "", "reader", "staff", "ann", "app_reader", auth.RuleDefaultRole, ""},
		{"default without any role", usual, "", "reader", "", "ann", "app_reader", auth.RuleDefaultRole, ""},
		{"default is not for those with a role", usual, "", "reader", "admin", "ann", "app_admin", auth.RuleOnlyRole, ""},
		{"default asked for by account", usual, "", "reader", "", "app_reader", "app_reader", auth.RuleDefaultRole, ""},
		{"default asked for by role", usual, "", "reader", "", "reader", "app_reader", auth.RuleDefaultRole, ""},
		{"default, but another account asked for", usual, "", "reader", "", "app_admin", "", "", denied},
		{"default asked for by one with another role", usual, "", "reader", "admin", "app_reader", "", "", denied},

		{"asks for an account", usual, "", "", "writer,reader", "app_reader", "app_reader", auth.RuleRequested, ""},
		{"asks for an account against priority", usual, "WRITER", "", "writer,reader", "app_reader", "app_reader", auth.RuleRequested, ""},
		{"asks for a role", usual, "", "", "writer,reader", "reader", "app_reader", auth.RuleRequested, ""},
		{"asks for a role, spelled otherwise", "DB_READER=r DB_WRITER=w", "", "", "db-writer,db-reader", "Db.Reader", "r", auth.RuleRequested,
			""},
		{"asks for the only one", usual, "", "", "reader", "app_reader", "app_reader", auth.RuleRequested, ""},
		{"asks for an account not held", usual, "", "", "reader", "app_admin", "", "", denied},
		{"asks for a role not held", usual, "", "", "reader", "admin", "", "", denied},
		{"asks for an account without any role", usual, "", "", "", "app_reader", "", "", denied},
		{"asks by email", usual, "", "", "reader", "ann@example.com", "app_reader", auth.RuleOnlyRole, ""},
		{"asks for postgres", usual, "", "", "reader", "postgres", "app_reader", auth.RuleOnlyRole, ""},
		{"asks for nobody", usual, "", "", "reader", "", "app_reader", auth.RuleOnlyRole, ""},
		{"account names keep their case", usual, "", "", "reader", "APP_ADMIN", "app_reader", auth.RuleOnlyRole, ""},
		{"account of another is the name of an own role", "READER=writer WRITER=w", "", "", "writer", "writer", "w", auth.RuleRequested, ""},
		{"own account is the name of another's role", "READER=writer WRITER=w", "", "", "reader", "writer", "writer", auth.RuleRequested, ""},
		{"two roles, one account", "A=shared B=shared", "B", "", "a,b", "shared", "shared", auth.RuleRequested, ""},

		{"dotless i is not I", "ADMIN=app_admin", "", "", "adm\u0131n", "ann", "", "", none},
		{"long s is not S", "STAFF=app_staff", "", "", "\u017ftaff", "ann", "", "", none},
		{"letters beyond ASCII", "É_1=e", "", "", "é-1", "ann", "e", auth.RuleOnlyRole, ""},
		{"other letters are no gap", "CAF_=x", "", "", "café", "ann", "", "", none},
		{"path as Keycloak writes groups", "_TEAM_DB=t", "", "", "/team/db", "ann", "t", auth.RuleOnlyRole, ""},
		{"only punctuation", usual, "", "", "---,!!!", "***", "", "", none},
	} {
		t.Run(test.name, test.run)
	}
}

func (test roleCase) run(t *testing.T) {
	r := newRoles(t, test.mapping, test.priority, test.defaultRole)
	id := auth.Identity{User: "ann@example.com", Roles: split(test.roles)}
	account, err := r.For(id, test.requested)
	if test.why != "" {
		e, ok := errors.AsType[*auth.RoleError](err)
		if !ok || e.Reason != test.why || e.Requested != test.requested || !slices.Equal(e.Roles, id.Roles) {
			t.Fatalf("got %+v, error %#v; want a refusal: %s", account, err, test.why)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if account.User != test.account || account.Rule != test.rule {
		t.Errorf("served by %q by rule %q, want %q by %q", account.User, account.Rule, test.account, test.rule)
	}
	if account.Password.Reveal() != "pw of "+test.account {
		t.Error("the password is another account's")
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func TestRoleIsAsTheTokenSpellsIt(t *testing.T) {
	account, err := newRoles(t, "DB_READER=r", "", "").For(auth.Identity{Roles: []string{"db-reader"}}, "")
	if err != nil || account.Role != "db-reader" {
		t.Errorf("the role is recorded as %q (error %v)", account.Role, err)
	}
}

func TestRoleErrorIsShort(t *testing.T) {
	roles := make([]string, 1000)
	for i := range roles {
		roles[i] = strings.Repeat("r\n", 128)
	}
	_, err := newRoles(t, "A=a", "", "").For(auth.Identity{Roles: roles}, "a")
	if text := err.Error(); len(text) > 1000 || strings.ContainsAny(text, "\n\r") {
		t.Errorf("the error has %d bytes: %.200s", len(text), text)
	}
}

func TestNewRolesSettings(t *testing.T) {
	login := func(user, password string) auth.Login { return auth.Login{User: user, Password: auth.Secret(password)} }
	for _, test := range []struct {
		name   string
		config auth.RolesConfig
		wrong  []string
	}{
		{"nothing", auth.RolesConfig{}, nil},
		{"same role twice", auth.RolesConfig{Mapping: mapping("db-reader=a DB_READER=b")},
			[]string{"ROLE_MAPPING_DB_READER and ROLE_MAPPING_db-reader"}},
		{"role without a name", auth.RolesConfig{Mapping: mapping("=a")}, []string{"role's name is missing"}},
		{"role of punctuation", auth.RolesConfig{Mapping: mapping("---=a")}, []string{"role's name is missing"}},
		{"no username", auth.RolesConfig{Mapping: map[string]auth.Login{"R": login("", "hunter2")}},
			[]string{"ROLE_MAPPING_R: the username is missing"}},
		{"no password", auth.RolesConfig{Mapping: map[string]auth.Login{"R": login("u", "")}},
			[]string{"ROLE_MAPPING_R: the password is missing"}},
		{"name of 64 bytes", auth.RolesConfig{Mapping: mapping("R=" + strings.Repeat("u", 64))}, []string{"63 bytes"}},
		{"name of 63 bytes", auth.RolesConfig{Mapping: mapping("R=" + strings.Repeat("u", 63))}, nil},
		{"zero byte in a name", auth.RolesConfig{Mapping: mapping("R=u\x00v")}, []string{"control character"}},
		{"zero byte in a password", auth.RolesConfig{Mapping: map[string]auth.Login{"R": login("u", "hunter2\x00")}}, []string{"zero byte"}},
		{"two passwords for one account", auth.RolesConfig{Mapping: map[string]auth.Login{"A": login("u", "hunter2"),
			"B": login("u", "hunter3")}}, []string{"ROLE_MAPPING_B", "different password"}},
		{"priority without a mapping", auth.RolesConfig{Mapping: mapping("A=a"), Priority: []string{"A", "db-b"}},
			[]string{"ROLE_PRIORITY", `"db-b"`, "ROLE_MAPPING_DB_B"}},
		{"priority twice", auth.RolesConfig{Mapping: mapping("A=a"), Priority: []string{"a", "A"}}, []string{"twice"}},
		{"default without a mapping", auth.RolesConfig{Mapping: mapping("A=a"), Default: "b"}, []string{"DEFAULT_ROLE", "ROLE_MAPPING_B"}},
		{"all at once", auth.RolesConfig{Mapping: map[string]auth.Login{"A": login("u", "")}, Priority: []string{"x"}, Default: "y"},
			[]string{"ROLE_MAPPING_A", "ROLE_PRIORITY", "DEFAULT_ROLE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := auth.NewRoles(test.config)
			if (err == nil) != (test.wrong == nil) {
				t.Fatalf("got error %v, want one about %q", err, test.wrong)
			}
			for _, text := range test.wrong {
				if !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "hunter") {
					t.Errorf("the error %q does not tell of %q, or tells a password", err, text)
				}
			}
		})
	}
}

func TestLogins(t *testing.T) {
	var got []string
	for _, account := range newRoles(t, "writer=w READER=r", "", "").Logins() {
		got = append(got, fmt.Sprint(account.Role, "=", account.User, account.Rule))
	}
	if want := []string{"READER=r", "WRITER=w"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
