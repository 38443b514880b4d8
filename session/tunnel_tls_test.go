package session_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"gprxy/listener"
	"gprxy/session/tunnel"
)

// nearTLS gives a tunnel a certificate of its own; a tool that insists on TLS trusts the CA in the file root.
func nearTLS(t *testing.T) (root string, config *tls.Config, change func(*tunnel.Config, *options)) {
	t.Helper()
	files, err := listener.EnsureLocalCA(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := listener.LoadCertificate(files.CertFile, files.KeyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(files.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config = &tls.Config{ServerName: "localhost", RootCAs: roots, NextProtos: []string{"postgresql"}}
	return files.RootFile, config, func(u *tunnel.Config, _ *options) { u.NearTLS = certificate.ServerConfig() }
}

func TestATunnelForToolsThatInsistOnTLS(t *testing.T) {
	t.Parallel()
	root, config, secure := nearTLS(t)
	u := startTunnel(t, secure)
	t.Run("pgx", func(t *testing.T) {
		for _, mode := range []string{"disable", "prefer", "require", "verify-full"} {
			parameters := []string{"sslmode=" + mode}
			if mode == "verify-full" {
				parameters = append(parameters, "sslrootcert="+root)
			}
			conn := connect(t, strings.Replace(u.dsn(parameters...), "127.0.0.1", "localhost", 1))
			if got := ask[string](t, conn, "select current_setting('gprxy.user')"); got != "bob@example.com" {
				t.Errorf("sslmode=%s: served as %s", mode, got)
			}
			if _, secured := conn.PgConn().Conn().(*tls.Conn); secured != (mode != "disable") {
				t.Errorf("sslmode=%s: TLS is %v", mode, secured)
			}
			conn.Close(t.Context())
		}
	})
	t.Run("psql, verified", func(t *testing.T) {
		cmd := psqlThrough(t, u, "-At", "-c", "select count(*) from items")
		cmd.Env = append(cmd.Env, "PGSSLMODE=verify-full", "PGHOST=localhost", "PGHOSTADDR=127.0.0.1", "PGSSLROOTCERT="+root)
		if got := output(t, cmd); got != "1000\n" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("direct", func(t *testing.T) {
		secured := tls.Client(dial(t, u.addr), config)
		send(t, secured, startupPacket(3<<16, "user", "bob", "database", database))
		receiveUntil(t, secured, 'Z')
		send(t, secured, query("select 1"))
		receiveUntil(t, secured, 'Z')
	})
	t.Run("direct without ALPN", func(t *testing.T) {
		plain := config.Clone()
		plain.NextProtos = nil
		wantFatal(t, tls.Client(dial(t, u.addr), plain), "08P01")
	})
	t.Run("what comes before the handshake is not taken for what comes in it", func(t *testing.T) {
		conn := dial(t, u.addr)
		send(t, conn, sslRequest, startupPacket(3<<16, "user", "mallory"))
		if m := wantFatal(t, conn, "08P01"); !strings.Contains(m.field('M'), "unencrypted data") {
			t.Errorf("message %q", m.field('M'))
		}
	})
	t.Run("once, and after GSSAPI was declined", func(t *testing.T) {
		conn := dial(t, u.addr)
		send(t, conn, gssencRequest)
		if got := receiveByte(t, conn); got != 'N' {
			t.Fatalf("GSSAPI is answered %q", got)
		}
		send(t, conn, sslRequest)
		if got := receiveByte(t, conn); got != 'S' {
			t.Fatalf("answer %q", got)
		}
		secured := tls.Client(conn, config)
		send(t, secured, sslRequest)
		wantFatal(t, secured, "0A000")
	})
	t.Run("a client that does not trust it asks for nothing", func(t *testing.T) {
		asked := u.asked.Load()
		if err := tls.Client(dial(t, u.addr), &tls.Config{ServerName: "localhost", NextProtos: []string{"postgresql"},
			RootCAs: x509.NewCertPool()}).Handshake(); err == nil {
			t.Error("the handshake succeeded")
		}
		if got := u.asked.Load(); got != asked {
			t.Error("a token was fetched for it")
		}
	})
	t.Run("without a certificate of its own there is none", func(t *testing.T) {
		plain := startTunnel(t)
		conn := dial(t, plain.addr)
		send(t, conn, sslRequest)
		if got := receiveByte(t, conn); got != 'N' {
			t.Errorf("answer %q", got)
		}
		direct := dial(t, plain.addr)
		send(t, direct, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
		wantFatal(t, direct, "08P01")
	})
}
