package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gprxy/auth/authtest"
	"gprxy/listener"
	"gprxy/pool/pooltest"
)

// A lab is PostgreSQL with data, and the ways to it.
type lab struct {
	plan
	dir      string
	postgres *pooltest.Server
	issuer   *authtest.Issuer
	ca       listener.LocalCA

	direct, bouncer, gprxy target
	processes              []*exec.Cmd
}

// A target is one way to PostgreSQL.
type target struct {
	name string
	port int
	pid  int // of the proxy; 0 for PostgreSQL itself
}

const (
	benchUser     = "bench"
	benchPassword = "bench-password"
	maxSessions   = 300
)

func openLab(ctx context.Context, p plan) (l *lab, err error) {
	l = &lab{plan: p}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.dir, err = os.MkdirTemp("", "gprxy-bench-"); err != nil {
		return l, err
	}
	if err := os.Chmod(l.dir, 0o755); err != nil { // PgBouncer runs as another user
		return l, err
	}
	if l.ca, err = listener.EnsureLocalCA(filepath.Join(l.dir, "tls"), "localhost"); err != nil {
		return l, err
	}
	if l.issuer, err = authtest.New(authtest.Options{}); err != nil {
		return l, err
	}
	say("starting PostgreSQL")
	l.postgres, err = pooltest.Start(ctx, pooltest.Options{Settings: map[string]string{
		"max_connections": strconv.Itoa(2*maxSessions + 50), "shared_buffers": "256MB",
	}})
	if err != nil {
		return l, err
	}
	l.direct = target{"direct", int(l.postgres.Port), 0}
	if err := l.furnish(ctx); err != nil {
		return l, err
	}
	if l.bouncer, err = l.startBouncer(ctx); err != nil {
		return l, err
	}
	l.gprxy, err = l.startGprxy(ctx)
	return l, err
}

func (l *lab) furnish(ctx context.Context) error {
	if err := l.postgres.CreateUser(ctx, benchUser, benchPassword); err != nil {
		return err
	}
	if err := l.postgres.Exec(ctx, "GRANT CREATE ON SCHEMA public TO "+benchUser); err != nil {
		return err
	}
	_, err := l.tool(ctx, "pgbench", l.direct, "-i", "-q", "-s", "10", "postgres")
	return err
}

// startGprxy builds and starts the real thing.
func (l *lab) startGprxy(ctx context.Context) (target, error) {
	say("building and starting gprxy")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.binary(), "gprxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return target{}, fmt.Errorf("build gprxy: %w\n%s", err, out)
	}
	return l.runGprxy()
}

func (l *lab) binary() string { return filepath.Join(l.dir, "gprxy") }

// runGprxy starts one more gprxy; env comes after the lab's own settings.
func (l *lab) runGprxy(env ...string) (target, error) {
	cmd := exec.Command(l.binary(), "start")
	cmd.Dir = l.dir
	cmd.Env = append([]string{
		"HOME=" + l.dir, "PROXY_PORT=0", "PROXY_CERT=" + l.ca.CertFile, "PROXY_KEY=" + l.ca.KeyFile,
		"DB_HOST=127.0.0.1", fmt.Sprintf("DB_PORT=%d", l.postgres.Port), "DB_SSLMODE=disable",
		"GPRXY_USER=" + benchUser, "GPRXY_PASS=" + benchPassword, "LOG_FORMAT=logfmt",
		"OIDC_ISSUER=" + l.issuer.URL(), "AUDIENCE=" + l.issuer.Audience(),
		"ROLE_MAPPING_READER=" + benchUser + ":" + benchPassword,
		fmt.Sprintf("POOL_MAX_CONNS=%d", maxSessions), fmt.Sprintf("POOL_MAX_TOTAL=%d", maxSessions),
	}, env...)
	address, err := l.start(cmd, regexp.MustCompile(`msg=listening address=\S*:(\d+)`))
	if err != nil {
		return target{}, err
	}
	port, err := strconv.Atoi(address)
	return target{"gprxy", port, cmd.Process.Pid}, err
}

