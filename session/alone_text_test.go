package session

import (
	"testing"

	"gprxy/pool/wire"
)

func TestStatementsThatWantADatabaseForThemselves(t *testing.T) {
	for _, row := range []struct {
		text, database string
		want           bool
	}{
		{"drop database test", "test", true},
		{"DROP DATABASE IF EXISTS \"Test\" WITH (FORCE)", "Test", true},
		{" ;\n-- c\n/* a /* b */ c */ create/**/database x template test", "test", true},
		{"ALTER DATABASE \"a\"\"b\" RENAME TO c", `a"b`, true},
		{`DROP DATABASE U&"t\0065st"`, "test", true},
		{"DROP DATABASE tést", "test", true},
		{"drop database other", "test", false},
		{"drop table test", "test", false},
		{"drop", "test", false},
		{"select 'drop database test'", "test", false},
		{"database test", "test", false},
		{"", "test", false},
	} {
		for _, parse := range []bool{false, true} {
			kind, body := byte(wire.Query), row.text+"\x00"
			if parse {
				kind, body = wire.Parse, "name\x00"+body+"\x00\x00"
			}
			text := aloneText(kind, []byte(body))
			if got := text != "" && mayMean(text, row.database); got != row.want {
				t.Errorf("%q about %q, Parse %v: got %v", row.text, row.database, parse, got)
			}
		}
	}
}
