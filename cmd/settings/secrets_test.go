// Secrets that are rotated in their files.

package settings

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gprxy/auth"
)

// What is no password of the account leaves the last good one in force, and is told once.
func TestAnUnusablePasswordFileLeavesTheLastPassword(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "reader")
	var log bytes.Buffer
	f := NewSecrets(Settings{
		SecretFiles: map[string]secretFile{"ROLE_MAPPING_READER": {"ROLE_MAPPING_READER_FILE", path}},
		Roles: auth.RolesConfig{Mapping: map[string]auth.Login{"READER": {User: "app", Password: "old"},
			"OTHER": {User: "plain", Password: "x"}}},
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if _, known := f.Password("plain"); known {
		t.Error("an account without a file has one")
	}
	for _, row := range []struct {
		content string
		want    auth.Secret
		told    string
	}{
		{"", "old", "is empty"},
		{"app", "old", "has no password: write username:password"},
		{"someone:tops3cret", "old", "another account"},
		{"app:new\n", "new", "has changed"},
		{"app:new\n", "new", ""},
		{strings.Repeat("x", maxValue+1), "new", "larger than 64 kB"},
	} {
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		for range 2 {
			if got, known := f.Password("app"); !known || got != row.want {
				t.Errorf("after %.20q: the password is not %s", row.content, row.want.Reveal())
			}
		}
		said := log.String()
		lines := 1
		if row.told == "" {
			lines = 0
		}
		if strings.Count(said, "\n") != lines || !strings.Contains(said, row.told) || strings.Contains(said, "tops3cret") {
			t.Errorf("after %.20q the log says %q", row.content, said)
		}
	}
	os.Remove(path)
	if got, _ := f.Password("app"); got != "new" {
		t.Error("a file that is gone has changed the password")
	}
}

// gprxy's own secret at the issuer is the one that its file holds at the time of a login.
func TestARotatedClientSecretIsInForceAtTheNextLogin(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "client")
	var log bytes.Buffer
	f := NewSecrets(Settings{
		SecretFiles: map[string]secretFile{"OIDC_CLIENT_SECRET": {"OIDC_CLIENT_SECRET_FILE", path}},
		SignOn:      SignOn{ClientSecret: "old"},
	}, slog.New(slog.NewTextHandler(&log, nil)))
	for _, row := range []struct {
		content string
		want    auth.Secret
		told    string
	}{
		{"", "old", "is empty"},
		{"tops3cret\n", "tops3cret", "has changed"},
		{"tops3cret\n", "tops3cret", ""},
		{"", "tops3cret", "is empty"},
	} {
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		f.Reread()
		if got := f.ClientSecret(); got != row.want {
			t.Errorf("after %q the secret is not %s", row.content, row.want.Reveal())
		}
		said := log.String()
		if strings.Count(said, "\n") > 1 || (said == "") != (row.told == "") || !strings.Contains(said, row.told) ||
			strings.Contains(said, "tops3cret") {
			t.Errorf("after %q the log says %q", row.content, said)
		}
	}
	plain := NewSecrets(Settings{SignOn: SignOn{ClientSecret: "given"}}, slog.New(slog.DiscardHandler))
	if got := plain.ClientSecret(); got != "given" {
		t.Error("a secret without a file is another one")
	}
}
