package session_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/listener"
	"gprxy/session"
)

// Raw bytes, as a client writes them.

const (
	sslRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssencRequest = "\x00\x00\x00\x08\x04\xd2\x16\x30"
)

func packet(code uint32, body string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return string(binary.BigEndian.AppendUint32(head, code)) + body
}

func startupPacket(version uint32, pairs ...string) string {
	return packet(version, strings.Join(pairs, "\x00")+"\x00\x00")
}

func message(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

func query(sql string) string { return message('Q', sql+"\x00") }

// received is one message from the proxy.
type received struct {
	kind byte
	body string
}

func (m received) String() string { return fmt.Sprintf("%c%q", m.kind, m.body) }

// field is one field of an ErrorResponse.
func (m received) field(code byte) string {
	for f := range strings.SplitSeq(m.body, "\x00") {
		if len(f) > 0 && f[0] == code {
			return f[1:]
		}
	}
	return ""
}

func receive(t *testing.T, conn io.Reader) received {
	t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		t.Fatalf("reading a message: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatalf("reading a message: %v", err)
	}
	return received{head[0], string(body)}
}

// receiveUntil returns the messages up to the first of the given type.
func receiveUntil(t *testing.T, conn io.Reader, kind byte) []received {
	t.Helper()
	for all := []received{}; ; {
		m := receive(t, conn)
		if all = append(all, m); m.kind == kind {
			return all
		}
	}
}

func send(t *testing.T, conn io.Writer, parts ...string) {
	t.Helper()
	if _, err := io.WriteString(conn, strings.Join(parts, "")); err != nil {
		t.Fatalf("sending: %v", err)
	}
}

// wantFatal reads an ErrorResponse and then the end of the stream.
func wantFatal(t *testing.T, conn net.Conn, code string) received {
	t.Helper()
	m := receive(t, conn)
	if m.kind != 'E' || m.field('C') != code || m.field('S') != "FATAL" || m.field('V') != "FATAL" || m.field('M') == "" {
		t.Fatalf("got %v, want FATAL %s", m, code)
	}
	if rest := readAll(t, conn); rest != "" {
		t.Errorf("%q follows the FATAL", rest)
	}
	return m
}

// login goes through a whole login by hand.
func login(t *testing.T, conn net.Conn, user, password string, parameters ...string) []received {
	t.Helper()
	return loginWith(t, conn, 3<<16, user, password, parameters...)
}

// loginWith is login with another version of the protocol.
func loginWith(t *testing.T, conn net.Conn, version uint32, user, password string, parameters ...string) []received {
	t.Helper()
	send(t, conn, startupPacket(version, append([]string{"user", user, "database", database}, parameters...)...))
	if m := receive(t, conn); m.kind != 'R' || m.body != "\x00\x00\x00\x03" {
		t.Fatalf("got %v, want the question for a password", m)
	}
	send(t, conn, message('p', password+"\x00"))
	greeting := receiveUntil(t, conn, 'Z')
	if greeting[0].kind != 'R' || greeting[0].body != "\x00\x00\x00\x00" {
		t.Fatalf("got %v, want AuthenticationOk", greeting[0])
	}
	return greeting
}

func rawSession(t *testing.T, p *proxy, roles ...string) net.Conn {
	t.Helper()
	conn := dial(t, p.addr)
	login(t, conn, "bob", token("bob@example.com", roles...))
	return conn
}

func TestMalformedStartup(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	user := "user\x00bob\x00"
	tests := []struct{ name, sent, code string }{ // no code: PostgreSQL closes without a word
		{"a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"length 0", "\x00\x00\x00\x00", ""},
		{"length 7", "\x00\x00\x00\x07xxx", ""},
		{"length 10,005", "\x00\x00\x27\x15" + strings.Repeat("x", 20), ""},
		{"length 2 GB", "\x80\x00\x00\x00xxxx", ""},
		{"length 4 GB", "\xff\xff\xff\xffxxxx", ""},
		{"no terminator", packet(3<<16, user), "08P01"},
		{"bytes after the terminator", packet(3<<16, user+"\x00more"), "08P01"},
		{"a name without a value", packet(3<<16, user+"database\x00"), "08P01"},
		{"a NUL within a value", packet(3<<16, "user\x00b\x00ob\x00\x00"), "08P01"},
		{"no user", packet(3<<16, "database\x00demo\x00\x00"), "28000"},
		{"an empty user", packet(3<<16, "user\x00\x00database\x00demo\x00\x00"), "28000"},
		{"protocol 4", startupPacket(4<<16, "user", "bob"), "0A000"},
		{"a second SSLRequest", sslRequest, "0A000"},
		{"a cancel request without a key", packet(1234<<16|5678, "\x00\x00\x00\x01"), ""},
		{"a cancel request too long", packet(1234<<16|5678, strings.Repeat("x", 261)), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := dial(t, p.addr)
			send(t, conn, test.sent)
			if test.sent == sslRequest { // PostgreSQL takes the second one for a protocol version
				if n := receiveByte(t, conn); n != 'N' {
					t.Fatalf("answer %q, want N", n)
				}
				send(t, conn, sslRequest)
			}
			if test.code == "" {
				if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
					t.Errorf("%q, %v, want the end", got, err)
				}
				return
			}
			wantFatal(t, conn, test.code)
		})
	}
	if all := p.records(); len(all) != 0 {
		t.Errorf("events %v, want none: nobody got as far as a session", all)
	}
}

