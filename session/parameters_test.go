package session

import (
	"reflect"
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
