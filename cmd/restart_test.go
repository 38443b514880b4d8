// Gprxy is stopped and started under load, and people lose nothing by it.

package cmd

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/cmd/settings"
)

// bank is a script for pgbench: a transaction that writes at its begin and at its end.
const bank = `BEGIN;
INSERT INTO bank DEFAULT VALUES;
SELECT pg_sleep(0.01);
INSERT INTO bank DEFAULT VALUES;
COMMIT;
`

func (i *install) openBank() {
	i.t.Helper()
	sql := "DROP TABLE IF EXISTS bank; CREATE TABLE bank (at timestamptz DEFAULT now()); GRANT INSERT ON bank TO app_reader"
	if err := i.postgres.Exec(i.t.Context(), sql); err != nil {
		i.t.Fatal(err)
	}
}

func (i *install) deposits() int {
	i.t.Helper()
	rows, err := i.postgres.Query(i.t.Context(), "postgres", "SELECT count(*) FROM bank")
	if err != nil {
		i.t.Fatal(err)
	}
	n, err := strconv.Atoi(rows[0][0])
	if err != nil {
		i.t.Fatal(err)
	}
	return n
}

// pgbench runs the bank's script against an address.
func (i *install) pgbench(addr string, args ...string) *exec.Cmd {
	i.t.Helper()
	script := filepath.Join(i.t.TempDir(), "bank.sql")
	if err := os.WriteFile(script, []byte(bank), 0o600); err != nil {
		i.t.Fatal(err)
	}
	host, port, err := splitAddress(addr)
	if err != nil {
		i.t.Fatal(err)
	}
	ctx, done := context.WithTimeout(i.t.Context(), time.Minute)
	i.t.Cleanup(done)
	cmd := exec.CommandContext(ctx, i.postgres.Tool(i.t, "pgbench"), append(args, "-n", "-f", script, "postgres")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "PGHOST=" + host, "PGPORT=" + port, "PGUSER=bob", "PGSSLMODE=disable",
		"PGPASSWORD=" + i.token("bob@example.com")}
	return cmd
}

var processed = regexp.MustCompile(`number of transactions actually processed: (\d+)`)

func transactions(t *testing.T, report string) int {
	t.Helper()
	m := processed.FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("pgbench reports\n%s", report)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRestart(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	t.Run("SIGTERM cuts no transaction", i.testSIGTERM)
	t.Run("refuses nobody when its socket stays open", func(t *testing.T) { i.testRollingRestart(t, "tcp", "127.0.0.1:0", 40, 40, 120) })
	t.Run("refuses nobody when its Unix socket stays open", func(t *testing.T) {
		i.testRollingRestart(t, "unix", filepath.Join(t.TempDir(), settings.SocketPrefix+"6000"), 20, 30)
	})
	t.Run("serves beside the one that ends", func(t *testing.T) { i.testTwoAtOnce(t, "127.0.0.1", "0") })
	t.Run("serves beside the one that ends on a Unix socket", func(t *testing.T) { i.testTwoAtOnce(t, t.TempDir(), "6000") })
	t.Run("takes sockets of streams and nothing else", i.testInheritedSockets)
}

func (i *install) testSIGTERM(t *testing.T) {
	const clients = 8
	i.openBank()
	r := i.start("SHUTDOWN_TIMEOUT=30s")
	bench := i.pgbench(r.addr, "-c", fmt.Sprint(clients), "-T", "60")
	var said strings.Builder
	bench.Stdout, bench.Stderr = &said, &said
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "pgbench works", func() bool { return i.deposits() > 5*clients })
	r.Process.Signal(syscall.SIGTERM)
	bench.Wait()
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	report := said.String()
	if n, told := i.deposits(), 2*transactions(t, report); n != told {
		t.Errorf("PostgreSQL has %d rows, pgbench was told of %d\n%s", n, told, report)
	}
	// Each client was cut at the first command of its script: between two transactions.
	between := strings.Count(report, "aborted in command 0")
	if cut := strings.Count(report, " aborted in command "); cut != clients || between != clients {
		t.Errorf("%d clients were cut, %d of them between transactions\n%s", cut, between, report)
	}
	if told := strings.Count(report, "terminating connection because gprxy is shutting down"); told != clients {
		t.Errorf("%d clients were told why\n%s", told, report)
	}
	if out, err := i.command("audit", "verify").CombinedOutput(); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	out, err := i.command("sessions", "--json").Output()
	if ended := strings.Count(string(out), `"end_reason":"shutdown"`); err != nil || ended != clients {
		t.Errorf("%d sessions ended by the shutdown: %s, %v", ended, out, err)
	}
}

