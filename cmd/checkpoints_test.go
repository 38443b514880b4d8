// Checkpoints as the operator and the auditor meet them.

package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gprxy/store"
)

// keptLog is a closed log with a checkpoint and its public key kept in files beside the working folder.
func keptLog(t *testing.T) (env Environment, path, checkpoint, key string) {
	t.Helper()
	env = fixedEnvironment(t)
	path = filepath.Join(env.Dir, "events.db")
	env.Variables = []string{"EVENT_LOG=" + path}
	db := openStore(t, path)
	signer, _, err := store.EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	appendEvents(t, db, fixedEvents()...)
	c, err := db.Checkpoint(t.Context(), signer)
	if err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	checkpoint, key = filepath.Join(kept, "checkpoint"), filepath.Join(kept, "gprxy.pub")
	if err := c.Save(checkpoint, signer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(signer.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, db, store.Event{Fact: store.ProxyStopped{Reason: "signal"}})
	closeStore(t, db)
	return env, path, checkpoint, key
}

func TestVerifyAgainstACheckpoint(t *testing.T) {
	env, _, checkpoint, key := keptLog(t)
	public, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "audit key", gprxy(t, env, "audit", "key").out, string(public))
	got := gprxy(t, env, "audit", "verify", "--checkpoint", checkpoint)
	if got.code != 0 || !strings.Contains(got.out, "checkpoint seq 16 of gprxy/") ||
		!strings.Contains(got.err, "--key names one that was kept elsewhere") {
		t.Errorf("%+v", got)
	}
	for _, k := range []string{key, strings.TrimSpace(string(public))} {
		v := lines(t, gprxy(t, env, "audit", "verify", "--checkpoint", checkpoint, "--key", k, "--json").out)[0]
		if c := v["checkpoint"].(map[string]any); v["intact"] != true || c["seq"] != 16.0 || c["key"] != strings.TrimSpace(string(public)) {
			t.Errorf("with key %s: %v", k, v)
		}
	}
	for name, row := range map[string]struct {
		args []string
		says string
		code int
	}{
		"no such checkpoint": {[]string{"--checkpoint", "nowhere"}, "read the checkpoint", 1},
		"no such key":        {[]string{"--checkpoint", checkpoint, "--key", "nowhere"}, "read the key", 1},
		"not a checkpoint":   {[]string{"--checkpoint", key, "--key", key}, "not a signed note", 1},
		"a key of another log": {[]string{"--checkpoint", checkpoint, "--key",
			"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"}, "not signed with the key PeterNeumann", 1},
		"a key alone": {[]string{"--key", key}, "--key is for --checkpoint", 2},
	} {
		if got := gprxy(t, env, append([]string{"audit", "verify"}, row.args...)...); got.code != row.code || got.out != "" ||
			!strings.Contains(got.err, row.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVerifyFindsAnOlderLogByItsCheckpoint(t *testing.T) {
	env, path, checkpoint, key := keptLog(t)
	copyOf := path + ".copy"
	db := openStore(t, copyOf) // an older log in its place
	appendEvents(t, db, fixedEvents()[:5]...)
	closeStore(t, db)
	if err := os.Rename(copyOf, path); err != nil {
		t.Fatal(err)
	}
	if got := gprxy(t, env, "audit", "verify"); got.code != 0 {
		t.Errorf("the older log alone: %+v", got)
	}
	got := gprxy(t, env, "audit", "verify", "--checkpoint", checkpoint, "--key", key)
	if got.code != 1 || got.out != "" || !strings.Contains(got.err,
		"the event log is broken at seq 8: the log ends before this event, but a checkpoint says that there are 16") {
		t.Errorf("%+v", got)
	}
	v := lines(t, gprxy(t, env, "audit", "verify", "--checkpoint", checkpoint, "--key", key, "--json").out)[0]
	if v["intact"] != false || v["checkpoint"] != nil || !strings.Contains(v["problem"].(string), "cut off") {
		t.Errorf("%v", v)
	}
}

// checkpointsInTheProxy is part of TestTheProcess: they come at the start, while nothing happens, and at the end.
func checkpointsInTheProxy(t *testing.T, i *install) {
	file := filepath.Join(i.home, "checkpoint")
	r := i.start("CHECKPOINT_FILE="+file, "CHECKPOINT_INTERVAL=1s")
	size := func() (n int64) {
		note, err := os.ReadFile(file)
		if err != nil {
			return 0
		}
		fmt.Sscanf(strings.SplitN(string(note), "\n", 3)[1], "%d", &n)
		return n
	}
	var first int64
	waitFor(t, "the first checkpoint", func() bool { first = size(); return first > 0 })
	waitFor(t, "a second one", func() bool { return size() > first })
	r.Process.Signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	out, err := i.command("audit", "verify", "--checkpoint", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("checkpoint seq %d of gprxy/", size())) {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	out, err = i.command("audit", "--type", "log.checkpointed", "--limit", "1", "--json").Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(`"detail":{"seq":%d,"hash":"`, size())) {
		t.Errorf("audit: %v\n%s", err, out)
	}

	r = i.start() // without a file they are log lines
	r.Process.Signal(syscall.SIGTERM)
	r.wait()
	if !strings.Contains(r.output(), `msg="checkpoint of the event log" note="gprxy/`) {
		t.Errorf("no checkpoint in the log lines:\n%s", r.output())
	}
	info, err := os.Stat(i.log() + ".key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
}
