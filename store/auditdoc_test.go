// docs/audit.md is a contract: its script and its queries must work on a real log.

package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documented gives the code block of docs/audit.md in the language.
func documented(t *testing.T, language string) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("no %s in docs/audit.md", language)
	}
	return string(block[1])
}

func TestDocumentedScriptVerifies(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	code := documented(t, "python")
	if n := strings.Count(code, "\n"); n > 25 {
		t.Errorf("the script has %d lines", n)
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(script, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	d, path := shop(t)
	mustAppend(t, d, Event{Time: at(8), Fact: ProxyStopped{Reason: "ünïcode \x00\xff <&>\u2028\U0001f512"}})
	out, err := exec.CommandContext(t.Context(), python, script, path).CombinedOutput()
	if h := verified(t, path); err != nil || string(out) != fmt.Sprintf("%d %x\n", h.Seq, h.Hash) {
		t.Errorf("the script says %q (%v), gprxy %d %x", out, err, h.Seq, h.Hash)
	}
	db := raw(t, path)
	alter(t, db, `DROP TRIGGER events_no_update`)
	alter(t, db, `UPDATE events SET body = replace(body, 'ann', 'amy') WHERE seq = 3`)
	if out, err := exec.CommandContext(t.Context(), python, script, path).CombinedOutput(); err == nil || string(out) != "seq 3 is not what was written\n" {
		t.Errorf("the script says %q (%v) about a changed event", out, err)
	}
}

func TestDocumentedQueriesWork(t *testing.T) {
	_, path := shop(t)
	db := raw(t, path)
	for query := range strings.SplitSeq(documented(t, "sql"), ";") {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		rows.Close()
	}
}
