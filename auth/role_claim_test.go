// Odd entries among a person's roles: they take no other role away, and are no role themselves.

package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestOddEntriesAmongRoles(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	long := strings.Repeat("r", 257)
	for _, test := range []struct {
		name    string
		roles   any
		want    string
		ignored int
	}{
		{"nothing odd", []any{"reader", "staff"}, "reader|staff", 0},
		{"256 bytes", []any{long[1:]}, long[1:], 0},
		{"257 bytes", []any{long, "reader"}, "reader", 1},
		{"a zero byte", []any{"a\x00b", "reader"}, "reader", 1},
		{"a line break", []any{"ad\nmin", "reader"}, "reader", 1},
		{"a joiner", []any{"ad\u200dmin", "reader"}, "reader", 1},
		{"a soft hyphen", []any{"ad\u00admin", "reader"}, "reader", 1},
		{"text that turns around", []any{"\u202enimda", "reader"}, "reader", 1},
		{"a blank at its end", []any{"admin ", "reader"}, "reader", 1},
		{"a no-break space at its beginning", []any{"\u00a0admin", "reader"}, "reader", 1},
		{"a number", []any{"reader", 1}, "reader", 1},
		{"null", []any{nil, "reader"}, "reader", 1},
		{"a list", []any{[]any{"admin"}, "reader"}, "reader", 1},
		{"an empty text", []any{"", "reader"}, "reader", 0},
		{"odd ones alone", []any{7, nil, long}, "", 3},

		{"an object", map[string]any{"reader": map[string]any{"org": "acme"}, "staff": true}, "reader|staff", 0},
		{"an object that says no", map[string]any{"admin": false, "boss": nil, "chief": map[string]any{}, "duke": []any{}, "earl": 0,
			"reader": true}, "reader", 5},
		{"objects with a name", []any{map[string]any{"id": 1, "name": "reader"}, map[string]any{"id": 2}, "staff"}, "reader|staff", 1},
		{"a text that is a JSON list", `["reader", "staff", 7]`, "reader|staff", 1},
		{"a text that is nearly one", `["reader"`, `["reader"`, 0},
		{"a text with two lists", `["reader"] ["admin"]`, `["reader"] ["admin"]`, 0},
		{"a number alone", 7, "", 1},
		{"true", true, "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), iss.Token(authtest.Claims{"roles": test.roles}))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(id.Roles, "|"); got != test.want || id.RolesIgnored != test.ignored {
				t.Errorf("got %q and %d ignored, want %q and %d", got, id.RolesIgnored, test.want, test.ignored)
			}
		})
	}
}

// Among very many roles the mapped ones are found wherever they stand; of the others some thousand are kept.
func TestVeryManyRoles(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	roles := newRoles(t, "DB_READER=app_reader", "", "")
	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, Mapped: roles.Maps})
	var groups []string
	for i := range 3000 {
		groups = append(groups, fmt.Sprint("group-", i))
	}
	id, err := v.Verify(t.Context(), iss.Token(authtest.Claims{"groups": append(groups, "db-reader")}))
	if err != nil {
		t.Fatal(err)
	}
	if len(id.Roles) != 1001 || !slices.Contains(id.Roles, "db-reader") || id.RolesIgnored != 2000 {
		t.Errorf("%d roles, %d ignored", len(id.Roles), id.RolesIgnored)
	}
	if account, err := roles.For(id, "ann"); err != nil || account.User != "app_reader" {
		t.Errorf("served by %+v, %v", account, err)
	}
}

// A name that looks like a mapped role, or like one to a sloppy reader, is not that role.
func TestSimilarNamesAreNotTheRole(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	roles := newRoles(t, "ADMIN=app_admin AD_MIN=app_admin _ADMIN=app_admin ADMIN_=app_admin", "", "")
	v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, Mapped: roles.Maps})
	for _, name := range []any{"admin\u200b", "ad\u200dmin", "ad\u00admin", " admin", "admin\t", "\ufeffadmin", "adm\u0131n", "\u0430dmin",
		"ａdmin",
		[]any{"admin"}, map[string]any{"name": []any{"admin"}}} {
		id, err := v.Verify(t.Context(), iss.Token(authtest.Claims{"roles": []any{name}}))
		if err != nil {
			t.Fatal(err)
		}
		if account, err := roles.For(id, "ann"); err == nil {
			t.Errorf("%q is served by %+v", name, account)
		}
	}
}

// Entra ID leaves groups out of a token when they are too many: nobody knows then what the person holds.
func TestGroupsOverage(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	roles := newRoles(t, "READER=app_reader GUEST=app_guest", "", "guest")
	left := map[string]any{"groups": "src1"}
	for _, test := range []struct {
		name, rolesClaim string
		claims           authtest.Claims
		account, reason  string
	}{
		{"_claim_names", "", authtest.Claims{"_claim_names": left}, "", auth.ReasonRolesOverage},
		{"hasgroups", "", authtest.Claims{"hasgroups": true}, "", auth.ReasonRolesOverage},
		{"hasgroups as a text", "groups", authtest.Claims{"hasgroups": "true"}, "", auth.ReasonRolesOverage},
		{"beside empty roles", "", authtest.Claims{"roles": []string{}, "_claim_names": left}, "", auth.ReasonRolesOverage},
		{"an app role is there", "", authtest.Claims{"roles": []string{"reader"}, "_claim_names": left}, "app_reader", ""},
		{"groups are not what counts", "roles", authtest.Claims{"_claim_names": left}, "app_guest", ""},
		{"something else was left out", "", authtest.Claims{"_claim_names": map[string]any{"address": "src1"}}, "app_guest", ""},
		{"no groups at all", "", authtest.Claims{"hasgroups": false}, "app_guest", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now, RolesClaim: test.rolesClaim})
			id, err := v.Verify(t.Context(), iss.Token(test.claims))
			if err != nil {
				t.Fatal(err)
			}
			for _, wish := range []string{"ann", "app_guest"} {
				account, err := roles.For(id, wish)
				denied, _ := errors.AsType[*auth.RoleError](err)
				switch {
				case test.reason != "" && (denied == nil || denied.Reason != test.reason || !strings.Contains(denied.Error(), "groups overage")):
					t.Errorf("asking for %s: %+v, %v", wish, account, err)
				case test.reason == "" && wish == "ann" && account.User != test.account:
					t.Errorf("asking for %s: %+v, %v", wish, account, err)
				}
			}
		})
	}
}
