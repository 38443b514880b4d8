// gprxy tunnel as a process: tools that connect through it to a real gprxy.

package cmd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
	"gprxy/pool/pooltest"
)

func TestTunnelSaysAtOnceThatNobodyIsLoggedIn(t *testing.T) {
	env := fixedEnvironment(t)
	env.Variables = []string{"HOME=" + env.Dir}
	got := gprxy(t, env, "tunnel", "-s", "localhost", "-d", "app", "--listen", "127.0.0.1:0")
	if got.code != exitFailed || !strings.Contains(got.err, "gprxy login") || got.out != "" {
		t.Errorf("got %+v", got)
	}
}

// tunnelling is a running `gprxy tunnel`.
type tunnelling struct {
	*exec.Cmd
	t       *testing.T
	url     string // as it printed it
	mu      sync.Mutex
	text    strings.Builder // guarded by mu: stdout and stderr
	reading sync.WaitGroup
}

var printedURL = regexp.MustCompile(`(?m)^  URL    (\S+)$`)

// tunnel runs `gprxy tunnel` to r until it has printed where it listens.
func (i *install) tunnel(r *running, args ...string) *tunnelling {
	i.t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	return i.follow(i.command(append([]string{"tunnel", "-s", "localhost", "-p", port, "-d", "postgres"}, args...)...))
}

// follow runs a command that is `gprxy tunnel` until it has printed where it listens.
func (i *install) follow(cmd *exec.Cmd) *tunnelling {
	i.t.Helper()
	u := &tunnelling{t: i.t, Cmd: cmd}
	out, err := u.StdoutPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	u.Stderr = u
	if err := u.Start(); err != nil {
		i.t.Fatal(err)
	}
	u.reading.Go(func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			fmt.Fprintln(u, scanner.Text())
		}
	})
	i.t.Cleanup(func() { u.Process.Kill(); u.end() })
	waitFor(i.t, "the tunnel listens", func() bool { return strings.Contains(u.output(), "Ctrl-C ends it") })
	u.url = printedURL.FindStringSubmatch(u.output())[1]
	return u
}

func (u *tunnelling) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.Write(p)
}

func (u *tunnelling) output() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

// end waits for the process and returns its exit code.
func (u *tunnelling) end() int {
	u.reading.Wait()
	_ = u.Wait() // the second time it says that it was waited for
	return u.ProcessState.ExitCode()
}

func (u *tunnelling) connect() *pgx.Conn {
	u.t.Helper()
	conn, err := pgx.Connect(u.t.Context(), u.url)
	if err != nil {
		u.t.Fatalf("%v\n%s", err, u.output())
	}
	u.t.Cleanup(func() { conn.Close(context.WithoutCancel(u.t.Context())) })
	return conn
}

// login puts a login of alice's into the home, as gprxy login would.
func (i *install) login() sso.Store {
	i.t.Helper()
	config := sso.Config{Issuer: i.issuer.URL(), ClientID: authtest.DefaultClient, Audience: i.issuer.Audience()}
	tokens, err := sso.LoginDevice(i.t.Context(), config, func(p sso.Prompt) error { return i.issuer.Approve(p.UserCode, "alice") })
	if err != nil {
		i.t.Fatal(err)
	}
	store := sso.Store{Path: filepath.Join(i.home, ".gprxy", "credentials")}
	if err := store.Save(i.t.Context(), tokens); err != nil {
		i.t.Fatal(err)
	}
	return store
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	i.issuer = authtest.Start(t, authtest.Options{AccessLife: 30 * time.Second, DeviceInterval: time.Millisecond})
	r := i.start("PROXY_CERT=auto", "REQUIRE_TLS=always")
	store := i.login()
	t.Run("serves tools over verified TLS and renews the token", func(t *testing.T) { testTunnelServes(t, i, r, store) })
	t.Run("opens a socket for this user alone", func(t *testing.T) { testTunnelSocket(t, i, r) })
	t.Run("lets queries finish on Ctrl-C", func(t *testing.T) { testTunnelDrains(t, i, r) })
	t.Run("takes GPRXY_TOKEN", func(t *testing.T) { testTunnelToken(t, i, r) })
	t.Run("refuses what is in use", func(t *testing.T) { testTunnelInUse(t, i, r) })
}

