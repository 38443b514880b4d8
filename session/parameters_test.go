package session

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gprxy/pool"
)

// asking is a client's startup packet.
func asking(pairs ...string) (asked parameters) {
	for i := 0; i < len(pairs); i += 2 {
		asked = append(asked, pool.Parameter{Name: pairs[i], Value: pairs[i+1]})
	}
	return asked
}

func TestDeniedParameters(t *testing.T) {
	denied := []parameters{
		asking("role", "postgres"),
		asking("ROLE", "postgres"),
		asking("session_authorization", "postgres"),
		asking("session_preload_libraries", "x"),
		asking("local_preload_libraries", "x"),
		asking("shared_preload_libraries", "x"),
		asking("gprxy.user", "mallory"),
		asking("options", "-c role=postgres"),
		asking("options", "-crole=postgres"),
		asking("options", "-c ROLE=postgres"),
		asking("options", "--role=postgres"),
		asking("options", "--session-authorization=postgres"),
		asking("options", `-c\ role=postgres`),
		asking("options", `-c ro\le=postgres`),
		asking("options", "-c search_path=x -c role=postgres"),
		asking("options", "-Pcrole=postgres"),
		asking("options", "-c gprxy.user=mallory"),
		asking("options", "--gprxy.user=mallory"),
		asking("options", "\t-c\nlocal-preload-libraries=x"),
		asking("Session_Authorization", "postgres"),
		asking("options", "-c role=postgres", "options", ""),
		asking("TimeZone", "UTC", "role", "postgres"),
	}
	for _, asked := range denied {
		if checkParameters(asked) == nil {
			t.Errorf("%v is allowed", asked)
		}
	}
	allowed := []parameters{
		asking(),
		asking("application_name", "role=postgres"),
		asking("search_path", "a,b", "TimeZone", "UTC"),
		asking("options", "-c statement_timeout=5s --search_path=role"),
		asking("options", "-c my.role=x"),
		asking("options", "-cmy.role=x"),
		asking("options", "-c application_name=role"),
		asking("roles", "x"),
		asking("OPTIONS", "-c role=postgres"), // a parameter that PostgreSQL does not know
		asking("USER", "postgres"),            // likewise
	}
	for _, asked := range allowed {
		if err := checkParameters(asked); err != nil {
			t.Errorf("%v is refused: %v", asked, err)
		}
	}
}

// What stands before a mistake counts, as in PostgreSQL.
func TestParametersOfAStartupPacket(t *testing.T) {
	for _, test := range []struct {
		name, body string
		all        parameters
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
		all, err := parseParameters([]byte(test.body))
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
		for _, word := range splitOptions(options) {
			got = append(got, word.text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", options, got, want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("-c role=postgres")
	f.Add(`--a\ b=c\`)
	f.Fuzz(func(t *testing.T, options string) {
		for _, word := range splitOptions("-c " + options + " -c role=x") {
			_ = word
		}
		if deniedOption(options+" -c role=x") == "" && options != "" && options[len(options)-1] != '\\' {
			t.Errorf("%q hides a denied parameter", options)
		}
	})
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
		for _, word := range splitOptions(options) {
			all = append(all, word.text)
		}
		return all
	}
	f.Fuzz(func(t *testing.T, options string) {
		rest, value, found := cutOption(options, authParameter)
		if !found && (rest != options || value != "") {
			t.Errorf("%q has no choice and becomes %q, %q", options, rest, value)
		}
		if _, _, again := cutOption(rest, authParameter); again {
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
