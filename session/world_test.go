package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/listener"
	"gprxy/pool"
	"gprxy/pool/pooltest"
	"gprxy/session"
	"gprxy/store"
)

// The tests are clients. They meet a whole proxy: a real PostgreSQL behind it, a
// real issuer beside it, a real event log, real sockets in front.

var (
	postgres *pooltest.Server
	issuer   *authtest.Issuer
)

const (
	alicePassword = "alice's own secret"
	database      = "demo"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // no fuzzer needs the servers, and each of its workers would start its own
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	ctx, done := context.WithTimeout(context.Background(), 2*time.Minute)
	defer done()
	var err error
	if postgres, err = pooltest.Start(ctx, pooltest.Options{
		Settings: map[string]string{"log_connections": "on", "wal_level": "logical"},
		HBA:      []string{"host all +md5_people 127.0.0.1/32 md5"},
	}); err != nil {
		fmt.Fprintln(os.Stderr, "starting PostgreSQL:", err)
		return 1
	}
	defer func() {
		if err := postgres.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping PostgreSQL:", err)
			code = 1
		}
	}()
	if issuer, err = authtest.New(authtest.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, "starting the issuer:", err)
		return 1
	}
	defer issuer.Close()
	if err := furnish(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "preparing PostgreSQL:", err)
		return 1
	}
	return m.Run()
}

