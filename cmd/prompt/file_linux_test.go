// \copy and \i: files of this machine.

package prompt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCopiesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(content)
	}
	var large strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&large, "%d\t%s\n", i, strings.Repeat("z", 20))
	}
	in, out, kept := write("in.tsv", large.String()), filepath.Join(dir, "it's out.csv"), write("kept", "precious")
	quoted := strings.ReplaceAll(out, "'", "''")
	got := runScript(t, fmt.Sprintf(`create temp table t (a int, "to" text);
\copy t from %s
\copy (select a, "to" from t where a < 2 order by a) to '%s' with (format csv, header)
\copy t(a, "to") to '%s.all'
select count(*) from t;
`, in, quoted, quoted))
	if got.code != 0 || got.errs != "" || !strings.Contains(got.out, "COPY 60000\nCOPY 2\nCOPY 60000\n") {
		t.Errorf("%+v", got)
	}
	if text := read(out); text != "a,to\n0,zzzzzzzzzzzzzzzzzzzz\n1,zzzzzzzzzzzzzzzzzzzz\n" {
		t.Errorf("the CSV file holds %q", text)
	}
	if read(out+".all") != large.String() {
		t.Error("what was copied out is not what was copied in")
	}
	refused := runScript(t, `\copy (select nothing) to `+kept+"\n")
	if refused.code != ScriptFailed || !strings.Contains(refused.errs, `column "nothing" does not exist`) || read(kept) != "precious" {
		t.Errorf("%+v, %q", refused, read(kept))
	}
	early := runScript(t, `\copy nowhere from `+in+"\n")
	if early.code != ScriptFailed || !strings.Contains(early.errs, `relation "nowhere" does not exist`) {
		t.Errorf("%+v", early)
	}
	full := runScript(t, `\copy (select repeat('x', 100000)) to /dev/full`+"\nselect 'never';\n")
	if full.code != ScriptFailed || !strings.Contains(full.errs, "the data was not all written") || strings.Contains(full.out, "COPY") {
		t.Errorf("%+v", full)
	}
}

func TestIncludesFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"good.sql":  "select 'in' || 'side' as a;\n\\q\nselect 'never';\n",
		"outer.sql": "\\i good.sql\nselect 'after' || 'wards' as b", // the last statement needs no semicolon
		"bad.sql":   "select 1;\nselect nothing;\nselect 'never';\n",
		"self.sql":  "\\i self.sql\n",
		"half.sql":  "select 'an open quote",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := runScript(t, "select 1 as one\n\\i outer.sql\n, 2 as two;\n\\i 'good.sql'\n")
	if got.code != 0 || got.errs != "" || strings.Count(got.out, "inside") != 2 || strings.Contains(got.out, "never") ||
		!strings.Contains(got.out, "afterwards") || !strings.Contains(got.out, " one | two \n") {
		t.Errorf("%+v", got)
	}
	for script, want := range map[string]string{
		"\\i bad.sql\nselect 'never';":  "stopped at line 2 of bad.sql\nstopped at line 1 of the script",
		"\\i self.sql\nselect 'never';": "more than 32 files include each other",
		"\\i half.sql\nselect 'never';": "unterminated quoted string",
	} {
		if got := runScript(t, script); got.code != ScriptFailed || !strings.Contains(got.errs, want) || strings.Contains(got.out, "never") {
			t.Errorf("%s: %+v", script, got)
		}
	}
	compare(t, "\\i good.sql\nselect 2;\n\\i outer.sql\n")
}

func TestReadsWhatCopySays(t *testing.T) {
	for text, want := range map[string]copyCommand{
		`t from a.csv`:                                 {statement: "COPY t FROM STDIN ", in: true, file: "a.csv"},
		`s."from"(a,b) FROM 'a b''c' csv header`:       {statement: `COPY s."from"(a,b) FROM STDIN csv header`, in: true, file: "a b'c"},
		`(select a from t where b = ' to ') to stdout`: {statement: `COPY (select a from t where b = ' to ') TO STDOUT `},
		`t from pstdin where a > 1`:                    {statement: "COPY t FROM STDIN where a > 1", in: true},
		`t to 'stdout'`:                                {statement: "COPY t TO STDOUT ", file: "stdout"},
	} {
		if got, ok := parseCopy(text); !ok || got != want {
			t.Errorf("%s: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "t", "from x", "t from", "t to 'open", "t from stdout", `"open from x`, "(select 1 to x"} {
		if got, ok := parseCopy(text); ok {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
