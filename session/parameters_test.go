package session

import (
	"reflect"
	"testing"
)

func TestDeniedParameters(t *testing.T) {
	denied := []map[string]string{
		{"role": "postgres"},
		{"ROLE": "postgres"},
		{"session_authorization": "postgres"},
		{"session_preload_libraries": "x"},
		{"local_preload_libraries": "x"},
		{"gprxy.user": "mallory"},
		{"options": "-c role=postgres"},
		{"options": "-crole=postgres"},
		{"options": "-c ROLE=postgres"},
		{"options": "--role=postgres"},
		{"options": "--session-authorization=postgres"},
		{"options": `-c\ role=postgres`},
		{"options": `-c ro\le=postgres`},
		{"options": "-c search_path=x -c role=postgres"},
		{"options": "-Pcrole=postgres"},
		{"options": "-c gprxy.user=mallory"},
		{"options": "--gprxy.user=mallory"},
		{"options": "\t-c\nlocal-preload-libraries=x"},
		{"replication": "true"},
		{"replication": "database"},
		{"replication": "1"},
		{"OPTIONS": "-c role=postgres"},
		{"Options": "-c gprxy.user=mallory"},
		{"Replication": "true"},
		{"USER": "postgres"},
		{"Session_Authorization": "postgres"},
	}
	for _, parameters := range denied {
		if checkParameters(parameters) == nil {
			t.Errorf("%v is allowed", parameters)
		}
	}
	allowed := []map[string]string{
		{},
		{"application_name": "role=postgres"},
		{"search_path": "a,b", "TimeZone": "UTC"},
		{"options": "-c statement_timeout=5s --search_path=role"},
		{"options": "-c my.role=x"},
		{"options": "-c application_name=role"},
		{"replication": "false"},
		{"replication": ""},
		{"roles": "x"},
	}
	for _, parameters := range allowed {
		if err := checkParameters(parameters); err != nil {
			t.Errorf("%v is refused: %v", parameters, err)
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
