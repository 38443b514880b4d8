// docs/cli.md stays in step with the tables it documents.

package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gprxy/cmd/export"
	"gprxy/cmd/settings"
)

func TestDocsListEverySetting(t *testing.T) {
	docs, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(docs), "| variable | flag | default | meaning |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/cli.md has no table of settings")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, row := range settings.Table() {
		want = append(want, docsRow(row))
	}
	equal(t, "the table of docs/cli.md", table, strings.Join(want, "\n"))
}

// docsRow is a row of the table in docs/cli.md.
func docsRow(row settings.Row) string {
	way := "`--" + row.Flag() + "`"
	if row.Secret {
		way = "none; `" + row.ShownName() + "_FILE`"
	}
	value := row.None
	if row.Default != "" {
		value = "`" + row.Default + "`"
	}
	meaning := row.Meaning
	if len(row.Allowed) > 0 {
		meaning += ": `" + strings.Join(row.Allowed, "`, `") + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", row.ShownName(), way, value, meaning)
}

func TestDocsNameEveryCommandFlagAndField(t *testing.T) {
	file, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(file)
	for _, c := range commands() {
		if !strings.Contains(docs, "## gprxy "+c.name+"\n") {
			t.Errorf("docs/cli.md has no section for gprxy %s", c.name)
		}
		if c.settings {
			continue
		}
		fs := newFlagSet(c.name)
		c.options().flags(fs)
		for line := range strings.SplitSeq(flagsHelp(fs), "\n") {
			if flag := strings.TrimPrefix(strings.TrimSpace(line), "--"); strings.HasPrefix(strings.TrimSpace(line), "--") {
				name, _, _ := strings.Cut(flag, " ")
				if !strings.Contains(docs, "`--"+name) {
					t.Errorf("docs/cli.md does not name --%s of gprxy %s", name, c.name)
				}
			}
		}
	}
	for _, name := range append(export.Types(), export.Fields...) {
		if !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("docs/cli.md does not name %s", name)
		}
	}
}