// Every token of this issuer has less than a minute left, so each connection needs a new one.
func testTunnelServes(t *testing.T, i *install, r *running, store sso.Store) {
	i.t = t
	before := i.issuer.Grants("refresh_token")
	u := i.tunnel(r, "--listen", "127.0.0.1:0")
	for range 2 {
		conn := u.connect()
		var user string
		if err := conn.QueryRow(t.Context(), "select current_user || ' ' || current_setting('gprxy.user')").Scan(&user); err != nil ||
			user != "app_reader alice@example.com" {
			t.Errorf("served as %q, %v", user, err)
		}
	}
	if got := i.issuer.Grants("refresh_token") - before; got != 3 {
		t.Errorf("%d tokens were fetched, want 3: at the start and for each connection", got)
	}
	all, err := store.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("the credentials: %d logins, %v", len(all), err)
	}
	psql := exec.Command(i.postgres.Tool(t, "psql"), "-w", "-At", u.url, "-c", "select 'by psql', current_user")
	psql.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	if out, err := psql.CombinedOutput(); err != nil || string(out) != "by psql|app_reader\n" {
		t.Errorf("psql: %v\n%s", err, out)
	}
	if err := store.Delete(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	_, err = pgx.Connect(t.Context(), u.url)
	if err == nil || !strings.Contains(err.Error(), "28000") {
		t.Errorf("without a login: %v\n%s", err, u.output())
	}
	waitFor(t, "the tunnel says so too", func() bool { return strings.Contains(u.output(), "run gprxy login") })
	i.login()
	u.connect()
	u.Process.Signal(os.Interrupt)
	if code := u.end(); code != exitDone {
		t.Errorf("exit %d\n%s", code, u.output())
	}
	for _, want := range []string{"jdbc:postgresql://127.0.0.1:", "psql 'postgres://alice%40example.com@127.0.0.1:",
		"every user of this machine can connect"} {
		if !strings.Contains(u.output(), want) {
			t.Errorf("no %q in\n%s", want, u.output())
		}
	}
	for _, secret := range []string{all[0].Access.Reveal(), all[0].Refresh.Reveal(), "eyJ"} {
		if strings.Contains(u.output(), secret) || strings.Contains(strings.Join(u.Args, " "), secret) {
			t.Error("a token was shown")
		}
	}
}

func testTunnelDrains(t *testing.T, i *install, r *running) {
	i.t = t
	u := i.tunnel(r, "--listen", "localhost:0")
	resting, working := u.connect(), u.connect()
	done := make(chan error, 1)
	go func() { _, err := working.Exec(t.Context(), "select pg_sleep(1) /* draining */"); done <- err }()
	waitFor(t, "the query runs", func() bool {
		n := 0
		err := resting.QueryRow(t.Context(), "select count(*) from pg_stat_activity where query like '%draining%' and query not like "+
			"'%activity%'").Scan(&n)
		return err == nil && n == 1
	})
	u.Process.Signal(os.Interrupt)
	if err := <-done; err != nil {
		t.Errorf("the running query ended with %v", err)
	}
	if _, err := resting.Exec(t.Context(), "select 1"); err == nil || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the resting connection ended with %v, want 57P01", err)
	}
	if code := u.end(); code != exitDone || !strings.Contains(u.output(), "running queries may finish") {
		t.Errorf("exit %d\n%s", code, u.output())
	}
}

func testTunnelToken(t *testing.T, i *install, r *running) {
	i.t = t
	_, port, _ := net.SplitHostPort(r.addr)
	given := i.token("ci@example.com")
	home := i.home
	i.home = t.TempDir() // no login there, and no CA
	defer func() { i.home = home }()
	cmd := i.command("tunnel", "-s", "localhost", "-p", port, "-d", "postgres", "--listen", "127.0.0.1:0", "--sslrootcert",
		filepath.Join(home, ".gprxy", "tls", "root.crt"))
	cmd.Env = append(cmd.Env, "GPRXY_TOKEN="+given)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	uri := ""
	for scanner := bufio.NewScanner(stdout); uri == "" && scanner.Scan(); {
		if m := printedURL.FindStringSubmatch(scanner.Text()); m != nil {
			uri = m[1]
		}
	}
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var person string
	if err := conn.QueryRow(t.Context(), "select current_setting('gprxy.user')").Scan(&person); err != nil || person != "ci@example.com" {
		t.Errorf("logged in as %q, %v", person, err)
	}
	if entries, err := os.ReadDir(filepath.Join(i.home, ".gprxy")); err != nil || len(entries) != 1 || entries[0].Name() != "tls" {
		t.Errorf("it left %v in the home, %v; want the tunnel's own certificate and no login", entries, err)
	}
}

func TestTunnelWarnsOfAProxyThatIsNotThere(t *testing.T) {
	postgres := pooltest.New(t, pooltest.Options{}) // speaks the protocol, but has no TLS
	issuer := authtest.Start(t, authtest.Options{})
	env := fixedEnvironment(t)
	env.Now = time.Now
	env.Variables = []string{"HOME=" + env.Dir, "GPRXY_TOKEN=" + issuer.Token(nil)}
	ctx, stop := context.WithCancel(t.Context())
	out, errs := &announced{stop: stop}, &strings.Builder{}
	code := Run(ctx, []string{"tunnel", "-s", fmt.Sprintf("127.0.0.1:%d", postgres.Port), "-d", "app", "--sslmode", "verify-full", "--listen",
		"127.0.0.1:0"},
		IO{Out: out, Err: errs}, env)
	if code != exitDone || !strings.Contains(errs.String(), "offers no TLS, so the token was not sent") {
		t.Errorf("exit %d, stderr %s", code, errs)
	}
}

// announced presses Ctrl-C once the tunnel has said that it may be.
type announced struct{ stop func() }

func (a *announced) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "Ctrl-C") {
		a.stop()
	}
	return len(p), nil
}
