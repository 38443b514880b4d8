package session

import "testing"

func TestWhatAStatementMayMean(t *testing.T) {
	for _, row := range []struct {
		text, database string
		want           bool
	}{
		{"drop database test", "test", true},
		{"DROP DATABASE IF EXISTS \"Test\" WITH (FORCE)", "Test", true},
		{"ALTER DATABASE \"a\"\"b\" RENAME TO c", `a"b`, true},
		{`DROP DATABASE U&"t\0065st"`, "test", true},
		{"DROP DATABASE tést", "test", true},
		{"drop database other", "test", false},
	} {
		if got := mayMean(row.text, row.database); got != row.want {
			t.Errorf("%q about %q: got %v", row.text, row.database, got)
		}
	}
}