// inherits is `gprxy start` as a socket unit of systemd starts it: the socket is open already, and stays so.
func (i *install) inherits(count int, socket *os.File) *exec.Cmd {
	cmd := i.command("start")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$0" start`, count), i.binary}
	cmd.ExtraFiles = []*os.File{socket}
	return cmd
}

// With its socket kept open by systemd, a restart is no error to anybody who connects anew for each transaction.
// It is restarted each time that so many rows are in.
func (i *install) testRollingRestart(t *testing.T, network, address string, each int, restarts ...int) {
	i.openBank()
	socket, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	start := func() *running { return i.startAs(i.inherits(1, file), "SHUTDOWN_TIMEOUT=30s") }
	r := start()
	defer func() { r.kill() }()
	if r.addr != socket.Addr().String() {
		t.Fatalf("listens on %s, was given %s", r.addr, socket.Addr())
	}
	bench := i.pgbench(r.addr, "-C", "-c", "4", "-t", fmt.Sprint(each))
	var said strings.Builder
	bench.Stdout, bench.Stderr = &said, &said
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	for _, done := range restarts {
		waitFor(t, "pgbench works", func() bool { return i.deposits() > done })
		r.Process.Signal(syscall.SIGTERM)
		waitFor(t, "it drains", func() bool { return strings.Contains(r.output(), "shutting down") })
		next := start()
		if code := r.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, r.output())
		}
		r = next
	}
	if err := bench.Wait(); err != nil || strings.Contains(said.String(), "aborted") {
		t.Errorf("pgbench: %v\n%s", err, &said)
	}
	if n := i.deposits(); n != 2*4*each || transactions(t, said.String()) != 4*each {
		t.Errorf("PostgreSQL has %d rows of %d\n%s", n, 2*4*each, &said)
	}
}

// Started while the one before it still lets a transaction finish, gprxy takes over port and log at once: both serve, and
// both record.
func (i *install) testTwoAtOnce(t *testing.T, host, port string) {
	old := i.start("PROXY_HOST="+host, "PROXY_PORT="+port, "SHUTDOWN_TIMEOUT=30s")
	staying := old.mustConnect("alice", "alice-secret")
	if _, err := staying.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	_, port, _ = splitAddress(old.addr)
	old.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the address is free", func() bool {
		if settings.IsUnixHost(host) {
			left, err := os.ReadDir(host)
			return err == nil && len(left) == 0 // neither socket nor lock
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			l.Close()
		}
		return err == nil
	})
	next := i.start("PROXY_HOST="+host, "PROXY_PORT="+port)
	defer next.kill()
	if said := fmt.Sprint("process=", old.Process.Pid); !strings.Contains(next.output(), said) {
		t.Errorf("the new one does not say %q:\n%s", said, next.output())
	}
	fresh := next.mustConnect("bob", i.token("bob@example.com"))
	if out, err := i.command("sessions", "--active", "--json").Output(); err != nil || strings.Count(string(out), "\n") != 2 {
		t.Errorf("active sessions of both: %s, %v", out, err)
	}
	if _, err := staying.Exec(t.Context(), "commit"); err != nil {
		t.Errorf("the open transaction: %v", err)
	}
	if code := old.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, old.output())
	}
	if _, err := fresh.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("the new one's session: %v", err)
	}
	if out, err := i.command("audit", "verify").CombinedOutput(); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	out, err := i.command("sessions", "--active", "--json").Output()
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "bob@example.com") {
		t.Errorf("active sessions: %s, %v", out, err)
	}
	if again, err := next.connect(t.Context(), "alice", "alice-secret"); err != nil { // the old one's end took nothing along
		t.Errorf("another session of the new one: %v", err)
	} else {
		again.Close(t.Context())
	}
}

func (i *install) testInheritedSockets(t *testing.T) {
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	file, err := datagrams.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for count, want := range map[int]string{1: "a socket of systemd", 0: "systemd hands over"} {
		r := i.launch(i.inherits(count, file))
		if code := r.wait(); code != 1 || !strings.Contains(r.output(), want) {
			t.Errorf("exit code %d\n%s", code, r.output())
		}
	}
}
