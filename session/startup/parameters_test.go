package startup

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gprxy/pool"
)

// asking is a client's startup packet.
func asking(pairs ...string) (asked Parameters) {
	for i := 0; i < len(pairs); i += 2 {
		asked = append(asked, pool.Parameter{Name: pairs[i], Value: pairs[i+1]})
	}
	return asked
}

// What stands before a mistake counts, as in PostgreSQL.
func TestParametersOfAStartupPacket(t *testing.T) {
	for _, test := range []struct {
		name, body string
		all        Parameters
		good       bool
	}{
		{"pairs", "user\x00bob\x00database\x00demo\x00\x00", asking("user", "bob", "database", "demo"), true},
		{"an empty value", "user\x00\x00\x00", asking("user", ""), true},
		{"no pair", "\x00", nil, true},
		{"nothing", "", nil, false},
		{"no terminator", "user\x00bob\x00", asking("user", "bob"), false},
		{"a value without its end", "user\x00bob", asking("user", "bob"), false},
		{"a name without its end", "user\x00bob\x00replication", asking("user", "bob"), false},
		{"a name without a value", "user\x00bob\x00replication\x00", asking("user", "bob"), false},
		{"more after the terminator", "user\x00bob\x00\x00more", asking("user", "bob"), false},
	} {
		all, err := ParseParameters([]byte(test.body))
		if !slices.Equal(all, test.all) || (err == nil) != test.good {
			t.Errorf("%s: got %v, %v", test.name, all, err)
		}
	}
}

func TestSplitOptionsAsPostgreSQLDoes(t *testing.T) {
	tests := map[string][]string{
		"":                   nil,
		"  ":                 nil,
		"-c a=b":             {"-c", "a=b"},
		" -c\ta=b\n--c=d ":   {"-c", "a=b", "--c=d"},
		`-c a=one\ word`:     {"-c", "a=one word"},
		`-c a=back\\slash`:   {"-c", `a=back\slash`},
		`-c a=trailing\`:     {"-c", "a=trailing"},
		`\ `:                 {" "},
		"-c a='quotes stay'": {"-c", "a='quotes", "stay'"},
	}
	for options, want := range tests {
		var got []string
		for _, word := range SplitOptions(options) {
			got = append(got, word.Text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", options, got, want)
		}
	}
}

// The choice of a login is taken out of the options whole, and nothing else is.
func FuzzAuthChoice(f *testing.F) {
	for _, seed := range []string{
		"-c gprxy.auth=device", "--gprxy.auth=oauth -c a=b", "-cgprxy.auth=x -c gprxy.auth=y", `-c gprxy.auth=a\ b`, "-c", "-c -c gprxy.auth=z",
		"-c a=b --GPRXY.AUTH=password", `-c gprxy.auth=\`, "-c gprxy.auth", " -c  search_path=gprxy.auth=x ", `\ `, `-c gprxy.auth=x \ `,
	} {
		f.Add(seed)
	}
	texts := func(options string) (all []string) {
		for _, word := range SplitOptions(options) {
			all = append(all, word.Text)
		}
		return all
	}
	f.Fuzz(func(t *testing.T, options string) {
		rest, value, found := CutOption(options, AuthParameter)
		if !found && (rest != options || value != "") {
			t.Errorf("%q has no choice and becomes %q, %q", options, rest, value)
		}
		if _, _, again := CutOption(rest, AuthParameter); again {
			t.Errorf("%q becomes %q, which still has a choice", options, rest)
		}
		before, after := texts(options), texts(rest)
		for _, word := range after {
			at := slices.Index(before, word)
			if at < 0 {
				t.Fatalf("%q becomes %q: the word %q is new", options, rest, word)
			}
			before = before[at+1:]
		}
		if found && !slices.ContainsFunc(texts(options), func(word string) bool { return strings.HasSuffix(word, "="+value) }) {
			t.Errorf("%q chooses %q", options, value)
		}
	})
}
