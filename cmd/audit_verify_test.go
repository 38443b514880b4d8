// gprxy audit verify on a real log, whole and tampered with.

package cmd

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	if v := lines(t, gprxy(t, env, "audit", "verify", "--json").out)[0]; v["intact"] != true || v["head_seq"] != v["events"] || len(v["head_hash"].(string)) != 64 || v["problem"] != nil {
		t.Errorf("%v", v)
	}
	tamper(t, path, `UPDATE events SET body = replace(body, 'alice', 'malory') WHERE seq = 3`)
	got = gprxy(t, env, "audit", "verify")
	if got.code != 1 || got.out != "" || !strings.Contains(got.err, "the event log is broken at seq 3: ") {
		t.Errorf("after a change: %+v", got)
	}
	got = gprxy(t, env, "audit", "verify", "--json")
	if v := lines(t, got.out)[0]; got.code != 1 || v["intact"] != false || v["first_bad_seq"] != 3.0 || v["head_hash"] != nil {
		t.Errorf("after a change, as JSON: %+v", got)
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