// startBouncer runs PgBouncer the way it is compared: session pooling, TLS
// offered, one process.
func (l *lab) startBouncer(ctx context.Context) (target, error) {
	binary, err := findBouncer(ctx)
	if err != nil {
		return target{}, err
	}
	port, err := freePort()
	if err != nil {
		return target{}, err
	}
	users, config := filepath.Join(l.dir, "users.txt"), filepath.Join(l.dir, "pgbouncer.ini")
	key := filepath.Join(l.dir, "bouncer.key")
	content, err := os.ReadFile(l.ca.KeyFile)
	if err != nil {
		return target{}, err
	}
	ini := fmt.Sprintf(`[databases]
postgres = host=127.0.0.1 port=%d dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = session
default_pool_size = %d
max_client_conn = 1000
server_reset_query = DISCARD ALL
ignore_startup_parameters = extra_float_digits
client_tls_sslmode = allow
client_tls_cert_file = %s
client_tls_key_file = %s
log_connections = 0
log_disconnections = 0
`, l.postgres.Port, port, users, maxSessions, l.ca.CertFile, key)
	for name, text := range map[string]string{
		users: fmt.Sprintf("%q %q\n", benchUser, benchPassword), config: ini, key: string(content),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return target{}, err
		}
	}
	if err := os.Chmod(filepath.Dir(l.ca.CertFile), 0o755); err != nil {
		return target{}, err
	}
	args := []string{config}
	if os.Getuid() == 0 { // it refuses to run as root
		args = append([]string{"-u", "postgres"}, args...)
	}
	cmd := exec.Command(binary, args...)
	if _, err := l.start(cmd, regexp.MustCompile(`(process up)`)); err != nil {
		return target{}, err
	}
	return target{"PgBouncer", port, cmd.Process.Pid}, nil
}

// findBouncer installs PgBouncer if it is not there.
func findBouncer(ctx context.Context) (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	install := []string{"apt-get", "install", "-y", "-qq", "--no-install-recommends", "pgbouncer"}
	if os.Getuid() != 0 {
		install = append([]string{"sudo"}, install...)
	}
	// Without this the package would start a service of its own.
	say("installing PgBouncer: " + strings.Join(install, " "))
	cmd := exec.CommandContext(ctx, install[0], install[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install PgBouncer, or put pgbouncer into PATH: %w\n%s", err, out)
	}
	return exec.LookPath("/usr/sbin/pgbouncer")
}

// start runs cmd until a line of its log matches ready, and returns what the
// pattern's group found.
func (l *lab) start(cmd *exec.Cmd, ready *regexp.Regexp) (string, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	l.processes = append(l.processes, cmd)
	found := make(chan string, 1)
	go func() { // ends with the process
		defer close(found)
		told := false
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			if m := ready.FindStringSubmatch(scanner.Text()); m != nil && !told {
				found <- m[1]
				told = true
			} else if !told || strings.Contains(scanner.Text(), "level=error") {
				fmt.Fprintln(os.Stderr, scanner.Text())
			}
		}
	}()
	select {
	case text, ok := <-found:
		if !ok {
			return "", errors.New(filepath.Base(cmd.Path) + " ended before it was ready")
		}
		return text, nil
	case <-time.After(20 * time.Second):
		return "", errors.New(filepath.Base(cmd.Path) + " is not ready after 20 s")
	}
}

// stop ends one of the lab's proxies.
func (l *lab) stop(t target) {
	l.processes = slices.DeleteFunc(l.processes, func(cmd *exec.Cmd) bool {
		if cmd.Process.Pid != t.pid {
			return false
		}
		kill(cmd)
		return true
	})
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

func (l *lab) close() {
	for _, cmd := range l.processes {
		kill(cmd)
	}
	if l.postgres != nil {
		if err := l.postgres.Stop(); err != nil {
			say("stopping PostgreSQL: " + err.Error())
		}
	}
	if l.issuer != nil {
		l.issuer.Close()
	}
	if l.dir != "" {
		os.RemoveAll(l.dir)
	}
}

// tool runs one of PostgreSQL's programs against a target.
func (l *lab) tool(ctx context.Context, name string, to target, args ...string) (string, error) {
	return l.toolAs(ctx, name, to, benchPassword, nil, args...)
}

func (l *lab) toolAs(ctx context.Context, name string, to target, password string, env []string, args ...string) (string, error) {
	out, err := l.command(ctx, name, to, password, env, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s through %s: %w\n%s", name, to.name, err, out)
	}
	return string(out), nil
}

func (l *lab) command(ctx context.Context, name string, to target, password string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.postgres.BinDir(), name), args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", to.port),
		"PGUSER=" + benchUser, "PGPASSWORD=" + password, "PGDATABASE=postgres", "PGSSLMODE=disable",
	}, env...)
	return cmd
}

func (l *lab) machine() string {
	return fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.Version())
}

func freePort() (int, error) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer probe.Close()
	return probe.Addr().(*net.TCPAddr).Port, nil
}

func say(text string) { fmt.Fprintln(os.Stderr, "bench: "+text) }
