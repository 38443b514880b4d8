// Passwords of service accounts that are rotated in their files.

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The whole way: the password is changed in PostgreSQL and in the file, and the next new connection has it.
func TestARotatedPasswordIsInForceAtTheNextLogin(t *testing.T) {
	i := newInstall(t)
	file := filepath.Join(t.TempDir(), "reader")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("app_reader:"+secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("app_reader-secret")
	r := i.start("ROLE_MAPPING_READER=", "ROLE_MAPPING_READER_FILE="+file)
	for n, secret := range []string{"", "rotated-once", "rotated-twice"} { // all stay connected, so that each has a new backend
		if secret != "" {
			if err := i.postgres.Exec(t.Context(), "ALTER ROLE app_reader PASSWORD '"+secret+"'"); err != nil {
				t.Fatal(err)
			}
			write(secret)
		}
		if secret == "rotated-twice" {
			r.Process.Signal(syscall.SIGHUP)
		}
		conn, err := r.connect(t.Context(), "bob", i.token("bob@example.com"))
		if err != nil {
			t.Fatalf("login %d: %v\n%s", n, err, r.output())
		}
		defer conn.Close(t.Context())
	}
	if out := r.output(); strings.Count(out, "the password of a service account has changed in its file") != 2 ||
		strings.Contains(out, "rotated-") {
		t.Errorf("the log says\n%s", out)
	}
}
