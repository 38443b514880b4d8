// Nothing is read behind the answers, wherever it may lie.
package pool

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// scripted is a login at a server of the test's own, which then does what it is told.
type scripted struct {
	pools   *Pools
	pg      *pgconn.PgConn
	backend *backend
	server  net.Conn

	gathered *gathering // below TLS
}

// gathering sends what is written between begin and end in one piece.
type gathering struct {
	net.Conn
	on   bool
	held []byte
}

// SetWriteDeadline does nothing: crypto/tls ends all writes with it once it has said goodbye.
func (g *gathering) SetWriteDeadline(time.Time) error { return nil }

func (g *gathering) begin() { g.on = true }

func (g *gathering) end() { g.Conn.Write(g.held) }

func (g *gathering) Write(p []byte) (int, error) {
	if !g.on {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

var (
	welcome = []byte("R\x00\x00\x00\x08\x00\x00\x00\x00" + "K\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x02" + "Z\x00\x00\x00\x05I")
	notice  = []byte("N\x00\x00\x00\x1bSNOTICE\x00C00000\x00Mhello\x00\x00")
)

// logIn logs in with TLS or without. The writes of pgconn return after the delay, when what they say was answered.
func logIn(t *testing.T, encrypted bool, delay time.Duration) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan net.Conn, 1)
	g := &gathering{}
	go func() {
		var err error
		if g.Conn, err = l.Accept(); err != nil {
			return
		}
		var c net.Conn = g
		packet := make([]byte, 1024)
		if encrypted {
			io.ReadFull(c, packet[:len(sslRequest)])
			c.Write([]byte("S"))
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{throwaway(t)}})
		}
		c.Read(packet)
		c.Write(welcome)
		served <- c
	}()
	c := Config{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port), SSLMode: "disable"}
	want := plainOnly
	if encrypted {
		c.SSLMode, want = "require", requireTLS
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	o := &opening{ctx: t.Context(), dialer: p.dialer, want: want, request: Request{Key: Key{"a", "b"}}, onClose: func() {}}
	config := p.base.ConnConfig.Config.Copy()
	o.configure(config)
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		wire, err := o.dial(ctx, network, address)
		return slowToReturn{wire, delay}, err
	}
	pg, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{p, pg, o.backend, <-served, g}
	t.Cleanup(func() { s.server.Close(); s.backend.socket.Close() })
	return s
}

type slowToReturn struct {
	net.Conn
	delay time.Duration
}

func (s slowToReturn) Write(p []byte) (int, error) {
	defer time.Sleep(s.delay)
	return s.Conn.Write(p)
}

func throwaway(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Error(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// say sends bytes in one piece and waits until the first of them has been read here.
func (s *scripted) say(t *testing.T, read func([]byte) error, bytes ...byte) {
	t.Helper()
	if _, err := s.server.Write(bytes); err != nil {
		t.Fatal(err)
	}
	if err := read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftBehindTheAnswers(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		s := logIn(t, encrypted, 0)
		for range 2 {
			if err := s.backend.silent(s.pg); err != nil {
				t.Errorf("encrypted %v: a silent backend: %v", encrypted, err)
			}
		}
		onWire := func(one []byte) error { _, err := s.backend.wire.Read(one); return err }
		s.say(t, onWire, 'a') // the deadline of the look is gone

		s.say(t, onWire, 'a', 'b') // without TLS the second is in the socket, else it is decrypted
		if encrypted != (s.backend.socket.quiet() == nil) {
			t.Errorf("encrypted %v: the socket has %v", encrypted, s.backend.socket.quiet())
		}
		if err := s.backend.silent(s.pg); err == nil {
			t.Errorf("encrypted %v: a byte was overlooked", encrypted)
		}
	}
	s := logIn(t, false, 0)
	s.say(t, func([]byte) error { _, err := s.pg.ReceiveMessage(t.Context()); return err }, append(notice, notice...)...)
	if err := s.backend.silent(s.pg); err == nil || s.pg.Frontend().ReadBufferLen() == 0 || s.backend.socket.quiet() != nil {
		t.Errorf("what pgconn has read was overlooked: %v", err)
	}
	s = logIn(t, true, 0)
	s.gathered.begin()
	s.server.Write([]byte("a"))
	s.server.(*tls.Conn).CloseWrite()
	s.gathered.end() // in one piece, and the connection stays open below TLS
	if _, err := s.backend.wire.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.backend.socket.quiet(); err != nil {
		t.Errorf("the end of TLS is to be read already: %v", err)
	}
	if err := s.backend.silent(s.pg); err == nil {
		t.Error("the end of TLS was overlooked")
	}
	s = logIn(t, false, 0)
	s.server.Close()
	for s.backend.socket.quiet() == nil { // its end is on its way
		time.Sleep(time.Millisecond)
	}
	if err := s.backend.silent(s.pg); err == nil {
		t.Error("the end of the connection was overlooked")
	}
}

// A machine that is busy makes writes look slow, and pgconn then reads in the background, and goes on after the write. (Seen
// with a write of the password that returned 60 ms after PostgreSQL had answered.)
func TestNobodyReadsAfterASlowWrite(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		s := logIn(t, encrypted, 60*time.Millisecond)
		if err := s.backend.silent(s.pg); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.say(t, func(one []byte) error { _, err := s.backend.wire.Read(one); return err }, 'a')
		}
	}
}

// A walsender of the whole server is asked nothing, so that its connection must be freed of the reader without an answer.
func TestAWalsenderIsHandedOverAfterASlowWrite(t *testing.T) {
	t.Parallel()
	s := logIn(t, false, 60*time.Millisecond)
	l := &Lease{pools: s.pools, pg: s.pg, backend: s.backend, replication: PhysicalReplication}
	if err := l.prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.say(t, func(one []byte) error { _, err := s.backend.wire.Read(one); return err }, 'a')
	}
}
