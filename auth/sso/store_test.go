// The credentials file.

package sso_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/sso"
)

func newStore(t *testing.T) sso.Store {
	t.Helper()
	return sso.Store{Path: filepath.Join(t.TempDir(), ".gprxy", "credentials")}
}

func tokensOf(issuer, user string) sso.Tokens {
	return sso.Tokens{
		Issuer: issuer, ClientID: "cli", Audience: "gprxy",
		Access: auth.Secret("access-" + user), ID: auth.Secret("id-" + user), Refresh: auth.Secret("refresh-" + user),
		Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), User: user, Subject: "sub|" + user, Roles: []string{"reader", "db writer"},
	}
}

func save(t *testing.T, s sso.Store, list ...sso.Tokens) {
	t.Helper()
	for _, tokens := range list {
		if err := s.Save(t.Context(), tokens); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoreKeepsLogins(t *testing.T) {
	s := newStore(t)
	if list, err := s.All(t.Context()); len(list) != 0 || err != nil {
		t.Errorf("nothing gives %v, error %v", list, err)
	}
	ann, bob := tokensOf("https://a.example.com", "ann"), tokensOf("https://b.example.com", "bob")
	save(t, s, ann, bob)
	ann.Roles, ann.Refresh = nil, ""
	save(t, s, ann)
	list, err := s.All(t.Context())
	if err != nil || !reflect.DeepEqual(list, []sso.Tokens{ann, bob}) {
		t.Errorf("got %+v, error %v", list, err)
	}
	for path, mode := range map[string]fs.FileMode{s.Path: 0o600, filepath.Dir(s.Path): 0o700, s.Path + ".lock": 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %v, error %v", path, info.Mode(), err)
		}
	}
	requireFiles(t, s, "credentials", "credentials.lock")

	for range 2 {
		if err := s.Delete(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.All(t.Context()); err != nil || !reflect.DeepEqual(list, []sso.Tokens{bob}) {
		t.Errorf("got %+v, error %v", list, err)
	}
	if err := s.Delete(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	requireFiles(t, s, "credentials.lock")
	_, err = s.Load(t.Context(), "", "", "")
	requireError[*sso.NoLoginError](t, err, []string{"nobody is logged in", "gprxy login"})
}

func requireFiles(t *testing.T, s sso.Store, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.Path))
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("the folder holds %v, want %v (error %v)", names, want, err)
	}
}

func TestDeletingNothingMakesNothing(t *testing.T) {
	s := newStore(t)
	if err := s.Delete(t.Context(), tokensOf("https://a.example.com", "ann")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(s.Path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there (error %v)", err)
	}
}

func TestWhichLoginIsMeant(t *testing.T) {
	s := newStore(t)
	a1, a2, b := tokensOf("https://a.example.com", "ann"), tokensOf("https://a.example.com", "amy"), tokensOf("https://b.example.com", "bob")
	a2.Audience = ""
	save(t, s, a1, a2, b)
	for _, test := range []struct {
		issuer, client, audience string
		user                     string // empty: an error
	}{
		{"https://a.example.com", "cli", "gprxy", "ann"},
		{"https://a.example.com", "cli", "", "amy"}, // exactly this one before any that fits
		{"https://b.example.com", "", "", "bob"},
		{"https://b.example.com", "cli", "", "bob"},
		{"", "", "", ""},
		{"https://a.example.com", "", "", ""},
		{"https://b.example.com", "other", "", ""},
		{"https://c.example.com", "", "", ""},
		{"https://b.example.com/", "", "", ""},
	} {
		tokens, err := s.Load(t.Context(), test.issuer, test.client, test.audience)
		if tokens.User != test.user || (err == nil) != (test.user != "") {
			t.Errorf("%+v gives %q, error %v", test, tokens.User, err)
		}
	}
	_, err := s.Load(t.Context(), "", "", "")
	requireError[*sso.AmbiguousError](t, err, []string{"https://a.example.com", "https://b.example.com", "OIDC_ISSUER"}, "access-ann")
	_, err = s.Load(t.Context(), "https://c.example.com", "", "")
	requireError[*sso.NoLoginError](t, err, []string{"https://c.example.com", "gprxy login"})
}

func TestFileThatOthersCanUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing on Windows")
	}
	ann := tokensOf("https://a.example.com", "ann")
	for _, test := range []struct {
		name string
		mode fs.FileMode
		of   func(s sso.Store) string
	}{
		{"file, readable by all", 0o644, func(s sso.Store) string { return s.Path }},
		{"file, readable by the group", 0o640, func(s sso.Store) string { return s.Path }},
		{"file, writable by all", 0o602, func(s sso.Store) string { return s.Path }},
		{"folder, open to all", 0o755, func(s sso.Store) string { return filepath.Dir(s.Path) }},
		{"folder, open to the group", 0o710, func(s sso.Store) string { return filepath.Dir(s.Path) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sso.Store{Path: filepath.Join(t.TempDir(), "it's $HOME", "credentials")}
			save(t, s, ann)
			if err := os.Chmod(test.of(s), test.mode); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(s.Path)
			if err != nil {
				t.Fatal(err)
			}
			var hint string
			for name, f := range map[string]func() error{
				"load":   func() error { _, err := s.Load(t.Context(), "", "", ""); return err },
				"all":    func() error { _, err := s.All(t.Context()); return err },
				"valid":  func() error { _, err := s.Valid(t.Context(), sso.Config{}); return err },
				"save":   func() error { return s.Save(t.Context(), ann) },
				"delete": func() error { return s.Delete(t.Context(), ann) },
			} {
				e := requireError[*sso.PermissionError](t, f(), []string{test.of(s), "other users", fmt.Sprintf("%04o", test.mode), "chmod"},
					"access-ann")
				if hint = e.Fix; e.Path != test.of(s) {
					t.Errorf("%s blames %s", name, e.Path)
				}
			}
			if after, err := os.ReadFile(s.Path); err != nil || string(after) != string(before) {
				t.Errorf("the file changed (error %v)", err)
			}
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", hint).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v, %s", hint, err, out)
			}
			if _, err := s.Load(t.Context(), "", "", ""); err != nil {
				t.Errorf("after %s: %v", hint, err)
			}
		})
	}
}

