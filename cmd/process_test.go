// gprxy as a process: started, stopped, killed, as an operator would.

package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/auth/authtest"
	"gprxy/cmd/settings"
	"gprxy/pool/pooltest"
	"gprxy/store"
)

// install is one gprxy with all it needs around it: a binary, PostgreSQL, an issuer, a home.
type install struct {
	t        *testing.T
	binary   string
	postgres *pooltest.Server
	issuer   *authtest.Issuer
	home     string
}

func newInstall(t *testing.T) *install {
	t.Helper()
	binary, err := gprxyBinary()
	if err != nil {
		t.Fatal(err)
	}
	i := &install{
		t:        t,
		binary:   binary,
		postgres: pooltest.New(t, pooltest.Options{}),
		issuer:   authtest.Start(t, authtest.Options{}),
		home:     t.TempDir(),
	}
	for _, name := range []string{"app_reader", "gprxy_service", "alice"} {
		if err := i.postgres.CreateUser(t.Context(), name, name+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// binaries holds what gprxyBinary builds, for as long as the tests run.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gprxy-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// gprxyBinary builds gprxy, once for all tests of the package.
var gprxyBinary = sync.OnceValues(func() (string, error) {
	name := filepath.Join(binaries, "gprxy")
	if out, err := exec.Command("go", "build", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-o", name,
		"gprxy").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building gprxy: %w\n%s", err, out)
	}
	return name, nil
})

func (i *install) log() string { return filepath.Join(i.home, ".gprxy", "events.db") }

// events are those of a type in the log.
func (i *install) events(of string) (all []store.Record) {
	i.t.Helper()
	reader, err := store.OpenReader(i.t.Context(), i.log())
	if err != nil {
		i.t.Fatal(err)
	}
	defer reader.Close()
	for e, err := range reader.Events(i.t.Context(), store.EventFilter{Type: of}) {
		if err != nil {
			i.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func (i *install) command(args ...string) *exec.Cmd {
	cmd := exec.Command(i.binary, args...)
	cmd.Dir = i.home
	cmd.Env = []string{"HOME=" + i.home, "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	return cmd
}

func (i *install) token(person string) string {
	return i.issuer.Token(authtest.Claims{"email": person, "roles": []string{"reader"}})
}

// running is a started proxy.
type running struct {
	*exec.Cmd
	t     *testing.T
	addr  string
	mu    sync.Mutex // guards lines
	lines bytes.Buffer
	ended chan error
	found chan string // the address it listens on
}

var listening = regexp.MustCompile(`address=(\S+)`)

// start runs `gprxy start` until it listens. It is killed at the end of the test.
func (i *install) start(more ...string) *running {
	i.t.Helper()
	return i.startAs(i.command("start"), more...)
}

// startAs is start by another command that leads to it.
func (i *install) startAs(cmd *exec.Cmd, more ...string) *running {
	i.t.Helper()
	r := i.launch(cmd, more...)
	r.listens()
	return r
}

// launch starts gprxy with command and waits for nothing.
func (i *install) launch(cmd *exec.Cmd, more ...string) *running {
	i.t.Helper()
	r := &running{Cmd: cmd, t: i.t, ended: make(chan error, 1), found: make(chan string, 1)}
	r.Env = append(r.Env,
		"PROXY_PORT=0", "DB_HOST=127.0.0.1", fmt.Sprintf("DB_PORT=%d", i.postgres.Port), "DB_SSLMODE=disable",
		"GPRXY_USER=gprxy_service", "GPRXY_PASS=gprxy_service-secret",
		"OIDC_ISSUER="+i.issuer.URL(), "AUDIENCE="+i.issuer.Audience(), "ROLE_MAPPING_READER=app_reader:app_reader-secret",
		"POOL_MAX_CONNS=20", "LOG_FORMAT=logfmt")
	r.Env = append(r.Env, more...)
	stderr, err := r.StderrPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		i.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			r.mu.Lock()
			fmt.Fprintln(&r.lines, scanner.Text())
			r.mu.Unlock()
			if m := listening.FindStringSubmatch(scanner.Text()); m != nil && strings.Contains(scanner.Text(), "msg=listening") {
				r.found <- m[1]
			}
		}
	})
	go func() { reading.Wait(); r.ended <- r.Wait() }()
	i.t.Cleanup(r.kill)
	return r
}

// listens returns when it does.
func (r *running) listens() {
	r.t.Helper()
	select {
	case r.addr = <-r.found:
	case err := <-r.ended:
		r.ended <- err
		r.t.Fatalf("gprxy start ended with %v\n%s", err, r.output())
	case <-time.After(time.Minute):
		r.t.Fatalf("gprxy start does not listen\n%s", r.output())
	}
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

func (r *running) kill() {
	r.Process.Kill()
	err := <-r.ended
	r.ended <- err
}

// wait returns the exit code.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return r.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		r.t.Fatalf("gprxy does not end\n%s", r.output())
		return 0
	}
}

func (r *running) connect(ctx context.Context, user, password string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	host, port, err := splitAddress(r.addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.User, config.Password, config.Database = host, uint16(n), user, password, "postgres"
	return pgx.ConnectConfig(ctx, config)
}

// splitAddress gives libpq's host and port of an address that gprxy listens on: those of a Unix socket are its folder, and what
// its name ends in.
func splitAddress(address string) (host, port string, err error) {
	if folder, port, unix := strings.Cut(address, "/"+settings.SocketPrefix); unix {
		return folder, port, nil
	}
	return net.SplitHostPort(address)
}

func (r *running) mustConnect(user, password string) *pgx.Conn {
	r.t.Helper()
	conn, err := r.connect(r.t.Context(), user, password)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.output())
	}
	r.t.Cleanup(func() { conn.Close(context.WithoutCancel(r.t.Context())) })
	return conn
}

func TestTheProcess(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	t.Run("goes on when it runs out of descriptors", i.testOutOfDescriptors)
	t.Run("goes on when its log may not grow", i.testFileSizeLimit)
	t.Run("serves, shows its sessions, ends on SIGTERM", func(t *testing.T) {
		r := i.start()
		conn := r.mustConnect("alice", "alice-secret")
		out, err := i.command("sessions", "--active", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			User           string `json:"user"`
			ServiceAccount string `json:"service_account"`
		}
		if err := json.Unmarshal(out, &s); err != nil || s.User != "alice" || s.ServiceAccount != "gprxy_service" {
			t.Errorf("sessions --json: %s, %v", out, err)
		}
		r.Process.Signal(syscall.SIGTERM)
		if code := r.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, r.output())
		}
		if _, err := conn.Exec(t.Context(), "select 1"); err == nil || !strings.Contains(err.Error(), "57P01") {
			t.Errorf("the session ended with %v, want 57P01", err)
		}
		if out, err := i.command("audit", "verify").CombinedOutput(); err != nil {
			t.Errorf("audit verify: %v\n%s", err, out)
		}
		if out, _ := i.command("sessions", "--active", "--json").Output(); len(out) != 0 {
			t.Errorf("still active: %s", out)
		}
	})
	t.Run("ends at once when signals keep coming", func(t *testing.T) {
		r := i.start()
		conn := r.mustConnect("alice", "alice-secret")
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		r.Process.Signal(syscall.SIGTERM)
		waitFor(t, "it drains", func() bool { return strings.Contains(r.output(), "shutting down") })
		waitFor(t, "it ends", func() bool { // a third ends the process as it is
			r.Process.Signal(syscall.SIGTERM)
			select {
			case err := <-r.ended:
				r.ended <- err
				return true
			default:
				return false
			}
		})
		if code := r.wait(); code == 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("records its end when two signals come at once", func(t *testing.T) {
		r := i.start()
		before := len(i.events(store.ProxyStopped{}.Type()))
		conn := r.mustConnect("alice", "alice-secret")
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		r.Process.Signal(syscall.SIGINT)
		r.Process.Signal(syscall.SIGTERM)
		if code := r.wait(); code == 0 {
			t.Errorf("exit code %d", code)
		}
		if stops := i.events(store.ProxyStopped{}.Type()); len(stops) != before+1 {
			t.Errorf("%d events proxy.stopped, want %d\n%s", len(stops), before+1, r.output())
		}
	})
	t.Run("cuts off what does not end in SHUTDOWN_TIMEOUT", func(t *testing.T) {
		r := i.start("SHUTDOWN_TIMEOUT=300ms")
		conn := r.mustConnect("alice", "alice-secret")
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		r.Process.Signal(syscall.SIGINT)
		if code := r.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, r.output())
		}
		if _, err := conn.Exec(t.Context(), "commit"); err == nil || !strings.Contains(err.Error(), "57P01") {
			t.Errorf("the session ended with %v, want 57P01", err)
		}
	})
	t.Run("replaces its connections on SIGHUP, and goes on", func(t *testing.T) {
		r := i.start()
		conn, held := r.mustConnect("alice", "alice-secret"), r.mustConnect("alice", "alice-secret")
		idle := conn.PgConn().PID()
		conn.Close(t.Context())
		waitFor(t, "the session is over", func() bool { return strings.Contains(r.output(), "client_terminated") })
		r.Process.Signal(syscall.SIGHUP)
		waitFor(t, "the idle connection is closed", func() bool {
			rows, err := i.postgres.Query(t.Context(), "postgres", fmt.Sprint("select 1 from pg_stat_activity where pid = ", idle))
			return err == nil && len(rows) == 0
		})
		if _, err := held.Exec(t.Context(), "select 1"); err != nil {
			t.Errorf("a session that was open: %v", err)
		}
		r.mustConnect("alice", "alice-secret")
		r.Process.Signal(syscall.SIGTERM)
		if code := r.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, r.output())
		}
	})
	t.Run("refuses a port in use and a log in use", func(t *testing.T) {
		r := i.start()
		defer r.kill()
		_, port, _ := net.SplitHostPort(r.addr)
		for variable, want := range map[string]string{"PROXY_PORT=" + port: "PROXY_PORT", "PROXY_PORT=0": "EVENT_LOG"} {
			second := i.command("start")
			second.Env = append(r.Env, variable)
			out, err := second.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
				t.Errorf("with %s: %v\n%s", variable, err, out)
			}
		}
	})
	t.Run("prunes what is older than RETENTION", func(t *testing.T) { pruneInTheProxy(t, i) })
	t.Run("hands out checkpoints", func(t *testing.T) { checkpointsInTheProxy(t, i) })
	t.Run("warns about superusers and an issuer that is away", func(t *testing.T) {
		i.issuer.SetMode(authtest.Down)
		defer i.issuer.SetMode(authtest.Up)
		r := i.start("ROLE_MAPPING_DBA=postgres:" + i.postgres.SuperuserPassword)
		defer r.kill()
		waitFor(t, "the warnings", func() bool {
			out := r.output()
			return strings.Contains(out, "is a superuser") && strings.Contains(out, "identity provider's keys cannot be had")
		})
		if strings.Contains(r.output(), i.postgres.SuperuserPassword) {
			t.Error("a password stands in the log")
		}
	})
	t.Run("says that PostgreSQL is too old", func(t *testing.T) {
		r := i.start(fmt.Sprintf("DB_PORT=%d", pooltest.Claiming(t, "12.22 (Debian 12.22-1)")))
		waitFor(t, "the line", func() bool {
			return strings.Contains(r.output(), "every login is refused until the database is upgraded") &&
				strings.Contains(r.output(), "PostgreSQL 12.22 is too old for gprxy, which needs 13 or later")
		})
	})
}

// waitFor polls what tells nobody when it changes.
func waitFor(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
