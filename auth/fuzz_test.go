// Whatever a stranger or an odd issuer sends is read within bounds or refused.

package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func FuzzLooksLikeToken(f *testing.F) {
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, seed := range []string{
		"", ".", "..", "...", "a.b.c", "hunter2", "eyJ.eyJ.x", raw(`{"alg":"none"}`) + "." + raw(`{}`) + ".",
		raw(`{"alg":"ES256","kid":"1"}`) + "." + raw(`{"iss":"x"}`) + ".AAAA", raw(`[]`) + "." + raw(`{}`) + ".x",
		raw(strings.Repeat(`{"alg":`, 99)) + ".e30.e30",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		looks := LooksLikeToken(password)
		parsed, err := parseToken(password)
		if err == nil && !looks {
			t.Errorf("%q can be read as a token and does not look like one", password)
		}
		if looks && strings.Count(password, ".") != 2 {
			t.Errorf("%q looks like a token", password)
		}
		if err == nil && string(parsed.input) != password[:strings.LastIndexByte(password, '.')] {
			t.Errorf("the signature of %q covers %q", password, parsed.input)
		}
		if refused, ok := errors.AsType[*TokenError](err); err != nil && (!ok || refused.Reason == "") {
			t.Errorf("the refusal of %q has no reason: %v", password, err)
		}
	})
}

func FuzzDecodeObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":[1,{"b":null}]}`, `[]`, `{} {}`, `{"a":1e999}`, `{"a":"\ud800"}`,
		"{\"\xff\":1}", `{"a":]}`, `{"a" 1}`, `{1:2}`, `}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := decodeObject(data)
		if err != nil {
			return
		}
		if depth(object) > maxDepth {
			t.Errorf("%q is nested %d deep", data, depth(object))
		}
		want := map[string]any{}
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(object, want) {
			t.Errorf("%q reads as %v, encoding/json reads %v (error %v)", data, object, want, err)
		}
	})
}

func depth(value any) int {
	deepest := 0
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			deepest = max(deepest, depth(member))
		}
	case []any:
		for _, element := range value {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"sub":"1","email":"a@b.c","email_verified":true,"roles":["a","b"]}`), "", "")
	f.Add([]byte(`{"sub":"1","realm_access":{"roles":["a","a",""]}}`), "sub", "realm_access.roles")
	f.Add([]byte(`{"scope":"a b  c","https://x/roles":"d"}`), "", "scope")
	f.Add([]byte(`{"roles":[1],"sub":{},"exp":"x","aud":[[]],"jti":7}`), "a.b.", "..")
	f.Fuzz(func(t *testing.T, data []byte, userClaim, rolesClaim string) {
		if len(rolesClaim) > 64 || len(userClaim) > 64 {
			return // they come from the settings
		}
		object, err := decodeObject(data)
		if err != nil {
			return
		}
		c := claims(object)
		if user, err := c.user(userClaim); err == nil && !isPlainText(user) {
			t.Errorf("%q is taken for a user", user)
		}
		roles := c.roles(rolesClaim, nil).names
		if len(roles) > maxRoles || len(slices.Compact(slices.Sorted(slices.Values(roles)))) != len(roles) || slices.Contains(roles, "") {
			t.Errorf("roles are %q", roles)
		}
		for _, role := range roles {
			if len(role) > maxTextBytes || strings.ContainsFunc(role, unicode.IsControl) {
				t.Errorf("%q is taken for a role", role)
			}
		}
		if id := c.tokenID("x"); !isPlainText(id) {
			t.Errorf("%q is taken for a token id", id)
		}
		_, _ = c.subject()
		_, _ = c.audiences("aud")
		if when, _, err := c.time("exp"); err == nil && when.Year() > 9999 {
			t.Errorf("exp is %v", when)
		}
	})
}

func FuzzRolesFor(f *testing.F) {
	roles, err := NewRoles(RolesConfig{Mapping: map[string]Login{
		"READER": {"app_reader", "1"}, "DB_WRITER": {"app_writer", "2"}, "ADMIN": {"app_admin", "3"}}, Priority: []string{"db-writer"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("reader,db-writer", "app_reader")
	f.Add("adm\u0131n,\u017ftaff", "ADMIN")
	f.Add("", "app_admin")
	f.Add("Reader,READER,re\xffader", "db writer")
	f.Fuzz(func(t *testing.T, list, requested string) {
		id := Identity{Roles: strings.Split(list, ",")}
		account, err := roles.For(id, requested)
		if err != nil {
			if _, ok := errors.AsType[*RoleError](err); !ok || account.User != "" {
				t.Errorf("got %v with the error %v", account, err)
			}
			return
		}
		// Written apart from the code: an account is given only for a role that has its letters.
		names := map[string]string{"app_reader": "reader", "app_writer": "db_writer", "app_admin": "admin"}
		held := slices.ContainsFunc(id.Roles, func(role string) bool {
			return asciiFold(role) == names[account.User]
		})
		if !held || !slices.Contains(id.Roles, account.Role) {
			t.Errorf("roles %q got %q for %q", id.Roles, account.User, account.Role)
		}
	})
}

// asciiFold lowers A-Z and makes runs of ASCII punctuation and of bytes that are no letters one "_".
func asciiFold(role string) string {
	fields := strings.FieldsFunc("<"+role+">", func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	text := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(fields, "_"))
	if len(fields) > 0 && (!strings.HasPrefix(role, fields[0]) || !strings.HasSuffix(role, fields[len(fields)-1])) {
		return "" // a gap at an end keeps its "_", and no mapping of the test has one
	}
	return text
}
