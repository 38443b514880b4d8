package session

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"gprxy/listener"
	"gprxy/pool/wire"
)

// scripted is a connection whose other side has said all it will ever say. It
// gives at most step bytes at a time; then the other side leaves, or, if it is
// patient, waits.
type scripted struct {
	step    int
	patient bool

	mu    sync.Mutex // guards the rest: a disconnectWatch reads beside the login
	in    *bytes.Reader
	out   bytes.Buffer
	limit time.Time  // of reading
	moved *sync.Cond // limit has changed, or been reached
}

func newScripted(stream []byte, step int) *scripted {
	c := &scripted{in: bytes.NewReader(stream), step: max(step, 1)}
	c.moved = sync.NewCond(&c.mu)
	return c
}

func (c *scripted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case !c.limit.IsZero() && !time.Now().Before(c.limit):
			return 0, os.ErrDeadlineExceeded
		case c.in.Len() > 0 || !c.patient:
			return c.in.Read(p[:min(len(p), c.step)])
		}
		c.moved.Wait()
	}
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *scripted) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	c.moved.Broadcast()
	if wait := time.Until(t); wait > 0 && c.patient {
		time.AfterFunc(wait, c.moved.Broadcast) // wakes nobody if it comes late
	}
	return nil
}

func (c *scripted) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *scripted) SetWriteDeadline(time.Time) error { return nil }
func (c *scripted) Close() error                     { return nil }
func (c *scripted) LocalAddr() net.Addr              { return loopbackAddr }
func (c *scripted) RemoteAddr() net.Addr             { return loopbackAddr }

var loopbackAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}

// answered is what was written so far, and left how much was not read.
func (c *scripted) answered() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out.Bytes())
}

func (c *scripted) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.Len()
}

// splitMessages takes apart what a server sent after the startup.
func splitMessages(stream []byte) (messages [][]byte, whole bool) {
	for len(stream) >= wire.HeaderSize {
		size := 1 + int(binary.BigEndian.Uint32(stream[1:]))
		if size < wire.HeaderSize || size > len(stream) {
			return messages, false
		}
		messages = append(messages, stream[:size])
		stream = stream[size:]
	}
	return messages, len(stream) == 0
}

// localTLS is a server's configuration with a certificate made for it.
func localTLS(tb testing.TB) *tls.Config {
	tb.Helper()
	files, err := listener.EnsureLocalCA(tb.TempDir(), "localhost")
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := listener.LoadCertificate(files.CertFile, files.KeyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return certificate.ServerConfig()
}
