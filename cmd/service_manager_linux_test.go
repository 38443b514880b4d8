// gprxy under a service manager that wants to hear how it does.

package cmd

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is the socket at which systemd listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, path}
}

// hears returns the first message that begins so.
func (m *manager) hears(state string) string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 4096); ; {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", state, err)
		}
		if said := string(buf[:n]); strings.HasPrefix(said, state) {
			return said
		}
	}
}

func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	i, m := newInstall(t), newManager(t)
	r := i.start("NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000")
	if said := m.hears("READY=1"); !strings.Contains(said, "listening on "+r.addr) {
		t.Errorf("ready: %q, want the address %s", said, r.addr)
	}
	for range 3 {
		m.hears("WATCHDOG=1")
	}
	r.Process.Signal(syscall.SIGHUP)
	if said := m.hears("RELOADING=1"); !strings.Contains(said, "MONOTONIC_USEC=") {
		t.Errorf("reloading: %q", said)
	}
	m.hears("READY=1")
	r.Process.Signal(syscall.SIGTERM)
	m.hears("STOPPING=1")
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
}

// A manager that cannot be told is no reason not to serve.
func TestServesWithoutBeingHeard(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	r := i.start("NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody"))
	r.mustConnect("alice", "alice-secret")
	if !strings.Contains(r.output(), "could not tell systemd") {
		t.Errorf("nothing is said of it:\n%s", r.output())
	}
}