// Nothing is written where others could read it, and a file does not grow without end.
func TestWhereNothingIsSaved(t *testing.T) {
	t.Parallel()
	ann := tokensOf("https://a.example.com", "ann")
	if runtime.GOOS != "windows" {
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		s := sso.Store{Path: filepath.Join(folder, "credentials")}
		requireError[*sso.PermissionError](t, s.Save(t.Context(), ann), []string{folder, "chmod"}, "access-ann")
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("%v, %v: something was left in the folder", left, err)
		}
	}
	s := newStore(t)
	large := strings.Repeat("x", auth.MaxTokenBytes)
	var logins []string
	for n := range 21 { // of 192 KiB each: another one is more than 4 MiB
		logins = append(logins, fmt.Sprintf(`{"issuer": "https://%d.example.com", "client_id": "cli", "access_token": %q, "id_token": %q, "refresh_token": %q}`,
			n, large, large, large))
	}
	save(t, s, ann)
	full := `{"version": 1, "logins": [` + strings.Join(logins, ", ") + "]}"
	if err := os.WriteFile(s.Path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	ann.Access, ann.ID, ann.Refresh = auth.Secret(large), auth.Secret(large), auth.Secret(large)
	requireError[*sso.FileError](t, s.Save(t.Context(), ann), []string{"is full", "gprxy logout"})
	if now, err := os.ReadFile(s.Path); err != nil || string(now) != full {
		t.Errorf("a full file was changed (%v)", err)
	}
}

func TestFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	s := newStore(t)
	save(t, s, tokensOf("https://a.example.com", "ann"))
	if err := os.Chown(s.Path, 65534, 65534); err != nil {
		t.Skip(err)
	}
	_, err := s.All(t.Context())
	requireError[*sso.PermissionError](t, err, []string{s.Path, "another user", "chown"}, "access-ann")
}

func TestDamagedFiles(t *testing.T) {
	good := newStore(t)
	save(t, good, tokensOf("https://a.example.com", "ann"))
	whole, err := os.ReadFile(good.Path)
	if err != nil {
		t.Fatal(err)
	}
	login := func(member string) string { // a file with one login, in which this member comes last and counts
		return `{"version": 1, "logins": [{"issuer": "https://a.example.com", "client_id": "cli", "access_token": "a", ` + member + `}]}`
	}
	replaced := func(old, new string) string { return strings.Replace(string(whole), old, new, 1) }
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "damaged"},
		{"half", string(whole[:len(whole)/2]), "damaged"},
		{"garbage", "\x00\xff access-ann", "damaged"},
		{"another program's", `{"access_token": "access-ann"}`, "damaged"},
		{"no version", replaced(`"version": 1`, `"version": 0`), "damaged"},
		{"newer", replaced(`"version": 1`, `"version": 2`), "newer gprxy"},
		{"newer, of another shape", `{"version": 7, "logins": {"access": "access-ann"}}`, "newer gprxy"},
		{"issuer missing", replaced(`"https://a.example.com"`, `""`), "damaged"},
		{"client missing", login(`"client_id": ""`), "damaged"},
		{"access token missing", login(`"access_token": ""`), "damaged"},
		{"ID token with a line break", login(`"id_token": "access-ann\nINJECTED"`), "damaged"},
		{"refresh token with a line break", login(`"refresh_token": "access-ann\nINJECTED"`), "damaged"},
		{"token with a line break", replaced(`"access-ann"`, `"access-ann\nINJECTED"`), "damaged"},
		{"token where the time belongs", replaced(`"2030-01-02T03:04:05Z"`, `"access-ann"`), "damaged"},
		{"number where a token belongs", replaced(`"access-ann"`, `17`), "damaged"},
		{"too large", strings.Repeat(" ", 5<<20), "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			save(t, s, tokensOf("https://a.example.com", "ann"))
			if err := os.WriteFile(s.Path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.All(t.Context())
			requireError[*sso.FileError](t, err, []string{s.Path, test.says, "delete", "gprxy login"}, "access-ann", "INJECTED")
			requireError[*sso.FileError](t, s.Save(t.Context(), tokensOf("https://b.example.com", "bob")), []string{s.Path})
			if now, err := os.ReadFile(s.Path); err != nil || string(now) != test.content {
				t.Error("a damaged file was overwritten")
			}
			if err := os.Remove(s.Path); err != nil { // as the error says
				t.Fatal(err)
			}
			save(t, s, tokensOf("https://b.example.com", "bob"))
		})
	}
}

func TestSavesAtOnce(t *testing.T) {
	s := newStore(t)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if err := s.Save(t.Context(), tokensOf(fmt.Sprintf("https://%d.example.com", n), fmt.Sprint(n))); err != nil {
				t.Error(err)
			}
			if _, err := s.All(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := s.All(t.Context()); err != nil || len(list) != 20 {
		t.Errorf("%d logins of 20 are there, error %v", len(list), err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	tokens := tokensOf("https://a.example.com", "ann")
	requireNoSecret(t, fmt.Sprintf("%v %+v %#v %q %s %x", tokens, tokens, tokens, tokens, tokens, tokens), "access-ann", "id-ann",
		"refresh-ann")
}
