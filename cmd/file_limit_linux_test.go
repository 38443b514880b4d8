// The largest file the process may write (LimitFSIZE, ulimit -f) is reached by the event log.

package cmd

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// testFileSizeLimit: a log that may not grow is a full disk and no end: SIGXFSZ, which ends a process that does not know
// it, ends nothing here.
func (i *install) testFileSizeLimit(t *testing.T) {
	r := i.start()
	inside := r.mustConnect("alice", "alice-secret")
	limit := func(bytes uint64) {
		t.Helper()
		both := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(r.Process.Pid, unix.RLIMIT_FSIZE, &both, nil); err != nil {
			t.Skipf("needs the right to limit another process: %v", err)
		}
	}
	limit(16 << 10) // less than the log has; it may still write over what it has
	var answer *pgconn.PgError
	waitFor(t, "a login is refused", func() bool {
		conn, err := r.connect(t.Context(), "alice", "alice-secret")
		if err == nil {
			conn.Close(t.Context())
			return false
		}
		if !errors.As(err, &answer) {
			t.Fatalf("%v\n%s", err, r.output())
		}
		return true
	})
	if answer.Code != "58030" || answer.Hint == "" {
		t.Errorf("a login was refused with %v", answer)
	}
	if _, err := inside.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("who is in is not served: %v", err)
	}
	if out := r.output(); strings.Count(out, "level=error") != 1 || !strings.Contains(out, "free space on") {
		t.Errorf("not one line that says what to do:\n%s", out)
	}
	limit(unix.RLIM_INFINITY)
	waitFor(t, "logins are served again", func() bool {
		conn, err := r.connect(t.Context(), "alice", "alice-secret")
		if err == nil {
			conn.Close(t.Context())
		}
		return err == nil
	})
	r.Process.Signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	if out, err := i.command("audit", "verify").CombinedOutput(); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	if out, err := i.command("audit", "--type", "session.refused", "--json").Output(); err != nil ||
		!strings.Contains(string(out), "event_log_unavailable") {
		t.Errorf("the refusal is not recorded: %s, %v", out, err)
	}
	if out, _ := i.command("sessions", "--active", "--json").Output(); len(out) != 0 {
		t.Errorf("still active: %s", out)
	}
}
