// The bytes of statements: frozen, and those that encoding/json would write.

package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// everyField has a value in each field of a statement.
var everyField = Statement{
	Kind: KindExtended, SQL: "select $1", TextBytes: 9, TextSHA256: "ab", Name: "s1", Portal: "p1",
	Params: []Param{{Text: "o'brien"}, {Null: true}, {Text: "AP8=", Base64: true}},
	Tag:    "SELECT", Rows: 3, SQLState: "22012", Message: `division by "zero"`, AtUS: -15, US: 1250,
	TxStatus: "T", BytesIn: 52, BytesOut: 103, CopyIn: 4, CopyOut: 5, Outcome: OutcomeError, Part: 2, SeqStarted: 7,
	Doubt: "a copy failed", Masking: MaskingTwoReadings, TextHMAC: "cd", Encoding: "LATIN1",
}

func TestStatementsKeepTheirBytes(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{string(appendBlock(nil, []Statement{everyField, {Kind: KindSimple}}, nil)),
			`{"statements":[{"kind":"extended","sql":"select $1","text_bytes":9,"text_sha256":"ab","name":"s1","portal":"p1",` +
				`"params":["o'brien",null,{"base64":"AP8="}],"tag":"SELECT","rows":3,"sqlstate":"22012","message":"division by \"zero\"",` +
				`"at_us":-15,"us":1250,"tx":"T","in":52,"out":103,"copy_in":4,"copy_out":5,"outcome":"error","part":2,"seq_started":7,"doubt":"a copy failed","masking":"two readings","text_hmac":"cd","encoding":"LATIN1"},{"kind":"simple"}]}`},
		{string(appendStarted(nil, &Statement{Kind: KindSimple, SQL: "is elsewhere", TextID: 7},
			[]boundText{{id: 7, sum: hash{0xab}, bytes: 12}})),
			`{"kind":"simple","text":7,"texts":[{"id":7,"sha256":"ab` + string(bytes.Repeat([]byte("0"), 62)) + `","bytes":12}]}`},
	} {
		if tc.got != tc.want {
			t.Errorf("\n got  %s\n want %s", tc.got, tc.want)
		}
	}
}

func TestStatementsHaveTheBytesOfEncodingJSON(t *testing.T) {
	sameBytes(t, everyField)
	for i := range reflect.TypeFor[Statement]().NumField() { // each field alone
		var s Statement
		reflect.ValueOf(&s).Elem().Field(i).Set(reflect.ValueOf(everyField).Field(i))
		sameBytes(t, s)
	}
}

func FuzzStatementBytes(f *testing.F) {
	f.Add("select '\x00\x1f\x7f\b\f\n\r\t\"\\/<>&'", "\u2028\u2029\U0001f512\xff\xed\xa0\x80", int64(-1))
	f.Add("", "ünïcode", int64(0))
	f.Fuzz(func(t *testing.T, a, b string, n int64) {
		s := Statement{Kind: a, SQL: b, Name: b, Portal: a, Tag: a, Message: b, SQLState: a, Rows: n, AtUS: n, US: -n, BytesOut: n,
			Params: []Param{{Text: a}, {Text: b}, {Null: true}, {Text: a + b, Base64: true}}, Outcome: b}
		sameBytes(t, s)
	})
}

// sameBytes checks the encoding against encoding/json's, and that it is read back.
func sameBytes(t *testing.T, s Statement) {
	t.Helper()
	got := append(appendStatement([]byte("{"), &s), '}')
	want, err := encodeBody(StatementStarted{s})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("\n got  %s\n want %s", got, want)
	}
	var back Statement
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	var again Statement
	if err := json.Unmarshal(append(appendStatement([]byte("{"), &back), '}'), &again); err != nil || !reflect.DeepEqual(again, back) {
		t.Fatalf("\n read  %+v\n again %+v (%v)", back, again, err)
	}
}