func receiveByte(t *testing.T, conn io.Reader) byte {
	t.Helper()
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

func TestProtocolTwoIsToldInItsOwnForm(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(2<<16, "user", "bob"))
	if got, want := readAll(t, conn), "EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.2\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Lengths that lie cost nothing.
func TestMalformedPasswordMessages(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	tests := []struct{ name, sent, code string }{
		{"another message", query("select 1"), "08P01"},
		{"length 3", "p\x00\x00\x00\x03", "-"}, // PostgreSQL closes without a word
		{"length 65,540", "p\x00\x01\x00\x04", "08P01"},
		{"length 4 GB", "p\xff\xff\xff\xff", "08P01"},
		{"no terminator", message('p', "secret"), "08P01"},
		{"a NUL within", message('p', "sec\x00ret\x00"), "08P01"},
		{"no body", message('p', ""), "08P01"},
		{"a goodbye", message('X', ""), ""},
		{"an empty password", message('p', "\x00"), "28P01"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := dial(t, p.addr)
			send(t, conn, startupPacket(3<<16, "user", "alice", "database", database))
			receive(t, conn)
			send(t, conn, test.sent)
			if test.code == "" {
				readAll(t, conn)
				eventually(t, "it is no failed login", 20*time.Second, func() bool { return p.sessions()[0].EndReason == "left_before_login" })
				return
			}
			if test.code == "-" {
				if got := readAll(t, conn); got != "" {
					t.Errorf("got %q, want the end", got)
				}
			} else {
				wantFatal(t, conn, test.code)
			}
			if s := p.sessions()[0]; s.State != "refused" {
				t.Errorf("session %+v", s)
			}
		})
	}
}

// A load balancer's look leaves nothing; psql's probe leaves a trace that is
// no failed login.
func TestProbes(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for range 20 {
		dial(t, p.addr).Close()
	}
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, "user", "alice", "database", database))
	receive(t, conn)
	conn.Close()
	eventually(t, "psql's probe is recorded", 20*time.Second, func() bool { return len(p.records()) == 2 })
	s := p.sessions()
	if len(s) != 1 || s[0].State != "ended" || s[0].EndReason != "left_before_login" || s[0].User != "" {
		t.Errorf("sessions %+v", s)
	}
}

func TestUpgradesThatAreNotToBeHad(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := dial(t, p.addr)
	for _, request := range []string{gssencRequest, sslRequest} {
		send(t, conn, request)
		if got := receiveByte(t, conn); got != 'N' {
			t.Fatalf("answer %q, want N", got)
		}
	}
	login(t, conn, "bob", token("bob@example.com", "reader"))
}

// Each upgrade may be asked for once, none in front of another's answer, and none within TLS
// (ProcessStartupPacket): what comes then is taken for a protocol version, or for an attack.
func TestUpgradesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	direct := config.Clone()
	direct.NextProtos = []string{"postgresql"}
	plain, p := startProxy(t), startProxy(t, secure)
	t.Run("GSSAPI twice", func(t *testing.T) {
		conn := dial(t, p.addr)
		send(t, conn, gssencRequest)
		receiveByte(t, conn)
		send(t, conn, gssencRequest)
		wantFatal(t, conn, "0A000")
	})
	t.Run("GSSAPI within TLS", func(t *testing.T) {
		conn := overTLS(t, dial(t, p.addr), config)
		send(t, conn, gssencRequest)
		wantFatal(t, conn, "0A000")
	})
	t.Run("TLS within TLS", func(t *testing.T) {
		conn := overTLS(t, dial(t, p.addr), config)
		send(t, conn, sslRequest)
		wantFatal(t, conn, "0A000")
	})
	t.Run("TLS within TLS that was begun with", func(t *testing.T) {
		conn := tls.Client(dial(t, p.addr), direct)
		send(t, conn, sslRequest)
		if got := receiveByte(t, conn); got != 'N' {
			t.Errorf("answer %q, want N", got)
		}
	})
	for name, request := range map[string]string{"TLS": sslRequest, "GSSAPI": gssencRequest} {
		t.Run("a packet behind a request for "+name+" that is declined", func(t *testing.T) {
			conn := dial(t, plain.addr)
			send(t, conn, request, startupPacket(3<<16, "user", "bob", "database", database))
			if got := receiveByte(t, conn); got != 'N' {
				t.Errorf("answer %q, want N", got)
			}
			wantFatal(t, conn, "08P01")
		})
	}
}

