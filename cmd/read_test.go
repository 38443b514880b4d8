// Reading the log leaves its own trace.

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadingIsRecorded(t *testing.T) {
	log := fixedLog(t)
	gprxy(t, log.env, "sessions", "--user", "o'brien smith", "--json")
	gprxy(t, log.env, "audit", "verify")
	gprxy(t, log.env, "audit", "report", "--since", "30d")
	gprxy(t, log.env, "audit", "export", "--format", "ocsf")
	var got []string
	for _, e := range lines(t, gprxy(t, log.env, "audit", "--type", "log.read", "--json").out) {
		d := e["detail"].(map[string]any)
		filter, _ := d["filter"].(string)
		got = append(got, d["os_user"].(string)+" "+d["command"].(string)+" "+filter)
	}
	equal(t, "log.read", strings.Join(got, "\n"), `tester sessions --user "o'brien smith" --json
tester audit verify 
tester audit report --since 30d
tester audit export --format ocsf
tester audit --type log.read --json`)
}

func TestReadOnlyLogIsReadWithAWarning(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everything")
	}
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	db := openStore(t, path)
	appendEvents(t, db, fixedEvents()...)
	closeStore(t, db)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	env.Variables = []string{"EVENT_LOG=" + path}
	got := gprxy(t, env, "sessions", "--json")
	if got.code != 0 || len(lines(t, got.out)) != 4 || !strings.Contains(got.err, "warning: this reading is not in the log") {
		t.Errorf("%+v", got)
	}
}
