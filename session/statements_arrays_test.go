package session_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"gprxy/session/relay"
)

// Arrays in binary form are recorded as PostgreSQL writes them.
func TestArraysAreRecordedAsPostgreSQLWritesThem(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordParams))
	conn := rawSession(t, p, "WRITER")
	var want []string
	for _, array := range []string{
		"'{}'::int[]", "'{1,NULL,-3}'::int[]", "'{{1,2},{3,4}}'::int8[]", "'[2:3][0:0]={{a},{b}}'::text[]", "'{t,f}'::bool[]",
		"'{1.50,-12345678901234567890.123,NaN,0}'::numeric[]", "'{1.5,Infinity,-0.1}'::float8[]",
		`array['', 'null', 'NULL', 'a,b', 'a b', E'tab\t', 'q"uote', E'back\\slash', '{brace}', 'plain', 'ünïcode']`,
		"'{7d444840-9dc0-11d1-b245-5ffdce74fad2}'::uuid[]", "'{2026-03-05,infinity}'::date[]",
		`array['{"a": [1,  2], "b":1e400}'::json, '[]']`, `array['{"b": 1, "a": "x"}'::jsonb]`, "'{{{{{{1}}}}}}'::int[]", "'{abc}'::name[]",
	} {
		fields := strings.Split(admin(t, "select ("+array+")::text || '#' || encode(array_send("+array+"), 'hex') || '#' || "+
			"pg_typeof("+array+")::oid::int"), "#")
		raw, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		var oid uint32
		if _, err := fmt.Sscan(fields[2], &oid); err != nil {
			t.Fatal(err)
		}
		send(t, conn, parseAs("", "select $1", oid)+message('B', "\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00"+string([]byte{byte(len(raw) >> 8),
			byte(len(raw))})+string(raw)+"\x00\x00")+executePortal("", 0)+syncing)
		for _, m := range receiveUntil(t, conn, 'Z') {
			if m.kind == 'E' {
				t.Errorf("%s: %v", array, m)
			}
		}
		want = append(want, fields[0])
	}
	p.untilEnded(conn)
	for n, s := range p.statements() {
		if len(s.Params) != 1 || s.Params[0].Base64 || s.Params[0].Text != want[n] {
			t.Errorf("recorded %+v, PostgreSQL writes %q", s.Params, want[n])
		}
	}
}
