// Where a token names the person and the roles.

package auth_test

import (
	"maps"
	"strings"
	"testing"

	"gprxy/auth"
	"gprxy/auth/authtest"
)

func TestWhereIdentityAndRolesStand(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	keycloak := authtest.Claims{
		"realm_access":    map[string]any{"roles": []string{"k1", "k2"}},
		"resource_access": map[string]any{"my.client": map[string]any{"roles": []string{"c1"}}},
	}
	for _, test := range []struct {
		name                  string
		userClaim, rolesClaim string
		claims                authtest.Claims
		user, roles, reason   string
	}{
		{"email before sub", "", "", authtest.Claims{"email": "a@b.c"}, "a@b.c", "", ""},
		{"verified email", "", "", authtest.Claims{"email": "a@b.c", "email_verified": true}, "a@b.c", "", ""},
		{"verified email, spelled as a text", "", "", authtest.Claims{"email": "a@b.c", "email_verified": "true"}, "a@b.c", "", ""},
		{"email not verified", "", "", authtest.Claims{"email": "a@b.c", "email_verified": false}, "test|1", "", ""},
		{"email not verified, spelled as a text", "", "", authtest.Claims{"email": "a@b.c", "email_verified": "false"}, "test|1", "", ""},
		{"empty email", "", "", authtest.Claims{"email": ""}, "test|1", "", ""},
		{"email with a line break", "", "", authtest.Claims{"email": "a@b.c\nx"}, "", "", auth.ReasonNoIdentity},
		{"chosen claim", "preferred_username", "", authtest.Claims{"preferred_username": "ann", "email": "a@b.c"}, "ann", "", ""},
		{"chosen claim is missing", "preferred_username", "", authtest.Claims{"email": "a@b.c"}, "", "", auth.ReasonNoIdentity},
		{"chosen email not verified", "email", "", authtest.Claims{"email": "a@b.c", "email_verified": false}, "", "", auth.ReasonNoIdentity},
		{"nested user", "ext.user", "", authtest.Claims{"ext": map[string]any{"user": "ann"}}, "ann", "", ""},

		{"no sub", "", "", authtest.Claims{"sub": nil, "email": "a@b.c"}, "a@b.c", "", ""},
		{"empty sub", "", "", authtest.Claims{"sub": "", "email": "a@b.c"}, "a@b.c", "", ""},

		{"a path is parted at dots alone", "", "a_b", authtest.Claims{"a": map[string]any{"b": []string{"r"}}}, "test|1", "", ""},
		{"roles before role and groups", "", "", authtest.Claims{"roles": []string{"a"}, "role": "b", "groups": []string{"c"}}, "test|1", "a",
			""},
		{"role before groups", "", "", authtest.Claims{"role": "b", "groups": []string{"c"}}, "test|1", "b", ""},
		{"null roles, then groups", "", "", authtest.Claims{"roles": []string(nil), "groups": []string{"c"}}, "test|1", "c", ""},
		{"namespaced", "", "", authtest.Claims{"https://example.com/roles": []string{"n"}}, "test|1", "n", ""},
		{"first namespace by name", "", "", authtest.Claims{"https://b/roles": []string{"b"}, "https://a/roles": []string{"a"}}, "test|1", "a",
			""},
		{"one text is one role", "", "", authtest.Claims{"roles": "Domain Admins"}, "test|1", "Domain Admins", ""},
		{"scope is a list in a text", "", "scope", authtest.Claims{"scope": "db:read  db:write"}, "test|1", "db:read|db:write", ""},
		{"scp is a list in a text", "", "ext.scp", authtest.Claims{"ext": map[string]any{"scp": "a b"}}, "test|1", "a|b", ""},
		{"empty text is no role", "", "", authtest.Claims{"roles": ""}, "test|1", "", ""},
		{"empty elements are passed over", "", "", authtest.Claims{"roles": []string{"", "a", ""}}, "test|1", "a", ""},
		{"chosen claim only", "", "groups", authtest.Claims{"roles": []string{"a"}, "groups": []string{"g"}}, "test|1", "g", ""},
		{"chosen claim is missing: no roles", "", "groups", authtest.Claims{"roles": []string{"a"}}, "test|1", "", ""},
		{"Keycloak's realm roles", "", "realm_access.roles", keycloak, "test|1", "k1|k2", ""},
		{"Keycloak's client roles, dot in the client", "", "resource_access.my.client.roles", keycloak, "test|1", "c1", ""},
		{"exact name before path", "", "realm_access.roles", with(keycloak, "realm_access.roles", []string{"flat"}), "test|1", "flat", ""},
		{"chosen claim is null: no roles", "", "groups", authtest.Claims{"groups": []string(nil)}, "test|1", "", ""},
		{"chosen claim is an object: its names", "", "resource_access", keycloak, "test|1", "my.client", ""},
		{"empty roles do not hide groups", "", "", authtest.Claims{"roles": []string{}, "groups": []string{"g"}}, "test|1", "g", ""},
		{"an empty text does not hide groups", "", "", authtest.Claims{"roles": "", "groups": []string{"g"}}, "test|1", "g", ""},
		{"an empty object does not hide groups", "", "", authtest.Claims{"role": map[string]any{}, "groups": []string{"g"}}, "test|1", "g", ""},
		{"what is no role does not hide groups", "", "", authtest.Claims{"roles": []any{7, nil}, "groups": []string{"g"}}, "test|1", "g", ""},
		{"empty groups do not hide a namespaced claim", "", "", authtest.Claims{"groups": []string{}, "https://x/roles": "n"}, "test|1", "n", ""},
		{"email in capitals", "", "", authtest.Claims{"email": "Ann@Example.COM"}, "ann@example.com", "", ""},
		{"a name that is no email keeps its case", "preferred_username", "", authtest.Claims{"preferred_username": "Ann"}, "Ann", "", ""},
		{"a chosen claim that holds an email", "upn", "", authtest.Claims{"upn": "ANN@example.com"}, "ann@example.com", "", ""},
		{"sub keeps its case, whatever it looks like", "", "", authtest.Claims{"sub": "Ann@Example.com"}, "Ann@Example.com", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierConfig{Issuer: iss.URL(), Audience: iss.Audience(), Now: c.Now,
				UserClaim: test.userClaim, RolesClaim: test.rolesClaim})
			token := iss.Token(test.claims)
			id, err := v.Verify(t.Context(), token)
			if test.reason != "" {
				e := refusal(t, err, token, test.reason)
				if missing := strings.HasSuffix(test.name, "is missing"); missing != strings.Contains(e.Detail, "has no claim") {
					t.Errorf("refused because %q", e.Detail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if roles := strings.Join(id.Roles, "|"); id.User != test.user || roles != test.roles {
				t.Errorf("got user %q, roles %q; want %q, %q", id.User, roles, test.user, test.roles)
			}
		})
	}
}

func with(c authtest.Claims, name string, value any) authtest.Claims {
	c = maps.Clone(c)
	c[name] = value
	return c
}
