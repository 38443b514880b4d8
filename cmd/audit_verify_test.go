// gprxy audit verify on a real log, whole and tampered with.

package cmd

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

func TestInterruptedIsFailed(t *testing.T) {
	log := fixedLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := Run(ctx, []string{"audit", "verify"}, IO{Out: &out, Err: &errs}, log.env); code != 1 || out.Len() > 0 {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
	equal(t, "stderr", errs.String(), "gprxy: interrupted\n")
}

func TestVerify(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	appendEvents(t, db, fixedEvents()...)
	closeStore(t, db)

	got := gprxy(t, env, "audit", "verify")
	if got.code != 0 || !strings.HasPrefix(got.out, "intact     ") || !strings.Contains(got.out, " events\nhead seq   ") {
		t.Errorf("%+v", got)
	}
	file := realPath(t, path)
	if !strings.Contains(got.out, "\nfirst seq  1\nfile       "+file+", ") || !strings.Contains(got.out, " bytes") || got.err != "" {
		t.Errorf("%+v", got)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got := gprxy(t, env, "audit", "verify", "--event-log", link); !strings.Contains(got.out, "\nfile       "+file+", ") {
		t.Errorf("by a link: %+v", got)
	}
	v := lines(t, gprxy(t, env, "audit", "verify", "--json").out)[0]
	if f := v["file"].(map[string]any); f["path"] != file || f["bytes"].(float64) < 4096 || v["first_seq"] != 1.0 {
		t.Errorf("the file: %v", v)
	}
	if v["intact"] != true || v["head_seq"] != v["events"] || len(v["head_hash"].(string)) != 64 || v["problem"] != nil {
		t.Errorf("%v", v)
	}
	tamper(t, path, `UPDATE events SET body = replace(body, 'alice', 'malory') WHERE seq = 3`)
	got = gprxy(t, env, "audit", "verify")
	if got.code != 1 || got.out != "" || !strings.Contains(got.err, "the event log is broken at seq 3: ") || !strings.Contains(got.err, file) {
		t.Errorf("after a change: %+v", got)
	}
	got = gprxy(t, env, "audit", "verify", "--json")
	if v := lines(t, got.out)[0]; got.code != 1 || v["intact"] != false || v["first_bad_seq"] != 3.0 || v["head_hash"] != nil ||
		v["file"].(map[string]any)["path"] != file {
		t.Errorf("after a change, as JSON: %+v", got)
	}
}

func realPath(t *testing.T, path string) string {
	t.Helper()
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// What was forged is a break by the clock of then, what is only unlikely is told, and RETENTION_MIN decides which prunes are.
func TestVerifyToldOfPrunes(t *testing.T) {
	env := fixedEnvironment(t)
	path := filepath.Join(env.Dir, "events.db")
	db := openStore(t, path)
	young := time.Now().Add(-73 * time.Hour)
	appendEvents(t, db, store.Event{Time: young, Fact: store.ProxyStarted{}}, store.Event{Time: young.Add(50 * time.Hour),
		Fact: store.ProxyStopped{}})
	if _, err := db.Prune(t.Context(), young.Add(25*time.Hour), "ann", nil); err != nil {
		t.Fatal(err)
	}
	closeStore(t, db)
	env.Now = time.Now
	for least, told := range map[string]bool{"RETENTION_MIN=1d": false, "RETENTION_MIN=": true} {
		env.Variables = []string{"EVENT_LOG=" + path, least}
		got := gprxy(t, env, "audit", "verify")
		if got.code != 0 || strings.Contains(got.err, "less than RETENTION_MIN (30 days) before it was written") != told {
			t.Errorf("%s: %+v", least, got)
		}
	}
	env.Now = func() time.Time { return young.Add(-30 * 24 * time.Hour) }
	if got := gprxy(t, env, "audit", "verify"); got.code != 1 || !strings.Contains(got.err, "by the clock of this machine it is") {
		t.Errorf("by a clock that is behind: %+v", got)
	}
}

// tamper changes the file as somebody with write access to it could.
func tamper(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	var drops, made []string
	for rows.Next() {
		var name, sql string
		if err := rows.Scan(&name, &sql); err != nil {
			t.Fatal(err)
		}
		drops, made = append(drops, "DROP TRIGGER "+name), append(made, sql)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Concat(drops, []string{statement}, made) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}
