package tunnel

import (
	"slices"
	"strings"
	"testing"

	"gprxy/session/startup"
)

func TestRewritingAStartupMessageKeepsItsOrder(t *testing.T) {
	list := func(pairs ...string) string { return strings.Join(pairs, "\x00") + "\x00\x00" }
	tests := []struct{ name, body, user, want string }{
		{"nothing to do", list("user", "u", "database", "d", "a", "1"), "", list("user", "u", "database", "d", "a", "1")},
		{"no database", list("user", "u", "a", "1"), "", list("database", "mine", "user", "u", "a", "1")},
		{"an empty database", list("database", "", "user", "u"), "", list("database", "mine", "user", "u")},
		{"another user", list("a", "1", "user", "u", "b", "2", "database", "d"), "me", list("user", "me", "a", "1", "b", "2", "database", "d")},
		{"users to choose from", list("user", "u", "user", "v", "database", "d"), "me", list("user", "me", "database", "d")},
		{"empty values", list("options", "", "user", "u", "database", "d"), "", list("options", "", "user", "u", "database", "d")},
		{"nothing at all", "\x00", "me", list("user", "me", "database", "mine")},
	}
	for _, test := range tests {
		got, err := rewriteParameters([]byte(test.body), test.user, "mine")
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %q, %v\nwant %q", test.name, got, err, test.want)
		}
	}
}

// Whatever a client sends, gprxy reads out of it what the client meant, but for
// user and database.
func FuzzRewriteParameters(f *testing.F) {
	for _, seed := range []string{"\x00", "user\x00u\x00\x00", "user\x00u\x00database\x00\x00\x00", "user\x00a\x00user\x00b\x00\x00",
		"\x00\x00", "a\x00"} {
		f.Add([]byte(seed), "me", "mine")
		f.Add([]byte(seed), "", "mine")
	}
	f.Fuzz(func(t *testing.T, body []byte, user, database string) {
		if strings.ContainsRune(user+database, 0) {
			return
		}
		want, err := startup.ParseParameters(body)
		got, rewriteErr := rewriteParameters(body, user, database)
		if (err == nil) != (rewriteErr == nil) {
			t.Fatalf("%q: parsing %v, rewriting %v", body, err, rewriteErr)
		}
		if err != nil {
			return
		}
		read, err := startup.ParseParameters(got)
		if err != nil {
			t.Fatalf("%q became %q: %v", body, got, err)
		}
		if user != "" && read.Get("user") != user || user == "" && read.Get("user") != want.Get("user") {
			t.Errorf("%q became %q", body, got)
		}
		if named := want.Get("database"); read.Get("database") != named && (named != "" || read.Get("database") != database) {
			t.Errorf("%q became %q", body, got)
		}
		want, _, _ = startup.TakeAuthChoice(want)
		if rest := read.Without("user", "database"); !slices.Equal(rest, want.Without("user", "database")) {
			t.Errorf("%q became %q", body, got)
		}
	})
}

// The tunnel logs in itself, so what a client would like to be asked for goes no
// further; its other options do.
func TestTheTunnelKeepsTheClientsChoiceOfLogin(t *testing.T) {
	tests := map[string]string{
		"user\x00u\x00options\x00-c gprxy.auth=device -c work_mem=3MB\x00\x00": "options\x00-c work_mem=3MB\x00user\x00u\x00\x00",
		"user\x00u\x00options\x00--gprxy.auth=device\x00\x00":                  "user\x00u\x00\x00",
		"user\x00u\x00gprxy.auth\x00oauth\x00TimeZone\x00UTC\x00\x00":          "user\x00u\x00TimeZone\x00UTC\x00\x00",
		"user\x00u\x00options\x00-c a=b\x00\x00":                               "user\x00u\x00options\x00-c a=b\x00\x00",
	}
	for sent, want := range tests {
		if got, err := rewriteParameters([]byte(sent), "", ""); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v; want %q", sent, got, err, want)
		}
	}
}