func withTLS(t *testing.T) (*tls.Config, func(*options)) {
	t.Helper()
	files, err := listener.EnsureLocalCA(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := listener.LoadCertificate(files.CertFile, files.KeyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{InsecureSkipVerify: true}, func(o *options) { o.session.TLS = certificate.ServerConfig() }
}

// What was sent in plain text before the handshake must not be taken for
// what was sent inside it.
func TestPlaintextBeforeTheHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	_, secure := withTLS(t)
	p := startProxy(t, secure)
	for _, injected := range []string{query("select 'injected'"), startupPacket(3<<16, "user", "bob")} {
		conn := dial(t, p.addr)
		send(t, conn, sslRequest, injected)
		if m := wantFatal(t, conn, "08P01"); !strings.Contains(m.field('M'), "unencrypted data") {
			t.Errorf("message %q", m.field('M'))
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	p := startProxy(t, secure, func(o *options) { o.session.RequireTLS = session.TLSAlways })
	t.Run("a plain login is refused before a password is asked for", func(t *testing.T) {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		if m := wantFatal(t, conn, "28000"); m.field('M') != "gprxy accepts logins only over TLS" || m.field('H') == "" {
			t.Errorf("told %q, hint %q", m.field('M'), m.field('H'))
		}
		if s := p.sessions()[0]; s.State != "refused" || s.EndReason != "tls_required" {
			t.Errorf("session %+v", s)
		}
	})
	t.Run("a login inside TLS", func(t *testing.T) {
		conn := dial(t, p.addr)
		send(t, conn, gssencRequest)
		receiveByte(t, conn)
		send(t, conn, sslRequest)
		if got := receiveByte(t, conn); got != 'S' {
			t.Fatalf("answer %q", got)
		}
		secured := tls.Client(conn, config)
		login(t, secured, "bob", token("bob@example.com", "reader"))
		send(t, secured, query("select 1"))
		if got := receiveUntil(t, secured, 'Z'); len(got) != 4 {
			t.Errorf("got %v", got)
		}
		if s := p.sessions()[0]; s.TLS != "TLSv1.3" {
			t.Errorf("recorded TLS %q", s.TLS)
		}
		send(t, secured, message('X', ""))
		eventually(t, "the session ends", 5*time.Second, func() bool { return p.sessions()[0].State == "ended" })
	})
	t.Run("an SSLRequest inside TLS", func(t *testing.T) {
		conn := dial(t, p.addr)
		send(t, conn, sslRequest)
		receiveByte(t, conn)
		secured := tls.Client(conn, config)
		send(t, secured, sslRequest)
		wantFatal(t, secured, "0A000")
	})
}

// What the client is told at login is what PostgreSQL would tell it.
func TestTheGreetingIsPostgreSQLs(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	parameters := []string{"application_name", "greeting", "TimeZone", "Asia/Tokyo", "client_encoding", "LATIN1"}
	proxied := login(t, dial(t, p.addr), "app_reader", token("bob@example.com", "reader"), parameters...)
	direct := directGreeting(t, parameters)
	status := func(all []received) (s []string) {
		for _, m := range all {
			if m.kind == 'S' {
				s = append(s, m.body)
			}
		}
		return s
	}
	if got, want := strings.Join(status(proxied), "\n"), strings.Join(status(direct), "\n"); got != want {
		t.Errorf("ParameterStatus through gprxy\n%q\ndirect\n%q", got, want)
	}
	key := proxied[len(proxied)-2]
	if key.kind != 'K' || len(key.body) != 8 {
		t.Errorf("BackendKeyData %v", key)
	}
}

// directGreeting logs in to PostgreSQL without the proxy; the test server trusts
// nobody, so pgx does the talking and a tap listens.
func directGreeting(t *testing.T, parameters []string) []received {
	t.Helper()
	var tapped bytes.Buffer
	dsn := postgres.DSN("app_reader", "reader-secret", database)
	config := mustParse(t, dsn)
	for i := 0; i < len(parameters); i += 2 {
		config.RuntimeParams[parameters[i]] = parameters[i+1]
	}
	config.DialFunc = func(_ ctx, network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		return &tap{conn, &tapped}, err
	}
	connectConfig(t, config)
	all := []received{}
	for tapped.Len() > 0 {
		all = append(all, receive(t, &tapped))
	}
	return all
}

type tap struct {
	net.Conn
	seen *bytes.Buffer
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.Write(p[:n])
	return n, err
}

// Newer minor versions and unknown protocol options are negotiated down
// before anything is asked.
func TestNewerProtocolsAreNegotiated(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	tests := []struct {
		name       string
		version    uint32
		option     string
		want       string // body of NegotiateProtocolVersion, "" for none
		secretSize int
	}{
		{"3.0", 3 << 16, "", "", 4},
		{"3.1", 3<<16 | 1, "", "", 4},
		{"3.2", 3<<16 | 2, "", "", 32},
		{"3.9999", 3<<16 | 9999, "", "\x00\x03\x00\x02\x00\x00\x00\x00", 32},
		{"3.0 with an unknown option", 3 << 16, "_pq_.future", "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.future\x00", 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := dial(t, p.addr)
			pairs := []string{"user", "bob", "database", database}
			if test.option != "" {
				pairs = append(pairs, test.option, "on")
			}
			send(t, conn, startupPacket(test.version, pairs...))
			m := receive(t, conn)
			if test.want != "" {
				if m.kind != 'v' || m.body != test.want {
					t.Errorf("got %v, want NegotiateProtocolVersion %q", m, test.want)
				}
				m = receive(t, conn)
			}
			if m.kind != 'R' {
				t.Fatalf("got %v", m)
			}
			send(t, conn, message('p', token("bob@example.com", "reader")+"\x00"))
			greeting := receiveUntil(t, conn, 'Z')
			if key := greeting[len(greeting)-2]; len(key.body) != 4+test.secretSize {
				t.Errorf("the secret has %d bytes, want %d", len(key.body)-4, test.secretSize)
			}
		})
	}
}

// A client that does not finish its login is told so and leaves. Without a startup packet PostgreSQL has no word for it.
func TestALoginHasADeadline(t *testing.T) {
	p := startProxy(t, func(o *options) { o.session.LoginTimeout = 300 * time.Millisecond })
	for name, sent := range map[string]string{
		"says nothing":          "",
		"half a packet":         "\x00\x00",
		"no password":           startupPacket(3<<16, "user", "bob", "database", database),
		"a packet is still due": sslRequest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, p.addr)
			send(t, conn, sent)
			got := strings.TrimPrefix(readAll(t, conn), "N")
			if told := strings.Contains(got, "C57014\x00"); told != (name == "no password") || !told && got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAServiceAccountThatCannotLogInIsTheOperatorsAffair(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) {
		o.session.Service = auth.Login{User: "gprxy_service", Password: "outdated"}
	})
	answer := refused(t, p.dsn("alice", alicePassword))
	if answer.Code != "XX000" || strings.Contains(answer.Message+answer.Detail, "gprxy_service") || answer.Hint == "" {
		t.Errorf("answer %+v", answer)
	}
	if s := p.sessions()[0]; s.EndReason != "service_account_refused" || s.User != "alice" {
		t.Errorf("session %+v", s)
	}
}

// A client may begin with TLS, if it names PostgreSQL's protocol.
func TestDirectTLS(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	p := startProxy(t, secure)
	t.Run("with ALPN", func(t *testing.T) {
		config := config.Clone()
		config.NextProtos = []string{"postgresql"}
		secured := tls.Client(dial(t, p.addr), config)
		login(t, secured, "bob", token("bob@example.com", "reader"))
		send(t, secured, query("select 1"))
		receiveUntil(t, secured, 'Z')
		if s := p.sessions()[0]; s.TLS != "TLSv1.3" {
			t.Errorf("recorded TLS %q", s.TLS)
		}
	})
	t.Run("without ALPN", func(t *testing.T) {
		if got := readAll(t, tls.Client(dial(t, p.addr), config)); got != "" {
			t.Errorf("got %q, want the end", got)
		}
	})
	t.Run("for another protocol", func(t *testing.T) {
		config := config.Clone()
		config.NextProtos = []string{"h2"}
		if err := tls.Client(dial(t, p.addr), config).Handshake(); err == nil {
			t.Error("the handshake succeeded")
		}
	})
	t.Run("a cancel request inside", func(t *testing.T) {
		config := config.Clone()
		config.NextProtos = []string{"postgresql"}
		secured := tls.Client(dial(t, p.addr), config)
		send(t, secured, packet(cancelCode, "\x00\x00\x00\x01\x00\x00\x00\x02"))
		readAll(t, secured)
		if got := len(p.records("cancel.rejected")); got != 1 {
			t.Errorf("%d requests recorded", got)
		}
	})
	t.Run("where TLS is off", func(t *testing.T) {
		plain := startProxy(t)
		conn := dial(t, plain.addr)
		send(t, conn, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
		if got := readAll(t, conn); got != "" {
			t.Errorf("got %q, want the end", got)
		}
	})
}
