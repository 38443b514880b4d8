// gprxy connect as a person uses it: with psql, without, and when something is in the way.

package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"gprxy/auth/authtest"
	"gprxy/listener"
	"gprxy/pool/pooltest"
)

const whoSQL = "select current_user || ' for ' || current_setting('gprxy.user') as who;"

// withoutPsql gives a PATH on which there is none.
func (p *personAtShell) withoutPsql() *personAtShell {
	bare := *p
	bare.env = append(without(p.env, "PATH"), "PATH="+p.t.TempDir())
	return &bare
}

func havePsql(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("there is no psql here")
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	i := newPersonInstall(t)
	proxy := i.start("ROLE_MAPPING_WRITER=app_writer:app_writer-secret")
	p := i.person(t, "PROXY_URL="+proxy.addr)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	bare := p.withoutPsql()
	to := func(args ...string) []string {
		return append([]string{"connect", "-d", "postgres"}, args...)
	}
	t.Run("psql", func(t *testing.T) {
		havePsql(t)
		p.expect(0, []string{"app_reader for alice@example.com"}, "", to("--", "-c", whoSQL)...)
		p.expect(0, []string{"app_reader for alice@example.com"}, whoSQL, to()...)
		p.expect(0, []string{"app_reader for alice@example.com"}, "", to("-U", "reader", "--", "-c", whoSQL)...)
		p.expect(1, []string{"division by zero"}, "", to("--", "-c", "select 1/0")...)
		p.expect(3, []string{"division by zero"}, "select 1/0; select 'never';", to("--", "-v", "ON_ERROR_STOP=1")...)
		p.expect(2, []string{`none of your roles gives the account "app_writer"`, "gprxy whoami"}, "",
			to("-U", "app_writer", "--", "-c", "select 1")...)
		p.expect(2, []string{"Connection refused", "nothing listens there"}, "", to("-s", closedPort(t), "--", "-c", "select 1")...)
	})
	t.Run("the built-in prompt", func(t *testing.T) {
		bare.expect(0, []string{"app_reader for alice@example.com"}, whoSQL, to()...)
		p.expect(0, []string{"app_reader for alice@example.com"}, whoSQL, to("--no-psql")...)
		got := bare.expect(3, []string{"ERROR:  division by zero", "stopped at line 2 of the script"},
			"select 1;\nselect 1/0;\nselect 'never';\n", to()...)
		if strings.Contains(got.out, "never") {
			t.Error("the script went on")
		}
		bare.expect(2, []string{`none of your roles gives the account "app_writer"`, "gprxy whoami"}, "", to("-U", "app_writer")...)
		bare.expect(2, []string{"nothing listens there"}, "", to("-s", closedPort(t))...)
		bare.expect(2, []string{`database "nowhere" does not exist`, "Check --database."}, "", "connect", "-d", "nowhere")
		bare.expect(2, []string{`permission denied for database "closed"`, "ask for a role that may"}, "", "connect", "-d", "closed")
		bare.expect(2, []string{"offers no TLS"}, "", to("--sslmode", "require")...)
		bare.expect(2, []string{"what stands after -- is for psql"}, "", to("--", "-c", "select 1")...)
	})
	t.Run("tokens that gprxy refuses", func(t *testing.T) {
		for _, claims := range []authtest.Claims{{"email": "a@b.c", "roles": []string{"reader"}, "aud": "another"},
			{"email": "a@b.c", "roles": []string{"stranger"}}} {
			token := i.issuer.Token(claims)
			stranger := i.person(t, "PROXY_URL="+proxy.addr, "GPRXY_TOKEN="+token)
			want := "The token was not accepted: run gprxy login"
			if claims["aud"] == nil {
				want = "none of your roles is mapped to a service account"
			}
			stranger.withoutPsql().expect(2, []string{want}, "", to()...)
			stranger.kept([]string{token})
		}
	})
	t.Run("PROXY_URL in .env is told", func(t *testing.T) {
		write(t, filepath.Join(p.home, ".env"), "PROXY_URL="+proxy.addr+"\n")
		far := *bare
		far.env = without(bare.env, "PROXY_URL")
		far.expect(0, []string{"gprxy is at " + proxy.addr + ", as PROXY_URL in .env says."}, "select 1;", to()...)
	})
	t.Run("PROXY_URL in .env leads nowhere else", func(t *testing.T) {
		write(t, filepath.Join(p.home, ".env"), "PROXY_URL=postgres://192.0.2.2:7777/app?sslmode=disable\n")
		defer os.Remove(filepath.Join(p.home, ".env"))
		far := *bare
		far.env = without(bare.env, "PROXY_URL")
		far.expect(2, []string{"PROXY_URL in .env leads to 192.0.2.2:7777, and your token would be sent there"}, "", to()...)
	})
	t.Run("psql stops a script at its first error, and leaves no password file", func(t *testing.T) {
		havePsql(t)
		got := p.expect(3, []string{"division by zero"}, "select 1;\nselect 1/0;\nselect 'never';\n", to()...)
		if strings.Contains(got.out, "never") {
			t.Error("the script went on")
		}
		if left, _ := filepath.Glob(filepath.Join(p.home, ".gprxy", "passfile-*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("no token in any argument", func(t *testing.T) { watchArguments(t, p, to) })
	p.kept(p.secrets())
	bare.kept(p.secrets())
}

// Where gprxy is on the same machine its folder will do, as libpq's host does, and there is no TLS, whatever it asks of others.
func TestConnectOverUnixSockets(t *testing.T) {
	t.Parallel()
	havePsql(t)
	i := newPersonInstall(t)
	folder, abstract := t.TempDir(), fmt.Sprintf("@gprxy-connect-%d", os.Getpid())
	hosts := []string{folder}
	if runtime.GOOS == "linux" {
		hosts = append(hosts, abstract)
	}
	proxy := i.start("PROXY_HOST=127.0.0.1,"+strings.Join(hosts, ","), "PROXY_CERT=auto", "REQUIRE_TLS=always")
	first, _, _ := strings.Cut(proxy.addr, ",")
	_, port, _ := net.SplitHostPort(first)
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	const who = "app_reader for alice@example.com"
	to := func(args ...string) []string {
		return append([]string{"connect", "--host", folder, "-p", port, "-d", "postgres"}, args...)
	}
	p.expect(0, []string{who}, whoSQL, to()...)
	p.expect(0, []string{who}, whoSQL, to("--no-psql", "--sslmode", "verify-full")...)
	for _, host := range hosts[1:] {
		warned := "any user of this machine may listen at " + host
		p.expect(0, []string{who, warned}, whoSQL, "connect", "-s", "postgres:///postgres?host="+host+"&port="+port)
		p.expect(0, []string{who, warned}, whoSQL, "connect", "-s", host, "-p", port, "-d", "postgres", "--no-psql")
	}
	tunnel := i.follow(p.command("tunnel", "-s", folder, "-p", port, "-d", "postgres", "--listen", "127.0.0.1:0"))
	conn := tunnel.connect()
	asleep := make(chan error, 1)
	go func() { _, err := conn.Exec(t.Context(), "select pg_sleep(60) as nap"); asleep <- err }()
	waitFor(t, "it sleeps", func() bool { return napping(t, i.postgres) == 1 })
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-asleep; err == nil || !strings.Contains(err.Error(), "57014") {
		t.Errorf("a cancel through the tunnel: %v", err)
	}
	if said := tunnel.output(); strings.Contains(said, "any user of this machine may listen") || strings.Contains(said, "nothing proves") {
		t.Errorf("the tunnel says\n%s", said)
	}
	nowhere := []string{"connect", "-s", folder, "-p", "1", "-d", "postgres"}
	p.expect(2, []string{"there is no such socket; check --server (its folder)"}, whoSQL, nowhere...)
	p.expect(2, []string{"there is no such socket; check --server (its folder)"}, whoSQL, append(nowhere, "--no-psql")...)
	left := filepath.Join(folder, ".s.PGSQL.1") // of a server that was killed
	if l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"}); err != nil {
		t.Fatal(err)
	} else {
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	p.expect(2, []string{"nothing listens there; check --server (its folder)"}, whoSQL, append(nowhere, "--no-psql")...)
	write(t, filepath.Join(p.home, ".env"), "PROXY_URL="+folder+"\n")
	p.expect(0, []string{"gprxy is at " + filepath.Join(folder, ".s.PGSQL."+port) + ", as PROXY_URL in .env says."}, whoSQL, "connect", "-p",
		port, "-d", "postgres")
	p.kept(p.secrets())
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// watchArguments looks at all processes while a query runs, and then ends it as Ctrl-C does.
func watchArguments(t *testing.T, p *personAtShell, to func(...string) []string) {
	havePsql(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	cmd := p.command(to("--", "-c", "select pg_sleep(60) as nap")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the query", func() bool { return napping(t, p.postgres) == 1 })
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) < 3 {
		t.Fatalf("%d processes, %v", len(lines), err)
	}
	var all bytes.Buffer
	for _, path := range lines {
		line, _ := os.ReadFile(path) // gone in the meantime
		all.Write(line)
	}
	if !strings.Contains(all.String(), "as nap") {
		t.Error("psql's arguments were not seen")
	}
	for _, s := range p.secrets() {
		if strings.Contains(all.String(), s) {
			t.Error("a token stands in the arguments of a process")
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil { // to the group, as a terminal does
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != 1 || !strings.Contains(errs.String(), "canceling statement due to user request") {
		t.Errorf("%v\n%s", exit, errs.String())
	}
	waitFor(t, "the end of the query", func() bool { return napping(t, p.postgres) == 0 })
}

func napping(t *testing.T, server *pooltest.Server) int {
	t.Helper()
	rows, err := server.Query(t.Context(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "+
		"'%pg_sleep(60) as nap%' AND pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	fmt.Sscan(rows[0][0], &n)
	return n
}

func TestConnectOverTLS(t *testing.T) {
	t.Parallel()
	i := newPersonInstall(t)
	proxy := i.start("PROXY_CERT=auto", "PROXY_HOST=0.0.0.0", "PASSWORD_LOGIN=off")
	_, port, _ := net.SplitHostPort(proxy.addr)
	root := filepath.Join(i.home, ".gprxy", "tls", "root.crt")
	other, err := listener.EnsureLocalCA(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	own := i.person(t) // on the machine of the proxy: its CA is in the usual place
	own.home, own.env = i.home, append(without(p.env, "HOME"), "HOME="+i.home)
	if got := own.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for _, way := range []struct {
		name string
		with func(*personAtShell) *personAtShell
	}{
		{"psql", func(p *personAtShell) *personAtShell { return p }},
		{"the built-in prompt", func(p *personAtShell) *personAtShell { return p.withoutPsql() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "psql" {
				havePsql(t)
			}
			p, own := way.with(p), way.with(own)
			to := func(host string, args ...string) []string {
				return append([]string{"connect", "-s", net.JoinHostPort(host, port), "-d", "postgres"}, args...)
			}
			const secured = "select 'TLS ' || (select count(*) from pg_stat_activity where pid = pg_backend_pid());"
			p.expect(0, []string{"TLS 1"}, secured, to("localhost", "--sslrootcert", root)...)
			p.expect(0, []string{"TLS 1"}, secured, to("127.0.0.1", "--sslrootcert", root)...)
			p.expect(0, []string{"TLS 1"}, secured, to("localhost")...) // prefer
			own.expect(0, []string{"TLS 1"}, secured, to("localhost")...)
			own.expect(0, []string{"TLS 1"}, secured, to("127.0.0.2", "--sslmode", "verify-ca")...)
			p.expect(2, []string{"is not trusted", "--sslrootcert"}, secured, to("localhost", "--sslrootcert", other.RootFile)...)
			own.expect(2, []string{"is not trusted: it was not made for 127.0.0.2"}, secured, to("127.0.0.2")...)
			p.expect(2, []string{"is not trusted", "those of this machine"}, secured, to("localhost", "--sslrootcert", "system", "--sslmode",
				"verify-full")...)
			p.kept(p.secrets())
		})
	}
}
