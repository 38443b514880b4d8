package prompt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHistoryFileIsBoundedPrivateAndClean(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	content := strings.Repeat("select 'a line of the past';\n", 50_000) + "evil \x1b[2J\nselect 'newest';\n"
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	h := &history{path: path}
	if err := h.load(); err != nil {
		t.Fatal(err)
	}
	if h.Len() != historyKept || h.At(0) != "select 'newest';" || strings.Contains(h.At(1), "evil") {
		t.Errorf("%d lines, newest %q, %q", h.Len(), h.At(0), h.At(1))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() > historyRead {
		t.Errorf("%v, %d bytes, %v", info.Mode(), info.Size(), err)
	}
	h.Add("select 'added';")
	h.Add("   ")
	if err := h.settle(); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(written), "select 'newest';\nselect 'added';\n") {
		t.Errorf("%v, %q", err, written[len(written)-60:])
	}
}

func TestHistoryLeavesOutPasswords(t *testing.T) {
	for statement, secret := range map[string]bool{
		"select 1;":                                false,
		"ALTER ROLE a PASSWORD 'x';":               true,
		"create role b\nlogin\nencrypted PassWord": true,
		"create user mapping for c server s options (password 'x')": true,
		`\password`: true,
	} {
		if hasPassword(statement) != secret {
			t.Errorf("%q: %v", statement, !secret)
		}
	}
}
