// Package startuptest has the other side of a connection that begins, for tests and fuzzers of what reads it.
package startuptest

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"gprxy/pool/wire"
)

// Conn is a connection whose other side has said all it will ever say. It
// gives at most step bytes at a time; then the other side leaves, or, if it is
// patient, waits.
type Conn struct {
	step    int
	Patient bool // waits when all was read, instead of leaving

	mu    sync.Mutex // guards the rest: a disconnect watch reads beside the login
	in    *bytes.Reader
	out   bytes.Buffer
	limit time.Time  // of reading
	moved *sync.Cond // limit has changed, or been reached
}

// New is a connection whose other side sends stream, step bytes at a time.
func New(stream []byte, step int) *Conn {
	c := &Conn{in: bytes.NewReader(stream), step: max(step, 1)}
	c.moved = sync.NewCond(&c.mu)
	return c
}

func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case !c.limit.IsZero() && !time.Now().Before(c.limit):
			return 0, os.ErrDeadlineExceeded
		case c.in.Len() > 0 || !c.Patient:
			return c.in.Read(p[:min(len(p), c.step)])
		}
		c.moved.Wait()
	}
}

func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	c.moved.Broadcast()
	if wait := time.Until(t); wait > 0 && c.Patient {
		time.AfterFunc(wait, c.moved.Broadcast) // wakes nobody if it comes late
	}
	return nil
}

func (c *Conn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
func (c *Conn) Close() error                     { return nil }
func (c *Conn) LocalAddr() net.Addr              { return Address }
func (c *Conn) RemoteAddr() net.Addr             { return Address }

// Address is both ends of a Conn.
var Address = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}

// Answered is what was written so far, and Left how much was not read.
func (c *Conn) Answered() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out.Bytes())
}

func (c *Conn) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.Len()
}

// Packet is a startup packet: a code or version, and what follows.
func Packet(code uint32, body string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return string(binary.BigEndian.AppendUint32(head, code)) + body
}

// The codes of startup packets once more, for what tests them may not import what they test.
const (
	protocol30    = 3 << 16
	cancelRequest = 1234<<16 | 5678
	sslRequest    = 1234<<16 | 5679
	gssencRequest = 1234<<16 | 5680
)

// Seeds are streams that begin a connection, for the fuzzers that read one.
func Seeds() []string {
	plain := Packet(protocol30, "user\x00alice\x00database\x00demo\x00\x00")
	return []string{
		plain,
		Packet(sslRequest, "") + plain,
		Packet(gssencRequest, "") + Packet(sslRequest, "") + plain,
		Packet(sslRequest, "") + Packet(sslRequest, "") + plain,
		Packet(cancelRequest, "\x00\x00\x00\x01\x00\x00\x00\x02"),
		Packet(cancelRequest, "\x00\x00\x00\x01"+strings.Repeat("k", 256)),
		Packet(protocol30+9999, "user\x00alice\x00_pq_.x\x00y\x00_pq_.a\x00\x00\x00"),
		Packet(2<<16, "alice\x00\x00"),
		Packet(4<<16, "user\x00alice\x00\x00"),
		Packet(protocol30, "user\x00"+strings.Repeat("é", 60)+"\x00options\x00-c a=b -c gprxy.auth=oauth\x00\x00"),
		Packet(protocol30, "database\x00x\x00\x00"),
		Packet(protocol30, "user\x00alice"),
		"\x00\x00\x00\x04", "\xff\xff\xff\xff\x00\x03\x00\x00", "\x16\x03\x01\x00\x05hello", "GET / HTTP/1.1\r\n\r\n", "",
	}
}

// Frame is a message: its type, its length, and what follows.
func Frame(kind byte, body string) string {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+wire.LengthSize))
	return string(head) + body
}

// SplitMessages takes apart what a server sent after the startup.
func SplitMessages(stream []byte) (messages [][]byte, whole bool) {
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

// WholePackets tells whether a stream is startup packets and nothing else.
func WholePackets(stream []byte) bool {
	for len(stream) >= wire.LengthSize {
		size := int(binary.BigEndian.Uint32(stream))
		if size < 2*wire.LengthSize || size > len(stream) {
			return false
		}
		stream = stream[size:]
	}
	return len(stream) == 0
}
