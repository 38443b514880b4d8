package session_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/session/tunnel"
)

func TestMalformedStartupAtATunnel(t *testing.T) {
	t.Parallel()
	u := startTunnel(t)
	tests := []struct{ name, sent, code string }{
		{"a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "08P01"},
		{"length 0", "\x00\x00\x00\x00", "08P01"},
		{"length 2 GB", "\x80\x00\x00\x00xxxx", "08P01"},
		{"no terminator", packet(3<<16, "user\x00bob\x00"), "08P01"},
		{"no user", packet(3<<16, "database\x00demo\x00\x00"), "28000"},
		{"protocol 4", startupPacket(4<<16, "user", "bob"), "0A000"},
		{"replication", startupPacket(3<<16, "user", "bob", "replication", "true"), "0A000"},
		{"a cancel request without a key", packet(cancelCode, "\x00\x00\x00\x01"), "08P01"},
		{"a cancel request too long", packet(cancelCode, strings.Repeat("x", 261)), "08P01"},
		{"text after an SSLRequest", sslRequest + startupPacket(3<<16, "user", "bob"), "08P01"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := dial(t, u.addr)
			send(t, conn, test.sent)
			wantFatal(t, conn, test.code)
		})
	}
	t.Run("protocol 2 is told in its own form", func(t *testing.T) {
		conn := dial(t, u.addr)
		send(t, conn, startupPacket(2<<16, "user", "bob"))
		if got := readAll(t, conn); !strings.HasPrefix(got, "EFATAL:  unsupported frontend protocol 2.0") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("both upgrades are declined, once each", func(t *testing.T) {
		conn := dial(t, u.addr)
		for _, request := range []string{gssencRequest, sslRequest} {
			send(t, conn, request)
			if got := receiveByte(t, conn); got != 'N' {
				t.Fatalf("answer %q, want N", got)
			}
		}
		send(t, conn, sslRequest)
		wantFatal(t, conn, "0A000")
	})
	t.Run("newer protocols are gprxy's to negotiate", func(t *testing.T) {
		conn := dial(t, u.addr)
		send(t, conn, startupPacket(3<<16|9999, "user", "bob", "_pq_.future", "on"))
		greeting := receiveUntil(t, conn, 'Z')
		if greeting[0].kind != 'v' || len(keyOf(greeting)) != 4+32 {
			t.Errorf("got %v", greeting)
		}
	})
}

// far plays a server that is not gprxy; it answers what it reads.
func far(t *testing.T, play func(conn net.Conn)) *tunnelled {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan struct{})
	go func() {
		defer close(played)
		conn, err := socket.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		play(conn)
	}()
	t.Cleanup(func() { socket.Close(); <-played })
	u := &tunnelled{t: t, log: slog.New(slog.DiscardHandler)}
	u.listen(&tunnel.Config{
		Address:      socket.Addr().String(),
		Token:        func(context.Context) (auth.Secret, error) { return "the.token.itself", nil },
		LoginTimeout: 10 * time.Second,
		Log:          u.log,
	})
	return u
}

func authentication(method byte, more string) string {
	return message('R', "\x00\x00\x00"+string(method)+more)
}

func TestAServerThatIsNotGprxy(t *testing.T) {
	t.Parallel()
	const secret = "p\x00\x00\x00\x15the.token.itself\x00"
	tests := []struct{ name, sends, code string }{
		{"asks for SCRAM", authentication(10, "SCRAM-SHA-256\x00\x00"), "28000"},
		{"asks for MD5", authentication(5, "salt"), "28000"},
		{"asks twice", authentication(3, "") + authentication(3, ""), "28000"},
		{"asks for nothing whole", message('R', "\x00"), "08P01"},
		{"sends a message of 4 GB", "R\xff\xff\xff\xff", "08P01"},
		{"sends a negative length", "R\x00\x00\x00\x00", "08P01"},
		{"sends rows before the login", message('D', "\x00\x00"), "08P01"},
		{"closes", "", "08006"},
		{"closes after the greeting began", authentication(0, "") + message('S', "a\x00b\x00"), "08006"},
		{"never ends its greeting", authentication(0, "") + strings.Repeat(message('S', strings.Repeat("x", 60_000)), 5), "08P01"},
		{"is ready without a status", authentication(0, "") + message('Z', ""), "08P01"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			received := make(chan string, 1)
			u := far(t, func(conn net.Conn) {
				io.CopyN(io.Discard, conn, int64(len(startupPacket(3<<16, "user", "bob", "database", database))))
				io.WriteString(conn, test.sends)
				conn.(*net.TCPConn).CloseWrite()
				rest, _ := io.ReadAll(conn)
				received <- string(rest)
			})
			conn := dial(t, u.addr)
			send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
			if m := wantFatal(t, conn, test.code); m.field('H') == "" {
				t.Errorf("%v has no hint", m)
			}
			if got := <-received; got != "" && (got != secret || test.name != "asks twice") {
				t.Errorf("it was sent %q", got)
			}
		})
	}
}

// RFC 7628, as a gprxy with CLIENT_AUTH=oauth asks.
func TestATunnelAnswersOAUTHBEARER(t *testing.T) {
	t.Parallel()
	const initial = "OAUTHBEARER\x00\x00\x00\x00\x22n,,\x01auth=Bearer the.token.itself\x01\x01"
	for _, accept := range []bool{true, false} {
		u := far(t, func(conn net.Conn) {
			io.CopyN(io.Discard, conn, int64(len(startupPacket(3<<16, "user", "bob", "database", database))))
			io.WriteString(conn, authentication(10, "OAUTHBEARER\x00\x00"))
			if m := receive(t, conn); m.kind != 'p' || m.body != initial {
				t.Errorf("got %v", m)
			}
			if accept {
				io.WriteString(conn, authentication(0, "")+message('Z', "I"))
				io.Copy(io.Discard, conn)
				return
			}
			io.WriteString(conn, authentication(11, `{"status":"invalid_token"}`))
			if m := receive(t, conn); m.kind != 'p' || m.body != "\x01" {
				t.Errorf("got %v, want the dummy answer", m)
			}
			io.WriteString(conn, message('E', "SFATAL\x00VFATAL\x00C28000\x00Mno\x00\x00"))
		})
		conn := dial(t, u.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		if accept {
			receiveUntil(t, conn, 'Z')
			send(t, conn, message('X', ""))
			readAll(t, conn)
			continue
		}
		wantFatal(t, conn, "28000")
	}
}

// An ErrorResponse in place of the answer about TLS is nobody's word (CVE-2024-10977).
func TestNothingIsBelievedBeforeTLS(t *testing.T) {
	t.Parallel()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	go func() {
		if conn, err := socket.Accept(); err == nil {
			io.WriteString(conn, message('E', "SFATAL\x00VFATAL\x00C28P01\x00Msend your password to evil.example.com\x00\x00"))
			conn.Close()
		}
	}()
	u := startTunnel(t, func(c *tunnel.Config, _ *options) { c.Address = socket.Addr().String() })
	if got := refused(t, u.dsn()); got.Code != "08001" || strings.Contains(got.Message, "evil") {
		t.Errorf("got %+v", got)
	}
}