// furnish makes the roles and tables that the tests share.
func furnish(ctx context.Context) error {
	for _, sql := range []string{
		"CREATE ROLE app_reader LOGIN PASSWORD 'reader-secret'",
		"CREATE ROLE app_writer LOGIN PASSWORD 'writer-secret'",
		"CREATE ROLE app_replica LOGIN REPLICATION PASSWORD 'replica-secret'",
		"CREATE ROLE gprxy_service LOGIN PASSWORD 'service-secret'",
		"CREATE ROLE alice LOGIN PASSWORD '" + strings.ReplaceAll(alicePassword, "'", "''") + "'",
		"CREATE ROLE locked NOLOGIN PASSWORD 'locked'",
		"CREATE ROLE md5_people NOLOGIN",
		"CREATE DATABASE demo",
		"CREATE DATABASE closed",
		"REVOKE CONNECT ON DATABASE closed FROM public",
	} {
		if err := postgres.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	conn, err := pgx.Connect(ctx, postgres.DSN(pooltest.Superuser, postgres.SuperuserPassword, database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
		INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 1000) i;
		GRANT SELECT ON items TO public;
		GRANT ALL ON items TO app_writer;
		GRANT CREATE ON SCHEMA public TO app_writer, gprxy_service;`)
	return err
}

// A proxy is a running gprxy as start puts it together.
type proxy struct {
	t       *testing.T
	addr    string
	log     string // path of the event log
	events  *store.DB
	pools   *pool.Pools
	handler *session.Handler
	server  *listener.Server

	reading    sync.Mutex // guards what follows, see reader
	lastReader *store.Reader
	readFile   os.FileInfo
}

// options change the usual proxy.
type options struct {
	pool    pool.Config
	session session.Config
	wrap    func(net.Listener) net.Listener
	trusted []netip.Prefix // load balancers
	logger  *slog.Logger
	folder  string // of the event log; "" is a temporary one
}

func startProxy(t *testing.T, change ...func(*options)) *proxy {
	t.Helper()
	o := options{
		logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		pool:   pool.Config{Host: "127.0.0.1", Port: postgres.Port, SSLMode: "disable", MaxConns: 5},
	}
	o.session = session.Config{
		Tokens:       newVerifier(t),
		Roles:        newRoles(t),
		Passwords:    session.PasswordService,
		Service:      auth.Login{User: "gprxy_service", Password: "service-secret"},
		StampSetting: true,
		LoginTimeout: 20 * time.Second,
		WaitNotice:   20 * time.Second,
		PeerTimeout:  25 * time.Second,
	}
	for _, c := range change {
		c(&o)
	}
	if o.folder == "" {
		o.folder = t.TempDir()
	}
	p := &proxy{t: t, log: filepath.Join(o.folder, "events.db")}
	p.open(o)
	return p
}

// emptyLog is an event log as it is made. To make one for each test took a tenth of their time.
var emptyLog = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "gprxy-empty-log-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "events.db")
	db, err := store.Open(context.Background(), path, store.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = db.Close(context.Background())
	}
	if err != nil {
		panic(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return file
})

func (p *proxy) open(o options) {
	t := p.t
	var err error
	o.pool.Log, o.session.Log = o.logger, o.logger
	if _, err := os.Stat(p.log); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(p.log, emptyLog(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p.events, err = store.Open(t.Context(), p.log, store.Options{Log: o.logger}); err != nil {
		t.Fatal(err)
	}
	if p.pools, err = pool.New(o.pool); err != nil {
		t.Fatal(err)
	}
	o.session.Pools, o.session.Events = p.pools, p.events
	if p.handler, err = session.NewHandler(o.session); err != nil {
		t.Fatal(err)
	}
	p.server = &listener.Server{Handle: p.handler.ServeConn, Refuse: p.handler.RefuseConn, TrustedProxies: o.trusted, Log: o.logger}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = socket.Addr().String()
	if o.wrap != nil {
		socket = o.wrap(socket)
	}
	serving := make(chan error, 1)
	go func() { serving <- p.server.Serve(t.Context(), socket) }()
	t.Cleanup(func() { p.close(serving) })
}

func (p *proxy) close(serving chan error) {
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	p.handler.Drain()
	hurry, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if err := p.server.Shutdown(hurry, 5*time.Second); err != nil {
		p.t.Logf("sessions were cut off: %v", err)
	}
	if err := <-serving; !errors.Is(err, listener.ErrStopped) {
		p.t.Errorf("serving ended with %v", err)
	}
	p.handler.Close()
	if err := p.pools.Close(ctx); err != nil {
		p.t.Errorf("closing the pools: %v", err)
	}
	if err := p.events.Close(ctx); err != nil {
		p.t.Errorf("closing the log: %v", err)
	}
	p.verify()
}

// verify checks the chain of the closed log, and that no session stayed open.
func (p *proxy) verify() {
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	r, err := store.OpenReader(ctx, p.log)
	if err != nil {
		p.t.Errorf("opening the log again: %v", err)
		return
	}
	defer r.Close()
	if _, err := r.Verify(ctx, nil); err != nil {
		p.t.Errorf("verifying the log: %v", err)
	}
	for s, err := range r.Sessions(ctx, store.SessionFilter{Active: true}) {
		p.t.Errorf("session %s is still active after the proxy ended (%v)", s.Session, err)
	}
}

func newVerifier(t *testing.T) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: issuer.URL(), Audience: issuer.Audience(), Mapped: newRoles(t).Maps})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func newRoles(t *testing.T) *auth.Roles {
	t.Helper()
	r, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{
		"READER": {User: "app_reader", Password: "reader-secret"},
		"WRITER": {User: "app_writer", Password: "writer-secret"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// token is one that the proxy accepts.
func token(person string, roles ...string) string {
	return issuer.Token(authtest.Claims{"email": person, "roles": roles})
}

// dsn is how a client reaches the proxy. More parameters come as "name=value".
func (p *proxy) dsn(user, password string, parameters ...string) string {
	query := url.Values{"sslmode": {"disable"}}
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		query.Set(name, value)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: p.addr, Path: "/" + database,
		RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}
	return u.String()
}

type ctx = context.Context

func mustParse(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	return connectConfig(t, mustParse(t, dsn))
}

func connectConfig(t *testing.T, config *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// refused connects and returns the error PostgreSQL's protocol gave.
func refused(t *testing.T, dsn string) *pgconn.PgError {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		conn.Close(t.Context())
		t.Fatal("the login succeeded")
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatalf("the login failed without an ErrorResponse: %v", err)
	}
	return answer
}

func ask[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// reader reads the log, through one connection as long as the file is the same: opening one costs far more than a question.
func (p *proxy) reader() *store.Reader {
	p.t.Helper()
	p.reading.Lock()
	defer p.reading.Unlock()
	file, err := os.Stat(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.lastReader != nil && os.SameFile(file, p.readFile) {
		return p.lastReader
	}
	r, err := store.OpenReader(p.t.Context(), p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { r.Close() })
	p.lastReader, p.readFile = r, file
	return r
}

func (p *proxy) sessions() []store.Session {
	p.t.Helper()
	var all []store.Session
	r := p.reader()
	for s, err := range r.Sessions(p.t.Context(), store.SessionFilter{}) {
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all // newest first
}

func (p *proxy) records(types ...string) []store.Record {
	p.t.Helper()
	var all []store.Record
	r := p.reader()
	for record, err := range r.Events(p.t.Context(), store.EventFilter{}) {
		if err != nil {
			p.t.Fatal(err)
		}
		if len(types) == 0 || slices.Contains(types, record.Type) {
			all = append(all, record)
		}
	}
	return all
}

// eventually polls the outside world, which tells nobody when it changes.
func eventually(t *testing.T, what string, within time.Duration, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// admin asks PostgreSQL directly, as its superuser.
func admin(t *testing.T, sql string) string {
	t.Helper()
	rows, err := postgres.Query(context.WithoutCancel(t.Context()), database, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rows) == 0 || len(rows[0]) == 0 {
		return ""
	}
	return rows[0][0]
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	return conn
}

// readAll returns what comes until the other side closes.
func readAll(t *testing.T, conn net.Conn) string {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 {
		t.Logf("reading: %v", err)
	}
	return string(got)
}

func ctxWithoutCancel(t *testing.T) ctx { return context.WithoutCancel(t.Context()) }

// elsewhere makes clients look as if they came from another machine.
func elsewhere(o *options) {
	o.wrap = func(l net.Listener) net.Listener { return farListener{l} }
}

type farListener struct{ net.Listener }

func (l farListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{conn.(*net.TCPConn)}, nil
}

type farConn struct{ *net.TCPConn }

func (farConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}
}
