package relay

import (
	"testing"

	"gprxy/pool/wire"
)

func TestStatementsThatWantADatabaseForThemselves(t *testing.T) {
	for text, want := range map[string]bool{
		"drop database test":                                             true,
		"DROP DATABASE IF EXISTS \"Test\" WITH (FORCE)":                  true,
		" ;\n-- c\n/* a /* b */ c */ create/**/database x template test": true,
		"ALTER DATABASE \"a\"\"b\" RENAME TO c":                          true,
		"drop table test":                                                false,
		"drop":                                                           false,
		"select 'drop database test'":                                    false,
		"database test":                                                  false,
		"":                                                               false,
	} {
		for _, parse := range []bool{false, true} {
			kind, body := byte(wire.Query), text+"\x00"
			if parse {
				kind, body = wire.Parse, "name\x00"+body+"\x00\x00"
			}
			if got := aloneText(kind, []byte(body)) != ""; got != want {
				t.Errorf("%q, Parse %v: got %v", text, parse, got)
			}
		}
	}
}
