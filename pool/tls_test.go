// TLS modes, wrong configurations and the environment.
package pool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// encrypted says what PostgreSQL knows about a lease's connection.
const encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

func TestSSLModesMeanWhatLibpqMeans(t *testing.T) {
	plain := pooltest.New(t, pooltest.Options{})
	if err := plain.CreateUser(t.Context(), "app", "right"); err != nil {
		t.Fatal(err)
	}
	stranger := pooltest.New(t, pooltest.Options{TLS: true}) // has another CA
	for _, row := range []struct {
		name, host, mode, rootCert string
		server                     *pooltest.Server
		user                       string
		want                       string // t or f: connected with or without TLS; else why not
	}{
		{"disable", "127.0.0.1", "disable", "", server, "app", "f"},
		{"disable where TLS is needed", "127.0.0.1", "disable", "", server, "tlsonly", "28000"},
		{"allow", "127.0.0.1", "allow", "", server, "app", "f"},
		{"allow where TLS is needed", "127.0.0.1", "allow", "", server, "tlsonly", "t"},
		{"prefer", "127.0.0.1", "prefer", "", server, "app", "t"},
		{"prefer without TLS there", "127.0.0.1", "prefer", "", plain, "app", "f"},
		{"prefer does not log in again in plain text", "127.0.0.1", "prefer", "", server, "plainonly", "28000"},
		{"require", "127.0.0.1", "require", "", server, "app", "t"},
		{"require without TLS there", "127.0.0.1", "require", "", plain, "app", "unreachable: it does not offer TLS"},
		{"require with a root is verify-ca", "127.0.0.1", "require", stranger.RootCert, server, "app",
			"unreachable: its certificate is not trusted"},
		{"verify-ca", "127.0.0.1", "verify-ca", server.RootCert, server, "app", "t"},
		{"verify-ca, other CA", "127.0.0.1", "verify-ca", stranger.RootCert, server, "app", "unreachable: its certificate is not trusted"},
		{"verify-full", "localhost", "verify-full", server.RootCert, server, "app", "t"},
		{"verify-full by address", "127.0.0.1", "verify-full", server.RootCert, server, "app", "t"},
		{"verify-full, other CA", "localhost", "verify-full", stranger.RootCert, server, "app", "unreachable: its certificate is not trusted"},
		{"a Unix socket", server.SocketDir, "require", "", server, "app", "f"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := pool.Config{Host: row.host, Port: row.server.Port, SSLMode: row.mode, SSLRootCert: row.rootCert}
			p := newPools(t, c)
			r := request(user(row.user))
			l, err := p.Acquire(t.Context(), r)
			login := p.CheckLogin(t.Context(), r)
			switch len(row.want) {
			case 1:
				if err != nil || login != nil {
					t.Fatalf("refused: %v, %v", err, login)
				}
				t.Cleanup(l.Discard)
				if got := ask(t, l, encrypted); got != row.want {
					t.Errorf("TLS: %s", got)
				}
				checkKind(t, l, row.want == "t", filepath.IsAbs(row.host))
				release(t, l)
			case 5:
				wantCode(t, err, row.want)
				wantCode(t, login, row.want)
			default:
				for _, err := range []error{err, login} {
					if err == nil || "PostgreSQL is "+row.want != err.Error() {
						t.Errorf("got %v", err)
					}
				}
			}
		})
	}
}

// checkKind requires a type that the relay can use without a wrapper in between.
func checkKind(t *testing.T, l *pool.Lease, encrypted, unix bool) {
	t.Helper()
	switch l.Conn().(type) {
	case *tls.Conn:
		if encrypted {
			return
		}
	case *net.UnixConn:
		if unix {
			return
		}
	case *net.TCPConn:
		if !encrypted && !unix {
			return
		}
	}
	t.Errorf("the connection is a %T", l.Conn())
}

