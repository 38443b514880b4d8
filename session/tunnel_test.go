package session_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/listener"
	"gprxy/session"
	"gprxy/session/tunnel"
)

// The tests are GUI tools on the person's machine: without password, without TLS.

// tunnelled is a tunnel that listens, and the proxy at its other end.
type tunnelled struct {
	*tunnel.Tunnel
	t       *testing.T
	log     *slog.Logger
	tls     *tls.Config // towards gprxy
	proxy   *proxy
	addr    string
	server  *listener.Server
	serving chan error
	asked   atomic.Int64 // tokens
}

// startTunnel starts a proxy that wants TLS and a tunnel to it for bob, a reader.
func startTunnel(t *testing.T, change ...func(*tunnel.Config, *options)) *tunnelled {
	t.Helper()
	files, err := listener.EnsureLocalCA(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := listener.LoadCertificate(files.CertFile, files.KeyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(files.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	config := &tunnel.Config{
		TLS:          &tls.Config{ServerName: "localhost", RootCAs: roots},
		Database:     database,
		LoginTimeout: 20 * time.Second,
		Log:          slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	u := &tunnelled{t: t, log: config.Log, tls: config.TLS}
	config.Token = func(context.Context) (auth.Secret, error) {
		u.asked.Add(1)
		return auth.Secret(token("bob@example.com", "reader")), nil
	}
	u.proxy = startProxy(t, func(o *options) {
		o.session.TLS, o.session.RequireTLS = certificate.ServerConfig(), session.TLSAlways
		for _, c := range change {
			c(config, o)
		}
	})
	if config.Address == "" {
		config.Address = u.proxy.addr
	}
	u.listen(config)
	return u
}

// listen serves the tunnel on a port of its own until the end of the test.
func (u *tunnelled) listen(config *tunnel.Config) {
	var err error
	if u.Tunnel, err = tunnel.New(*config); err != nil {
		u.t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		u.t.Fatal(err)
	}
	u.addr = socket.Addr().String()
	u.server = &listener.Server{Handle: u.ServeConn, Log: u.log}
	u.serving = make(chan error, 1)
	go func() { u.serving <- u.server.Serve(u.t.Context(), socket) }()
	u.t.Cleanup(u.stop)
}

// stop ends the tunnel as Ctrl-C does, without patience.
func (u *tunnelled) stop() {
	u.Drain()
	now, done := context.WithCancel(context.Background())
	done()
	u.server.Shutdown(now, 5*time.Second)
	if err := <-u.serving; !errors.Is(err, listener.ErrStopped) {
		u.t.Errorf("serving ended with %v", err)
	}
	u.serving <- listener.ErrStopped
}

func (u *tunnelled) dsn(parameters ...string) string {
	p := &proxy{addr: u.addr}
	return p.dsn("bob", "", parameters...)
}

// raw is a session through the tunnel, by hand.
func (u *tunnelled) raw() net.Conn {
	u.t.Helper()
	conn := dial(u.t, u.addr)
	send(u.t, conn, startupPacket(3<<16, "user", "bob", "database", database))
	if greeting := receiveUntil(u.t, conn, 'Z'); greeting[0].kind != 'R' || greeting[0].body != "\x00\x00\x00\x00" {
		u.t.Fatalf("got %v, want AuthenticationOk", greeting[0])
	}
	return conn
}

func withToken(token func(context.Context) (auth.Secret, error)) func(*tunnel.Config, *options) {
	return func(u *tunnel.Config, _ *options) { u.Token = token }
}

func TestATunnelNeedsNoPasswordAndNoTLS(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	for _, mode := range []string{"disable", "prefer"} {
		conn := connect(t, u.dsn("sslmode="+mode, "application_name=DBeaver"))
		if got := ask[string](t, conn, "select current_user || ' ' || current_setting('gprxy.user') || ' ' || "+
			"current_setting('application_name')"); got != "app_reader bob@example.com DBeaver" {
			t.Errorf("sslmode=%s: %s", mode, got)
		}
		if s := u.proxy.sessions()[0]; s.User != "bob@example.com" || s.TLS != "TLSv1.3" || s.Database != database {
			t.Errorf("recorded %+v", s)
		}
		if got := conn.PgConn().PID(); got != ask[uint32](t, conn, "select pg_backend_pid()") {
			t.Errorf("the client was told backend %d", got)
		}
		conn.Close(t.Context())
		eventually(t, "the end is recorded", 5*time.Second, func() bool { return u.proxy.sessions()[0].EndReason == "client_terminated" })
	}
}

func psqlThrough(t *testing.T, u *tunnelled, args ...string) *exec.Cmd {
	t.Helper()
	cmd := tool(t, &proxy{addr: u.addr}, "reader", "psql", append([]string{"-w"}, args...)...)
	for i, v := range cmd.Env {
		if strings.HasPrefix(v, "PGPASSWORD=") {
			cmd.Env = append(cmd.Env[:i], cmd.Env[i+1:]...)
			break
		}
	}
	return cmd
}

func TestPsqlThroughATunnel(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	if got := output(t, psqlThrough(t, u, "-At", "-c", "select count(*) from items", "-c", `\conninfo`)); !strings.HasPrefix(got, "1000\n") ||
		strings.Contains(got, "SSL") {
		t.Errorf("got %s", got)
	}
	cmd := psqlThrough(t, u, "-c", "select pg_sleep(60) /* tunnelled */")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the query runs", 10*time.Second, func() bool { return tunnelledQueries(t) == "1" })
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "canceling statement due to user request") {
		t.Errorf("ended with %v: %s", err, out.String())
	}
}

func tunnelledQueries(t *testing.T) string {
	return admin(t, "select count(*) from pg_stat_activity where query like '%tunnelled%' and query not like '%activity%' and state = "+
		"'active'")
}

// The key is gprxy's and the request reaches it inside TLS; a wrong one cancels nothing.
func TestCancelThroughATunnel(t *testing.T) {
	u := startTunnel(t)
	conn := connect(t, u.dsn())
	done := make(chan error, 1)
	go func() { _, err := conn.Exec(t.Context(), "select pg_sleep(60) /* tunnelled */"); done <- err }()
	eventually(t, "the query runs", 10*time.Second, func() bool { return tunnelledQueries(t) == "1" })
	wrong := dial(t, u.addr)
	send(t, wrong, packet(cancelCode, "\x00\x00\x00\x01nope"))
	if got := readAll(t, wrong); got != "" {
		t.Errorf("%q came on the cancel connection", got)
	}
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed, ok := errors.AsType[*pgconn.PgError](<-done); !ok || failed.Code != "57014" {
		t.Errorf("the query ended with %v", failed)
	}
	types := []string{}
	for _, r := range u.proxy.records("cancel.forwarded", "cancel.rejected") {
		types = append(types, r.Type)
	}
	if fmt.Sprint(types) != "[cancel.rejected cancel.forwarded]" {
		t.Errorf("recorded %v", types)
	}
	if got := ask[int](t, conn, "select 1"); got != 1 || u.asked.Load() != 1 {
		t.Errorf("the next statement gave %d, with %d tokens", got, u.asked.Load())
	}
}

func TestCopyThroughATunnel(t *testing.T) {
	t.Parallel()
	u := startTunnel(t, withToken(func(context.Context) (auth.Secret, error) {
		return auth.Secret(token("bob@example.com", "writer")), nil
	}))
	conn := connect(t, u.dsn())
	run(t, conn, "create temp table big (id int, v text)")
	const lines = 100_000
	var in bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&in, "%d\t%s\n", i, strings.Repeat("v", i%200))
	}
	want := md5.Sum(in.Bytes())
	size := in.Len()
	if tag, err := conn.PgConn().CopyFrom(t.Context(), &in, "copy big from stdin"); err != nil || tag.RowsAffected() != lines {
		t.Fatalf("COPY IN: %v, %v", tag, err)
	}
	out := md5.New()
	if tag, err := conn.PgConn().CopyTo(t.Context(), out, "copy (select * from big order by id) to stdout"); err != nil ||
		tag.RowsAffected() != lines {
		t.Fatalf("COPY OUT: %v, %v", tag, err)
	}
	if got := hex.EncodeToString(out.Sum(nil)); got != hex.EncodeToString(want[:]) {
		t.Errorf("%d bytes came back as others", size)
	}
}
