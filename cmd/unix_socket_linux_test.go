// Clients that come over Unix sockets, with psql and pgx.

package cmd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// psqlOver runs one statement over the socket in folder.
func psqlOver(folder, port, sslmode string) (string, error) {
	psql := exec.Command("psql", "-X", "-A", "-t", "-h", folder, "-p", port, "-U", "alice", "-d", "postgres", "-c", "select 'came in'")
	psql.Env = append(os.Environ(), "PGPASSWORD=alice-secret", "PGSSLMODE="+sslmode)
	out, err := psql.CombinedOutput()
	return string(out), err
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	folder := t.TempDir()
	abstract := "@gprxy-test-" + fmt.Sprint(os.Getpid())
	settings := []string{"PROXY_HOST=" + folder + ",127.0.0.1," + abstract, "PROXY_CERT=auto", "REQUIRE_TLS=always",
		"PROXY_SOCKET_PERMISSIONS=0770"}
	r := i.start(settings...)
	tcp, rest, _ := strings.Cut(r.addr, ",")
	_, port, _ := net.SplitHostPort(tcp)
	path := filepath.Join(folder, ".s.PGSQL."+port)
	if rest != path+","+abstract+"/.s.PGSQL."+port {
		t.Errorf("listens on %s", r.addr)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o770 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	for _, host := range []string{folder, abstract} {
		if out, err := psqlOver(host, port, "prefer"); err != nil || !strings.Contains(out, "came in") {
			t.Errorf("psql -h %s: %s, %v", host, out, err)
		}
	}
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=alice password=alice-secret dbname=postgres sslmode=disable",
		folder, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	asks := dialUnix(t, path)
	if _, err := asks.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := asks.Read(answer); err != nil || answer[0] != 'N' {
		t.Errorf("SSLRequest is answered with %q, %v", answer, err)
	}
	out, err := i.command("audit", "--type", "session.connected", "--json").Output()
	if want := fmt.Sprintf(`"peer":{"uid":%d,"pid":`, os.Getuid()); err != nil || strings.Count(string(out), want) != 3 ||
		!strings.Contains(string(out), `"[local]"`) {
		t.Errorf("the events: %s, %v", out, err)
	}
	if out, err := i.command("sessions", "--active").Output(); err != nil || !strings.Contains(string(out), "[local]") {
		t.Errorf("sessions: %s, %v", out, err)
	}
	cancelled := make(chan error, 1)
	go func() { _, err := conn.Exec(t.Context(), "select pg_sleep(60)"); cancelled <- err }()
	waitFor(t, "it sleeps and is cancelled", func() bool {
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Error(err)
		}
		select {
		case err := <-cancelled:
			return err != nil && strings.Contains(err.Error(), "57014")
		default:
			return false
		}
	})

	// What a killed gprxy leaves is taken away by the next; what is in use is not.
	r.kill()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("a killed gprxy leaves its socket: %v", err)
	}
	again := append(settings, "PROXY_PORT="+port)
	r = i.start(again...)
	if out, err := psqlOver(folder, port, "disable"); err != nil {
		t.Errorf("after a crash: %s, %v", out, err)
	}
	if _, err := listenUnix(t.Context(), path, 0o777); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a socket in use is taken: %v", err)
	}
	r.Process.Signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	i.testSeveralInherited(t, folder)
}

func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// systemd hands over an address and a Unix socket, whose file stays systemd's.
func (i *install) testSeveralInherited(t *testing.T, folder string) {
	path := filepath.Join(folder, ".s.PGSQL.6000")
	var files []*os.File
	for _, listen := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", path}} {
		socket, err := net.Listen(listen[0], listen[1])
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		file, err := socket.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	cmd := i.inherits(2, files[0])
	cmd.ExtraFiles = files
	r := i.startAs(cmd)
	if out, err := psqlOver(folder, "6000", "disable"); err != nil {
		t.Errorf("%s, %v\n%s", out, err, r.output())
	}
	r.Process.Signal(syscall.SIGTERM)
	r.wait()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
}
