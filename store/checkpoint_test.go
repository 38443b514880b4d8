// Checkpoints: their bytes, and what they prove of a log.

package store

import (
	"bytes"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note: what its verifiers take.
const (
	exampleSigner   = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
	exampleVerifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	exampleText     = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
	exampleNote     = exampleText + "\n— PeterNeumann " +
		"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

func TestNotesAreThoseOfOthers(t *testing.T) {
	key, err := parseSignerKey(exampleSigner + "\n")
	if err != nil || key.String() != exampleVerifier || key.encode() != exampleSigner {
		t.Fatalf("the key is %v (%v)", key, err)
	}
	if note := signNote([]byte(exampleText), key); string(note) != exampleNote {
		t.Errorf("the note is %q, want %q", note, exampleNote)
	}
	verifier, err := ParseVerifierKey(exampleVerifier)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := EnsureKey(logPath(t))
	if err != nil {
		t.Fatal(err)
	}
	cosigned := string(signNote([]byte(exampleText), other)) + strings.TrimPrefix(exampleNote, exampleText+"\n")
	for _, note := range []string{exampleNote, cosigned} {
		if text, err := openNote([]byte(note), verifier); err != nil || string(text) != exampleText {
			t.Errorf("%q: %q, %v", note, text, err)
		}
	}
	for _, bad := range []string{
		"", "\n\n", exampleText, strings.TrimSuffix(exampleNote, "\n"), strings.Replace(exampleNote, "answer", "Answer", 1),
		strings.Replace(exampleNote, "— Peter", "- Peter", 1), strings.Replace(exampleNote, "x08go", "x08gp", 1),
		strings.Replace(exampleNote, "AM=", "AM", 1), strings.Replace(exampleNote, "If", "If\x00", 1), exampleNote + "more\n",
		string(signNote([]byte(exampleText), other)),
	} {
		if _, err := openNote([]byte(bad), verifier); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestKeysAreMadeOnceAndPrivate(t *testing.T) {
	path := logPath(t)
	key, made, err := EnsureKey(path)
	if err != nil || !made || !strings.HasPrefix(key.Name, "gprxy/") || len(key.Name) != len("gprxy/")+16 {
		t.Fatalf("%v, %v, %v", key, made, err)
	}
	again, made, err := EnsureKey(path)
	if err != nil || made || again.String() != key.String() {
		t.Errorf("then %v, %v, %v", again, made, err)
	}
	if info, err := os.Stat(KeyPath(path)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info.Mode(), err)
	}
	public, err := PublicKey(path)
	if err != nil || public.String() != key.String() {
		t.Errorf("public %v (%v)", public, err)
	}
	secret := base64.StdEncoding.EncodeToString(key.private)[:20]
	if text := fmt.Sprintf("%v %+v %s", key, key, *key); strings.Contains(text, secret) ||
		strings.Contains(text, fmt.Sprint(key.private[:4])) {
		t.Errorf("the key is shown as %s", text)
	}
	for _, bad := range []string{"", "x", exampleSigner[:60], strings.Replace(exampleSigner, "Peter", "Pater", 1), exampleVerifier} {
		if err := os.WriteFile(KeyPath(path), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, made, err := EnsureKey(path); err == nil || made {
			t.Errorf("a damaged key %q was taken, or replaced", bad)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key := &SignerKey{VerifierKey{"gprxy/0", private.Public().(ed25519.PublicKey)}, private}
	f.Add([]byte("gprxy/0\n7\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"))
	f.Add([]byte("gprxy/0\n7\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\ntime 2026-03-01T09:30:00.123456Z\nmore\n"))
	f.Add([]byte("gprxy/0\n007\nAA==\nmore\n"))
	f.Add([]byte("0\n0\n0000000000000000000000000000000000000000001=\n")) // bits that say nothing
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := OpenCheckpoint(signNote(text, key), key.VerifierKey)
		if err != nil {
			return
		}
		signedAt := ""
		if !c.Time.IsZero() {
			signedAt = "time " + c.Time.Format(TimeFormat) + "\n"
		}
		if !bytes.HasPrefix(text, []byte(fmt.Sprintf("%s\n%d\n%s\n"+signedAt, c.Origin, c.Seq, base64.StdEncoding.EncodeToString(c.Hash[:])))) {
			t.Errorf("%q was read as %+v", text, c)
		}
		if _, err := OpenCheckpoint(text, key.VerifierKey); err == nil {
			t.Errorf("%q was read without its signature", text)
		}
	})
}

// checkpointed is a log with a checkpoint in the middle, saved in a file.
func checkpointed(t *testing.T) (path string, c Checkpoint) {
	t.Helper()
	path = logPath(t)
	d, err := Open(t.Context(), path, Options{now: func() time.Time { return longAgo.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, append(login("s1", "ann", "app_reader", longAgo), end("s1", longAgo))...)
	mustAppend(t, d, block("s1", ran("select 1", 20), ran("select 2", 20)))
	c, err = d.Checkpoint(t.Context(), key)
	if err != nil || c.Seq != 7 {
		t.Fatalf("%+v, %v", c, err)
	}
	file := path + ".checkpoint"
	if err := c.Save(file, key); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, append(login("s2", "bob", "app_writer", longAgo), end("s2", longAgo))...)
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{note, []byte(strings.ReplaceAll(string(note), "\n", `\n`))} {
		if read, err := OpenCheckpoint(form, key.VerifierKey); err != nil || read != c {
			t.Fatalf("%q was read as %+v (%v)", form, read, err)
		}
	}
	return path, c
}

func TestCheckpointShowsWhatTheChainAloneDoesNot(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(path string)
		seq    int64
		what   string
	}{
		{"nothing", func(string) {}, 0, ""},
		{"its tail cut behind the checkpoint", func(path string) { cut(t, path, 8) }, 0, ""},
		{"its end cut off", func(path string) { cut(t, path, 6) }, 6, "its end was cut off"},
		{"all of it gone", func(path string) { cut(t, path, 1) }, 1, "its end was cut off"},
		{"the past written anew", func(path string) { rewrite(t, path, 2) }, 7, "written anew"},
		{"the present written anew", func(path string) { rewrite(t, path, 9) }, 0, ""},
		{"what stood there pruned", func(path string) {
			if _, err := Prune(t.Context(), path, longAgo.Add(oneDay), "root", nil); err != nil {
				t.Fatal(err)
			}
		}, 0, ""},
	} {
		path, c := checkpointed(t)
		if tc.name == "what stood there pruned" {
			tc.change(path)
		} else {
			forge(t, path, func(*sql.DB) { tc.change(path) })
		}
		r := reader(t, path)
		if _, err := r.Verify(t.Context(), nil); err != nil {
			t.Errorf("%s: the chain itself is broken: %v", tc.name, err)
		}
		_, err := r.VerifyAgainst(t.Context(), Expected{Checkpoint: &c}, nil)
		broken, ok := errors.AsType[*BrokenError](err)
		if ok != (tc.seq != 0) || ok && (broken.Seq != tc.seq || !strings.Contains(err.Error(), tc.what)) {
			t.Errorf("%s: got %v, want seq %d and %q", tc.name, err, tc.seq, tc.what)
		}
	}
}

// The bytes of a checkpoint are pinned; those of versions that told no time are read as well, and a time that is none is
// no checkpoint.
func TestCheckpointsHaveTheirTime(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key := &SignerKey{VerifierKey{"gprxy/0", private.Public().(ed25519.PublicKey)}, private}
	const head = "gprxy/0\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	c := Checkpoint{Origin: "gprxy/0", Seq: 7, Time: t0}
	if note := string(c.Sign(key)); !strings.HasPrefix(note, head+"time 2026-03-01T09:30:00.123456Z\n\n") {
		t.Errorf("the note is %q", note)
	}
	for lines, want := range map[string]time.Time{"time 2026-03-01T09:30:00.123456Z\n": t0, "": {}, "of another gprxy\n": {}} {
		if c, err := OpenCheckpoint(signNote([]byte(head+lines), key), key.VerifierKey); err != nil || !c.Time.Equal(want) || c.Seq != 7 {
			t.Errorf("with %q: %+v, %v", lines, c, err)
		}
	}
	for _, lines := range []string{"time \n", "time yesterday\n", "time 2026-03-01T09:30:00Z\n", "time 2026-03-01T09:30:00.123456+00:00\n",
		"time 2026-03-01T09:30:00.123456Z \n"} {
		if c, err := OpenCheckpoint(signNote([]byte(head+lines), key), key.VerifierKey); err == nil {
			t.Errorf("with %q: read as %+v", lines, c)
		}
	}
}

// What is older than a checkpoint and stands behind it, or younger and stands before it, is told.
func TestTimesAroundACheckpointAreTold(t *testing.T) {
	for _, row := range []struct {
		name      string
		time      time.Duration // of two events before and after the checkpoint, from its own on
		seq, more int64
		what      string
	}{
		{"a login that took its time", -lateSlack, 0, 0, ""},
		{"long before it", -lateSlack - time.Second, 3, 1, "when a checkpoint was signed that does not have it"},
		{"a clock that runs a little fast", lateSlack, 0, 0, ""},
		{"long after it", lateSlack + time.Second, 1, 1, "when the checkpoint was signed over it"},
	} {
		path := logPath(t)
		d := open(t, path, Options{now: func() time.Time { return t0 }})
		key, _, err := EnsureKey(path)
		if err != nil {
			t.Fatal(err)
		}
		e := Event{Time: t0.Add(row.time), Fact: ProxyStopped{}}
		mustAppend(t, d, e, e)
		c, err := d.Checkpoint(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, d, e, e)
		h, err := reader(t, path).VerifyAgainst(t.Context(), Expected{Checkpoint: &c}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if told := len(h.Warnings) == 1; told != (row.seq != 0) || told && (h.Warnings[0].Seq != row.seq ||
			!strings.Contains(h.Warnings[0].What, row.what) || !strings.Contains(h.Warnings[0].What, "of 1 events more")) {
			t.Errorf("%s: doubts %+v", row.name, h.Warnings)
		}
		c.Time = time.Time{}
		if h, err := reader(t, path).VerifyAgainst(t.Context(), Expected{Checkpoint: &c}, nil); err != nil || len(h.Warnings) != 0 {
			t.Errorf("%s, with a checkpoint without a time: %+v, %v", row.name, h.Warnings, err)
		}
	}
}

// cut removes everything from seq on, as somebody would who knows the tables.
func cut(t *testing.T, path string, seq int64) {
	t.Helper()
	db := raw(t, path)
	alter(t, db, `DELETE FROM events WHERE seq >= ?`, seq)
	alter(t, db, `DELETE FROM sessions`)
	refolded(t, path)
}

// rewrite gives an event another time and makes the chain fit again.
func rewrite(t *testing.T, path string, seq int64) {
	t.Helper()
	db := raw(t, path)
	alter(t, db, `UPDATE events SET time = time + 1 WHERE seq = ?`, seq)
	rows, err := collect(t.Context(), db, func(scan func(...any) error) (e event, err error) {
		err = scan(&e.seq, &e.time, &e.typ, &e.session, &e.body, &e.hash, &e.count)
		return e, err
	}, eventsIn, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var h hash
	for _, e := range rows {
		d, _ := digest(nil, e.seq, e.time, e.typ, e.session, e.body)
		h = link(h, d)
		alter(t, db, `UPDATE events SET hash = ? WHERE seq = ?`, h[:], e.seq)
	}
	refolded(t, path)
}

// refolded makes the projection what the events say.
func refolded(t *testing.T, path string) {
	t.Helper()
	a, err := openAppender(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rebuild(t.Context(), a), a.close()); err != nil {
		t.Fatal(err)
	}
}

// A file that is replaced is never half written: a reader sees the old one or the new one.
func TestCheckpointFileIsReplacedWhole(t *testing.T) {
	path := logPath(t)
	key, _, err := EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	file := path + ".checkpoint"
	save := func(n int64) error { return Checkpoint{Origin: key.Name, Seq: n}.Save(file, key) }
	if err := save(1); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		var err error
		for n := int64(2); n < 40 && err == nil; n++ {
			err = save(n)
		}
		written <- err
	}()
	for last := int64(0); ; {
		note, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := OpenCheckpoint(note, key.VerifierKey)
		if err != nil || c.Seq < last {
			t.Fatalf("%q after seq %d: %v", note, last, err)
		}
		last = c.Seq
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}
