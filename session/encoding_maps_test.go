package session_test

import (
	"encoding/hex"
	"testing"
	"time"

	"gprxy/session/relay"
	"gprxy/store"
)

// The log shows what PostgreSQL read, by its own tables, or the bytes: tables of others differ in some characters.
func TestTheLogReadsBytesAsPostgreSQLDoes(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText))
	for encoding, all := range map[string][]string{
		"BIG5":   {"\xa4\xa4", "\xa1\x45", "\xa1\x4e", "\xa1\xfe", "\xa2\x44", "\xc6\xa1", "\xc6\xbf", "\xc6\xe7", "\xc7\x7e", "\xc7\xf3", "\xc7\xfc"},
		"EUC_CN": {"\xd6\xd0", "\xa1\xa4", "\xa1\xaa"},
		"KOI8U":  {"\xc1", "\xae", "\xbe"},
		"SJIS":   {"\x81\x5f", "\x82\xa0", "\xa6"},
	} {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, query("set client_encoding to "+encoding))
		receiveUntil(t, conn, 'Z')
		eventually(t, "the SET is recorded", 20*time.Second, func() bool {
			recorded := p.statements()
			return len(recorded) > 0 && recorded[len(recorded)-1].SQL == "set client_encoding to "+encoding
		})
		for _, raw := range all {
			before := len(p.statements())
			send(t, conn, query("select encode(convert_to('"+raw+"', 'UTF8'), 'hex')"))
			got := rows(receiveUntil(t, conn, 'Z'))
			var s store.Statement
			eventually(t, "it is recorded", 20*time.Second, func() bool {
				recorded := p.statements()
				if len(recorded) > before {
					s = recorded[len(recorded)-1]
				}
				return len(recorded) > before
			})
			if s.Encoding == store.EncodingBytes {
				continue
			}
			read, err := hex.DecodeString(got[0])
			if err != nil {
				t.Fatal(err)
			}
			if want := "select encode(convert_to('" + string(read) + "', 'UTF8'), 'hex')"; s.SQL != want {
				t.Errorf("%s %x is recorded as %q, and is %q", encoding, raw, s.SQL, want)
			}
		}
		p.untilEnded(conn)
	}
}
