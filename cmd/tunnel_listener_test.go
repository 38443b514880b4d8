// Where gprxy tunnel listens, and who can get in there.

package cmd

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTunnelIsForThisMachineAlone(t *testing.T) {
	for _, row := range []struct{ line, err string }{
		{"--listen 0.0.0.0:6432", "is open to other machines: whoever reached it would be you, without a password\nTry: gprxy tunnel " +
			"--listen 127.0.0.1:6432\n"},
		{"--listen :7000", "Try: gprxy tunnel --listen 127.0.0.1:7000\n"},
		{"--listen [::]:6432", "is open to other machines"},
		{"--listen 192.0.2.1:6432", "is open to other machines"},
		{"--listen [::ffff:192.0.2.1]:6432", "is open to other machines"},
		{"--listen myhost:6432", "--listen \"myhost:6432\" is not understood\nTry: --listen with an address of this machine"},
		{"--listen 6432", "is not understood"},
		{"--listen 127.0.0.1", "is not understood"},
		{"--listen 127.0.0.1:http", "is not understood"},
		{"--listen=", "is not understood"},
		{"--socket=", "--socket is empty\nTry: gprxy tunnel --socket HOME/.gprxy/tunnel\n"},
		{"--socket /tmp/x --listen 127.0.0.1:1", "--listen and --socket exclude each other"},
		{"--socket " + strings.Repeat("/long", 20), "is longer than a socket's path may be"},
		{"--port x", "--port \"x\" is not understood"},
		{"--sslmode no", "--sslmode \"no\" is not understood"},
		{"extra", "gprxy tunnel takes no argument \"extra\""},
	} {
		t.Run(row.line, func(t *testing.T) {
			env := fixedEnvironment(t)
			env.Variables = []string{"HOME=" + env.Dir}
			got := gprxy(t, env, append([]string{"tunnel", "-s", "localhost", "-d", "app"}, strings.Fields(row.line)...)...)
			if errs := strings.ReplaceAll(got.err, env.Dir, "HOME"); got.code != exitUsage || !strings.Contains(errs, row.err) || got.out != "" {
				t.Errorf("exit %d, stdout %q, stderr %s\nwant %q in it", got.code, got.out, errs, row.err)
			}
		})
	}
}

func TestConnectionStrings(t *testing.T) {
	tcp := &tunnelListener{Listener: addressOnly{&net.TCPAddr{IP: net.IPv6loopback, Port: 6432}}}
	unix := &tunnelListener{Listener: addressOnly{&net.UnixAddr{}}, dir: "/home/a b&c", socket: "/home/a b&c/.s.PGSQL.6432"}
	equal(t, "TCP", tcp.connectionURL("al'ice@x", "my/db ü"), "postgres://al%27ice%40x@[::1]:6432/my%2Fdb%20%C3%BC?sslmode=disable")
	equal(t, "JDBC", tcp.jdbcURL("al'ice@x", "my/db&"), "jdbc:postgresql://[::1]:6432/my%2Fdb%26?user=al%27ice%40x&sslmode=disable")
	equal(t, "socket", unix.connectionURL("alice", "app"), "postgres://alice@/app?host=%2Fhome%2Fa%20b%26c&port=6432")
	equal(t, "JDBC on a socket", unix.jdbcURL("alice", "app"), "")
}

type addressOnly struct{ address net.Addr }

func (a addressOnly) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (a addressOnly) Close() error              { return nil }
func (a addressOnly) Addr() net.Addr            { return a.address }

func testTunnelSocket(t *testing.T, i *install, r *running) {
	i.t = t
	base, err := os.MkdirTemp("", "gprxy-tunnel-") // t.TempDir keeps other users out by itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "mine")
	u := i.tunnel(r, "--socket", dir)
	u.connect()
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, ".s.PGSQL.6432"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	if strings.Contains(u.output(), "every user of this machine") || strings.Contains(u.output(), "jdbc:") {
		t.Errorf("a socket was announced like a port:\n%s", u.output())
	}
	i.testSecondUser(u, dir)
	u.Process.Kill()
	u.end()
	again := i.tunnel(r, "--socket", dir) // over what the killed one left
	again.connect()
	again.Process.Signal(syscall.SIGTERM)
	if code := again.end(); code != exitDone {
		t.Errorf("exit %d\n%s", code, again.output())
	}
	if _, err := os.Lstat(filepath.Join(dir, ".s.PGSQL.6432")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left: %v", err)
	}
}

// testSecondUser opens the socket as another user: neither the folder nor, were that open, the socket lets
// them. The third round shows that the test would see it if both did.
func (i *install) testSecondUser(u *tunnelling, dir string) {
	t := i.t
	other, err := user.Lookup("nobody")
	if os.Geteuid() != 0 || err != nil {
		t.Log("only root can be another user: not tested")
		return
	}
	uid, _ := strconv.ParseUint(other.Uid, 10, 32)
	gid, _ := strconv.ParseUint(other.Gid, 10, 32)
	attempt := func() (string, error) {
		psql := exec.CommandContext(t.Context(), i.postgres.Tool(t, "psql"), "-w", "-At", u.url, "-c", "select 'in'")
		psql.Env, psql.Dir = []string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, "/"
		psql.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := psql.CombinedOutput()
		return string(out), err
	}
	for _, open := range []struct {
		folder, socket os.FileMode
		in             bool
	}{{0o700, 0o600, false}, {0o755, 0o600, false}, {0o755, 0o666, true}} {
		if err := errors.Join(os.Chmod(dir, open.folder), os.Chmod(filepath.Join(dir, ".s.PGSQL.6432"), open.socket)); err != nil {
			t.Fatal(err)
		}
		out, err := attempt()
		if in := err == nil && out == "in\n"; in != open.in || !in && !strings.Contains(out, "Permission denied") {
			t.Errorf("folder %o, socket %o: %v\n%s", open.folder, open.socket, err, out)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func testTunnelInUse(t *testing.T, i *install, r *running) {
	i.t = t
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "mine")
	i.tunnel(r, "--socket", dir)
	open := filepath.Join(t.TempDir(), "open")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o755)); err != nil {
		t.Fatal(err)
	}
	served := t.TempDir()
	if err := os.Chmod(served, 0o700); err != nil {
		t.Fatal(err)
	}
	postgres, err := net.Listen("unix", filepath.Join(served, ".s.PGSQL.6432"))
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, row := range []struct{ flag, value, says string }{
		{"--listen", taken.Addr().String(), "choose another port with --listen"},
		{"--socket", dir, "another tunnel serves"},
		{"--socket", open, "chmod 700 " + open},
		{"--socket", served, "another program serves it"},
		{"--socket", file, "not a directory"},
	} {
		cmd := i.command("tunnel", "-s", "localhost", "-d", "postgres", row.flag, row.value)
		limit := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		out, err := cmd.CombinedOutput()
		limit.Stop()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitFailed || !strings.Contains(string(out), row.says) {
			t.Errorf("%s %s: %v\n%s\nwant %q in it", row.flag, row.value, err, out, row.says)
		}
	}
}
