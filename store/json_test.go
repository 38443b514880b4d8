// The hand-written reading of JSON agrees with encoding/json.

package store

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func FuzzJSONMembers(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"}\"]"}],"c":null,"d":"\u00fc\\"}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(` { "a" : true , "b" : -1.5e3 } `))
	f.Add([]byte(`{"a":"x\\","b":"\\\""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := map[string]string{}
		err := eachMember(b, func(key, value []byte) error {
			got[string(key)] = string(value)
			return nil
		})
		var want map[string]json.RawMessage
		if json.Unmarshal(b, &want) != nil || want == nil {
			return // what is no object may give anything but a panic
		}
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if bytes.IndexByte(b, '\\') >= 0 || !utf8.Valid(b) {
			return // keys are compared as they stand
		}
		for key, value := range want {
			if got[key] != string(value) {
				t.Fatalf("%q: member %q is %s, want %s", b, key, got[key], value)
			}
		}
	})
}

func FuzzJSONElements(f *testing.F) {
	f.Add([]byte(`[1,"a",{"b":[]},null]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []string
		err := eachElement(b, func(value []byte) error {
			got = append(got, string(value))
			return nil
		})
		var want []json.RawMessage
		if json.Unmarshal(b, &want) != nil || want == nil {
			return
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %q (%v), want %q", b, got, err, want)
		}
		for i := range want {
			if got[i] != string(want[i]) {
				t.Fatalf("%q: element %d is %s, want %s", b, i, got[i], want[i])
			}
		}
	})
}

func TestStringsAreReadLikeEncodingJSON(t *testing.T) {
	for _, v := range []string{`"plain"`, `""`, `"a\u2028\n\"\\"`, `null`, `"\ud83d\ude00"`, `"ü"`} {
		got, want := "before", "before"
		if err := decodeString([]byte(v), &got); err != nil {
			t.Errorf("%s: %v", v, err)
		}
		if err := json.Unmarshal([]byte(v), &want); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", v, got, want, err)
		}
	}
	for _, v := range []string{`7`, `{`, `"`, ``} {
		var s string
		if err := decodeString([]byte(v), &s); err == nil {
			t.Errorf("%s was read as %q", v, s)
		}
	}
}
