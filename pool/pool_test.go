// What the tests share: one real server, and a session that speaks on a lease.
package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

var server *pooltest.Server

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	server, err = pooltest.Start(ctx, pooltest.Options{
		TLS:      true,
		UserAuth: map[string]string{"old": "md5", "clear": "password", "open": "trust"},
		HBA:      []string{"hostnossl all tlsonly all reject", "hostssl all plainonly all reject"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	if err := createRoles(ctx, server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stopMajors()
	return m.Run()
}

// createRoles makes the roles and databases of the tests. app is an ordinary account with a schema of its own.
func createRoles(ctx context.Context, s *pooltest.Server) error {
	for _, name := range []string{"app", "other", "old", "clear", "open", "tlsonly", "plainonly", "jürgen", "replica", "careful", "renamed"} {
		if err := s.CreateUser(ctx, name, "right"); err != nil {
			return err
		}
	}
	for _, sql := range []string{
		"CREATE DATABASE second", "CREATE DATABASE fdw", "GRANT other TO app", "ALTER ROLE replica REPLICATION",
		"CREATE SCHEMA app AUTHORIZATION app",
		"ALTER ROLE careful SET default_transaction_isolation TO serializable",
		"ALTER ROLE careful SET default_transaction_read_only TO on",
		"ALTER ROLE careful SET default_transaction_deferrable TO on",
	} {
		if err := s.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// config is for the shared server.
func config(changes ...func(*pool.Config)) pool.Config {
	c := pool.Config{Host: "127.0.0.1", Port: server.Port, SSLMode: "disable"}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func maxConns(n int) func(*pool.Config) { return func(c *pool.Config) { c.MaxConns = n } }
func maxTotal(n int) func(*pool.Config) { return func(c *pool.Config) { c.MaxTotal = n } }
func acquireTimeout(d time.Duration) func(*pool.Config) {
	return func(c *pool.Config) { c.AcquireTimeout = d }
}

// newPools returns pools that are closed, and closed in time, at the end of the test.
func newPools(t *testing.T, c pool.Config) *pool.Pools {
	t.Helper()
	p, err := pool.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// request is for the account app and the person ann.
func request(changes ...func(*pool.Request)) pool.Request {
	r := pool.Request{Key: pool.Key{User: "app", Database: "postgres"}, Password: "right", Person: "ann"}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func user(name string) func(*pool.Request)     { return func(r *pool.Request) { r.User = name } }
func database(name string) func(*pool.Request) { return func(r *pool.Request) { r.Database = name } }
func person(name string) func(*pool.Request)   { return func(r *pool.Request) { r.Person = name } }
func password(p string) func(*pool.Request)    { return func(r *pool.Request) { r.Password = p } }
func parameter(name, value string) func(*pool.Request) {
	return func(r *pool.Request) { r.Parameters = append(r.Parameters, pool.Parameter{Name: name, Value: value}) }
}
func parameters(pairs ...string) func(*pool.Request) {
	return func(r *pool.Request) {
		for i := 0; i < len(pairs); i += 2 {
			parameter(pairs[i], pairs[i+1])(r)
		}
	}
}
func setting(name, value string) func(*pool.Request) {
	return func(r *pool.Request) { r.Settings = append(r.Settings, pool.Setting{Name: name, Value: value}) }
}

func acquire(t *testing.T, p *pool.Pools, r pool.Request) *pool.Lease {
	t.Helper()
	l, err := p.Acquire(t.Context(), r)
	if err != nil {
		t.Fatalf("acquiring a backend: %v", err)
	}
	t.Cleanup(l.Discard)
	return l
}

func release(t *testing.T, l *pool.Lease) {
	t.Helper()
	if err := l.Release(t.Context(), false); err != nil {
		t.Fatalf("releasing the backend: %v", err)
	}
}

// send starts statements without waiting for the answer.
func send(t *testing.T, l *pool.Lease, sql string) {
	t.Helper()
	message, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Conn().Write(message); err != nil {
		t.Fatalf("sending %q: %v", sql, err)
	}
}

// try runs statements as the session on a lease and returns the last rows and PostgreSQL's error.
func try(t *testing.T, l *pool.Lease, sql string) ([][]string, error) {
	t.Helper()
	send(t, l, sql)
	return receive(t, l)
}

// receive reads answers until ReadyForQuery, as the relay would.
func receive(t *testing.T, l *pool.Lease) (rows [][]string, failed error) {
	t.Helper()
	l.Conn().SetReadDeadline(time.Now().Add(20 * time.Second))
	defer l.Conn().SetReadDeadline(time.Time{})
	frontend := pgproto3.NewFrontend(l.Conn(), l.Conn())
	for {
		m, err := frontend.Receive()
		if err != nil {
			t.Fatalf("reading an answer: %v", err)
		}
		switch m := m.(type) {
		case *pgproto3.RowDescription:
			rows = nil
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ParameterStatus:
			l.SetParameter(m.Name, m.Value)
		case *pgproto3.ReadyForQuery:
			return rows, failed
		}
	}
}

// ask runs statements and returns the first value of the last row.
func ask(t *testing.T, l *pool.Lease, sql string) string {
	t.Helper()
	rows, err := try(t, l, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rows) == 0 || len(rows[len(rows)-1]) == 0 {
		return ""
	}
	return rows[len(rows)-1][0]
}

// version is the major version of a server.
func version(t *testing.T, s *pooltest.Server) int {
	t.Helper()
	n, err := strconv.Atoi(admin(t, s, "postgres", "SELECT current_setting('server_version_num')::int / 10000"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// admin asks the server as superuser, behind the pools' back.
func admin(t *testing.T, s *pooltest.Server, db, sql string) string {
	t.Helper()
	rows, err := s.Query(context.WithoutCancel(t.Context()), db, sql)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		return ""
	}
	return rows[0][0]
}

// eventually waits until check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !check() {
		select {
		case <-limit:
			t.Fatalf("not within the limit: %s", what)
		case <-again.C:
		}
	}
}

// codeOf is the SQLSTATE of PostgreSQL's own refusal, "" for anything else.
func codeOf(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

// wantCode requires PostgreSQL's own refusal.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if codeOf(err) != code {
		t.Errorf("got %v (%T), want PostgreSQL's %s", err, err, code)
	}
}

func stat(p *pool.Pools, key pool.Key) pool.Stat {
	for _, s := range p.Stats() {
		if s.Key == key {
			return s
		}
	}
	return pool.Stat{Key: key}
}