func TestNameOfTheCertificateCountsForVerifyFullOnly(t *testing.T) {
	// The server listens on 127.0.0.1 only, so a forwarder gives it an address that is not in its certificate.
	forward, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	newForwarder(t, forward, server.Addr())
	port := uint16(forward.Addr().(*net.TCPAddr).Port)
	for mode, trusted := range map[string]bool{"verify-ca": true, "verify-full": false} {
		p := newPools(t, pool.Config{Host: "127.0.0.2", Port: port, SSLMode: mode, SSLRootCert: server.RootCert})
		if err := p.CheckLogin(t.Context(), request()); (err == nil) != trusted {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestWrongConfigurationsAreRefusedBeforeAnyConnection(t *testing.T) {
	for name, c := range map[string]pool.Config{
		"no host":                        {},
		"two hosts":                      {Host: "a,b"},
		"unknown mode":                   {Host: "h", SSLMode: "always"},
		"verify without root":            {Host: "h", SSLMode: "verify-full"},
		"root is missing":                {Host: "h", SSLMode: "verify-ca", SSLRootCert: "/nowhere"},
		"root is no certificate":         {Host: "h", SSLMode: "verify-ca", SSLRootCert: "tls_test.go"},
		"system roots, but not the name": {Host: "h", SSLMode: "verify-ca", SSLRootCert: "system"},
		"negative limit":                 {Host: "h", MaxConns: -1},
		"negative time":                  {Host: "h", MaxIdleTime: -1},
	} {
		if _, err := pool.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The server's own way to steal a password from "prefer": agree to TLS, then fail the login.
func TestPreferSendsNothingInPlainTextAfterARefusedLogin(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan []byte, 8)
	f := newForwarder(t, l, server.Addr())
	f.firstBytes = seen
	p := newPools(t, pool.Config{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port), SSLMode: "prefer"})
	wantCode(t, p.CheckLogin(t.Context(), request(password("wrong"))), "28P01")
	wantCode(t, p.CheckLogin(t.Context(), request(user("plainonly"))), "28000")
	if len(seen) != 2 {
		t.Errorf("%d connections for two logins", len(seen))
	}
	for range len(seen) {
		if first := <-seen; !slices.Equal(first[:8], []byte{0, 0, 0, 8, 4, 210, 22, 47}) {
			t.Errorf("a connection began with %x", first)
		}
	}
}

// The server's own way to get at a password twice under "allow": ask for it in plain text, and refuse. Only a refusal
// that comes before is pg_hba.conf's, and worth another try with TLS.
func TestAllowDoesNotLogInAgainOnceAPasswordWasAskedFor(t *testing.T) {
	if err := server.CreateUser(t.Context(), "barred", "right"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Exec(context.WithoutCancel(t.Context()), "DROP ROLE barred"); err != nil {
			t.Error(err)
		}
	})
	if err := server.Exec(t.Context(), "ALTER ROLE barred NOLOGIN"); err != nil { // PostgreSQL says so after the password
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newForwarder(t, l, server.Addr())
	p := newPools(t, pool.Config{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port), SSLMode: "allow"})
	for _, row := range []struct {
		user  string
		tries int32
	}{{"barred", 1}, {"tlsonly", 2}} {
		before := f.opened.Load()
		login := p.CheckLogin(t.Context(), request(user(row.user)))
		if got := f.opened.Load() - before; got != row.tries {
			t.Errorf("%s: %d connections to check a login, want %d (%v)", row.user, got, row.tries, login)
		}
		before = f.opened.Load()
		lease, err := p.Acquire(t.Context(), request(user(row.user)))
		if got := f.opened.Load() - before; got != row.tries {
			t.Errorf("%s: %d connections for a session, want %d (%v)", row.user, got, row.tries, err)
		}
		if row.user == "barred" {
			wantCode(t, login, "28000")
			wantCode(t, err, "28000")
		}
		if err == nil {
			lease.Discard()
		}
	}
}

// PostgreSQL binds SCRAM to the TLS connection where the client can: SCRAM-SHA-256-PLUS.
func TestSCRAMIsBoundToTheTLSConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(filepath.Dir(server.RootCert), "data", "server.crt"),
		filepath.Join(filepath.Dir(server.RootCert), "data", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	mechanism := make(chan string, 1)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		mechanism <- offerSCRAM(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}()
	p := newPools(t, pool.Config{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port), SSLMode: "require"})
	if err := p.CheckLogin(t.Context(), request()); err == nil {
		t.Error("a server that hung up accepted the login")
	}
	if got := <-mechanism; got != "SCRAM-SHA-256-PLUS" {
		t.Errorf("the login chose %q", got)
	}
	l.Close()
	<-accepted
}

// offerSCRAM plays a server up to the client's choice of mechanism, which it returns.
func offerSCRAM(l net.Listener, config *tls.Config) string {
	conn, err := l.Accept()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
		return err.Error()
	}
	conn.Write([]byte{'S'})
	secure := tls.Server(conn, config)
	buffer := make([]byte, 4096)
	if _, err := secure.Read(buffer); err != nil {
		return err.Error()
	}
	body := append([]byte{0, 0, 0, 10}, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"...)
	secure.Write(append([]byte{'R', 0, 0, 0, byte(4 + len(body))}, body...))
	n, err := secure.Read(buffer)
	if err != nil {
		return err.Error()
	}
	choice := buffer[5:n]
	return string(choice[:max(slices.Index(choice, 0), 0)])
}

func TestTheEnvironmentDoesNotReachTheConnection(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "postgres", "PGPASSWORD": server.SuperuserPassword,
		"PGDATABASE": "second", "PGAPPNAME": "leaked", "PGOPTIONS": "-c work_mem=7MB", "PGTZ": "Asia/Tokyo",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere", "PGSSLCERT": "/nowhere", "PGSSLKEY": "/nowhere",
		"PGSSLCERTMODE": "nonsense", "PGTARGETSESSIONATTRS": "nonsense", "PGSERVICE": "unknown",
		"PGSERVICEFILE": "/nowhere", "PGCONNECT_TIMEOUT": "nonsense", "PGREQUIREAUTH": "none",
		"PGCHANNELBINDING": "nonsense", "PGMAXPROTOCOLVERSION": "nonsense", "PGMINPROTOCOLVERSION": "nonsense",
		"PGSSLNEGOTIATION": "direct", "PGPASSFILE": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	p := newPools(t, config())
	if err := p.CheckLogin(t.Context(), request(password(""))); err == nil {
		t.Error("a password from the environment was used")
	}
	l := acquire(t, p, request())
	for sql, want := range map[string]string{
		"SELECT current_user": "app", "SELECT current_database()": "postgres", "SHOW application_name": "",
		"SHOW work_mem": "4MB", "SHOW TimeZone": "UTC",
	} {
		if got := ask(t, l, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if _, err := p.Acquire(t.Context(), request(user("nobody"))); errors.Is(err, pool.ErrBadRequest) || err == nil {
		t.Errorf("got %v", err)
	}
}
