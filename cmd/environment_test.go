// The surroundings of a command, for tests.

package cmd

import (
	"os"
	"testing"
	"time"
)

// enough is the least environment that start accepts.
var enough = []string{"HOME=/home/u", "GPRXY_USER=svc", "GPRXY_PASS=pw"}

func fixedEnvironment(t *testing.T, variables ...string) Environment {
	t.Helper()
	return Environment{
		Variables: variables,
		Dir:       t.TempDir(),
		Now:       func() time.Time { return time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC) },
		OSUser:    "tester",
	}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
