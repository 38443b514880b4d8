// The runner itself: it must be able to fail.
package session_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func TestScriptLinesAreTheseBytes(t *testing.T) {
	for line, want := range map[string]string{
		`>Q "select 1"`:                      "Q\x00\x00\x00\x0dselect 1\x00",
		`>Q "ab"*2" c"`:                      "Q\x00\x00\x00\x0babab c\x00",
		`>P "s" "x" 23`:                      "P\x00\x00\x00\x0es\x00x\x00\x00\x01\x00\x00\x00\x17",
		`>B "p" "s" formats=1 "\x07" null`:   "B\x00\x00\x00\x19p\x00s\x00\x00\x01\x00\x01\x00\x02\x00\x00\x00\x01\x07\xff\xff\xff\xff\x00\x00",
		`>B "" "" results=0,1 "formats=1"`:   "B\x00\x00\x00\x1d\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09formats=1\x00\x02\x00\x00\x00\x01",
		`>E "p" 3`:                           "E\x00\x00\x00\x0ap\x00\x00\x00\x00\x03",
		`>D S "s"`:                           "D\x00\x00\x00\x07Ss\x00",
		`>F 870 formats=1 result=1 "a" null`: "F\x00\x00\x00\x19\x00\x00\x03\x66\x00\x01\x00\x01\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff\x00\x01",
		`>F 870`:                             "F\x00\x00\x00\x0e\x00\x00\x03\x66\x00\x00\x00\x00\x00\x00",
		`>raw 51 00 "\x00" 00`:               "Q\x00\x00\x00",
		`>m y "body"`:                        "y\x00\x00\x00\x08body",
		`>S # a remark`:                      "S\x00\x00\x00\x04",
		`>startup 3.2 user=u database="d b"`: "\x00\x00\x00\x1d\x00\x03\x00\x02user\x00u\x00database\x00d b\x00\x00",
		`>startup`:                           "\x00\x00\x00\x09\x00\x03\x00\x00\x00",
	} {
		s, err := parseScript("test", "# bytes\n"+line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		c := &peer{}
		if err := s.steps[0].act(&player{}, c); err != nil || string(c.out) != want {
			t.Errorf("%s: %q, %v, want %q", line, c.out, err, want)
		}
	}
}

func TestScriptsThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{
		"says nothing":           "startup",
		"does nothing":           "# a remark",
		"an unknown line":        "# x\nnonsense",
		"an unknown message":     "# x\n>K",
		"a string without end":   "# x\n>Q \"select",
		"too many words":         "# x\n>S \"x\"",
		"a pair without value":   "# x\nstartup user",
		"a repeat without end":   "# x\nrepeat 3\n>S",
		"a number that is none":  "# x\n>E \"\" many",
		"a need nobody can have": "# x\nneeds luck\n>S",
	} {
		if _, err := parseScript("test", text); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// received by a session with this pid.
func heard(pid uint32, items ...item) []*peer {
	key := binary.BigEndian.AppendUint32(nil, pid)
	return []*peer{{label: "a", key: key, seen: append([]item{{'K', append(slices.Clone(key), "1234"...)}}, items...)}}
}

func column(table, kind uint32) string {
	return "name\x00" + int32s(table) + int16s(1) + int32s(kind) + int16s(4) + int32s(0) + int16s(0)
}

func TestTheRunnerSeesEveryDifference(t *testing.T) {
	row := item{'D', []byte("\x00\x01\x00\x00\x00\x0a0000004711")}
	tests := []struct {
		name          string
		direct, other []*peer
		differ        bool
	}{
		{"the same", heard(1, row), heard(1, row), false},
		{"another pid and its texts", heard(4711, row), heard(99, item{'D', []byte("\x00\x01\x00\x00\x00\x0a0000000099")}), false},
		{"the pid of a third", heard(4711, row), heard(99, row), true},
		{"a shorter secret", heard(1), []*peer{{label: "a", key: []byte("\x00\x00\x00\x01"),
			seen: []item{{'K', []byte("\x00\x00\x00\x01123")}}}}, true},
		{"another OID of a table made by the script", heard(1, item{'T', []byte("\x00\x01" + column(20001, 23))}),
			heard(1, item{'T', []byte("\x00\x01" + column(20002, 23))}), false},
		{"two tables that are one", heard(1, item{'T', []byte("\x00\x02" + column(20001, 23) + column(20001, 23))}),
			heard(1, item{'T', []byte("\x00\x02" + column(20001, 23) + column(20002, 23))}), true},
		{"another type", heard(1, item{'T', []byte("\x00\x01" + column(20001, 23))}), heard(1,
			item{'T', []byte("\x00\x01" + column(20001, 25))}), true},
		{"another temporary schema", heard(1, item{'E', []byte("spg_temp_3\x00\x00")}), heard(1, item{'E', []byte("spg_temp_11\x00\x00")}),
			false},
		{"one byte of a message", heard(1, item{'C', []byte("SELECT 1\x00")}), heard(1, item{'C', []byte("SELECT 2\x00")}), true},
		{"another type of message", heard(1, item{'C', nil}), heard(1, item{'I', nil}), true},
		{"a message too many", heard(1, row), heard(1, row, row), true},
		{"a message missing", heard(1, row, row), heard(1, row), true},
		{"bytes that are no message", heard(1), heard(1, item{0, []byte("Z\x00\x00")}), true},
		{"fields in another order", heard(1, item{'E', []byte("SERROR\x00C42601\x00\x00")}),
			heard(1, item{'E', []byte("C42601\x00SERROR\x00\x00")}), true},
	}
	for _, test := range tests {
		s := &script{name: "test"}
		direct, other := s.transcripts(test.direct)[0], s.transcripts(test.other)[0]
		if got := firstDifference(direct, other) >= 0; got != test.differ {
			t.Errorf("%s: they differ %v\n%s", test.name, got, tell(direct, other, "the other"))
		}
	}
}

func TestAnExceptionCoversNothingElse(t *testing.T) {
	d := transcript{items: []item{{'1', nil}, {'E', []byte("SFATAL\x00Mone\x00Ffile.c\x00\x00")}, {'Z', []byte("I")}}}
	p := transcript{items: []item{{'1', nil}, {'E', []byte("SFATAL\x00Mone\x00\x00")}, {'Z', []byte("I")}}}
	e := exception{direct: []string{`E S="FATAL" M="one"`}, proxied: []string{`E S="FATAL" M="one"`}}
	if !e.covers(d, p) {
		t.Error("it does not cover what it declares")
	}
	p.items[2].body = []byte("T")
	if e.covers(d, p) {
		t.Error("it covers another ReadyForQuery, too")
	}
	if e.covers(d, d) {
		t.Error("it covers no difference")
	}
}

// Every exception is of a script that there is, and has a reason.
func TestExceptionsHaveScripts(t *testing.T) {
	var names []string
	for _, s := range readScripts(t) {
		names = append(names, s.name)
	}
	for _, e := range differences {
		if !slices.Contains(names, e.script) || strings.TrimSpace(e.reason) == "" {
			t.Errorf("the exception for %q: %q", e.script, e.reason)
		}
	}
	if len(names) < 80 {
		t.Errorf("only %d scripts", len(names))
	}
}
