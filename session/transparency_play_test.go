// A script at play: against PostgreSQL or through gprxy, it does not know which.
package session_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A route is a way to PostgreSQL.
type route struct {
	name   string
	addr   string
	tls    bool // inside TLS from the first byte of the script on
	pieces bool // what is sent goes out in small pieces
	secret func(user string) string
}

// playLimit bounds one session of a script; no answer takes so long.
const playLimit = 15 * time.Second

// A player plays one script on one route.
type player struct {
	route
	peers []*peer // in the order of their first line
}

// A peer is one session of a script, the client's side of it.
type peer struct {
	label   string
	user    string
	socket  *net.TCPConn
	conn    net.Conn // the socket, or TLS on it
	pieces  bool
	out     []byte // to be sent before the next wait
	sending sync.WaitGroup
	buf     [32 * 1024]byte
	in      []byte // received, not yet told apart
	seen    []item
	key     []byte // pid and secret
	ended   bool
	reset   bool // it ended by a reset, which may take what was sent before with it
}

// An item is a message, or bytes that are none (kind 0).
type item struct {
	kind byte
	body []byte
}

// errVain: what a script waits for does not come.
var errVain = errors.New("it waits in vain")

// play returns what came back to each session. The error tells what stopped it; what came until then is there.
func (s *script) play(r route) ([]*peer, error) {
	p := &player{route: r}
	defer p.close()
	for _, step := range s.steps {
		c, err := p.peer(step.session)
		if err == nil {
			err = step.act(p, c)
		}
		if err != nil {
			return p.peers, fmt.Errorf("line %d: %w", step.line, err)
		}
	}
	for _, c := range p.peers {
		if !c.ended {
			c.out = append(c.out, message('X', "")...)
		}
		if err := c.awaitEnd(); err != nil {
			return p.peers, fmt.Errorf("at the end: %w", err)
		}
	}
	return p.peers, nil
}

func (p *player) close() {
	for _, c := range p.peers {
		c.socket.Close()
		c.sending.Wait()
	}
}

// peer finds a session, or connects for it.
func (p *player) peer(label string) (*peer, error) {
	for _, c := range p.peers {
		if c.label == label {
			return c, nil
		}
	}
	socket, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	c := &peer{label: label, user: "app_reader", socket: socket.(*net.TCPConn), conn: socket, pieces: p.pieces}
	p.peers = append(p.peers, c)
	if err := socket.SetDeadline(time.Now().Add(playLimit)); err != nil {
		return nil, err
	}
	if p.tls {
		return c, c.upgrade()
	}
	return c, nil
}

// upgrade asks for TLS and starts it, outside of what is compared.
func (c *peer) upgrade() error {
	if _, err := io.WriteString(c.socket, sslRequest); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c.socket, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return fmt.Errorf("the answer to SSLRequest is %q", answer[0])
	}
	return c.startTLS()
}

func (c *peer) startTLS(protocols ...string) error {
	secured := tls.Client(c.socket, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	c.conn = secured
	return secured.Handshake()
}

// tryTLS is the script's handshake, after a yes or unasked. After another answer there is none; one that fails ends
// the stream. What ALPN gave is compared.
func (c *peer) tryTLS(protocols []word) error {
	if n := len(c.seen); n > 0 && !c.seen[n-1].equal(item{0, []byte("S")}) {
		return nil
	}
	var names []string
	if len(protocols) > 0 && protocols[0].text != "" {
		names = strings.Split(protocols[0].text, ",")
	}
	if c.startTLS(names...) != nil {
		c.ended = true
		return nil
	}
	if agreed := c.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; agreed != "" {
		c.seen = append(c.seen, item{0, []byte("ALPN " + agreed)})
	}
	return nil
}

// logIn answers the question for the password, which comes unless the login is refused.
func (c *peer) logIn(p *player) error {
	if err := c.await('R', 1); err != nil {
		return err
	}
	if err := c.sendPassword(p, nil); err != nil {
		return err
	}
	return c.await('Z', 1)
}

func (c *peer) sendPassword(p *player, text []word) error {
	secret := p.secret(c.user)
	if len(text) > 0 {
		secret = text[0].text
	}
	c.out = append(c.out, message('p', secret+"\x00")...)
	return nil
}

// flush begins to send what has been put together. The answers are read meanwhile: a server need not take all before
// it answers. A stream that has ended takes nothing more, as a wait will show.
func (c *peer) flush() {
	c.sending.Wait()
	if out := c.out; len(out) > 0 {
		c.out = nil
		c.sending.Go(func() { c.write(out) })
	}
}

func (c *peer) write(out []byte) {
	size := len(out)
	if c.pieces {
		size = 3
	}
	for sent := 0; len(out) > 0; sent += size {
		if sent > 300 {
			size = 5000
		}
		n := min(size, len(out))
		if _, err := c.conn.Write(out[:n]); err != nil {
			return
		}
		out = out[n:]
	}
}

func (c *peer) closeWrite() error {
	c.flush()
	c.sending.Wait()
	if secured, ok := c.conn.(*tls.Conn); ok {
		return secured.CloseWrite()
	}
	if err := c.socket.CloseWrite(); !errors.Is(err, syscall.ENOTCONN) { // the other side may have ended it by now
		return err
	}
	return nil
}

// read takes in what has come; io.EOF when the stream has ended, however it did.
func (c *peer) read() error {
	if c.ended {
		return io.EOF
	}
	n, err := c.conn.Read(c.buf[:])
	c.in = append(c.in, c.buf[:n]...)
	switch {
	case n > 0 || err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	c.ended, c.reset = true, errors.Is(err, syscall.ECONNRESET)
	for c.next() { // what is left over is no message
	}
	if len(c.in) > 0 {
		c.seen = append(c.seen, item{0, c.in})
		c.in = nil
	}
	return io.EOF
}

// next takes one whole message off what was received.
func (c *peer) next() bool {
	if len(c.in) < 5 {
		return false
	}
	length := int64(binary.BigEndian.Uint32(c.in[1:])) + 1
	if length < 5 || length > int64(len(c.in)) {
		return false
	}
	m := item{c.in[0], append([]byte(nil), c.in[5:length]...)}
	c.in = c.in[length:]
	if m.kind == 'K' && c.key == nil {
		c.key = m.body
	}
	c.seen = append(c.seen, m)
	return true
}

// await reads until a message of this type has come so many times, or the stream has ended.
func (c *peer) await(kind byte, times int) error {
	c.flush()
	for times > 0 {
		if c.next() {
			if c.seen[len(c.seen)-1].kind == kind {
				times--
			}
			continue
		}
		if err := c.read(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w for %q", errVain, kind)
		}
	}
	return nil
}

func (c *peer) awaitByte() error {
	c.flush()
	for len(c.in) == 0 {
		if err := c.read(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w for a byte", errVain)
		}
	}
	c.seen = append(c.seen, item{0, []byte{c.in[0]}})
	c.in = c.in[1:]
	return nil
}

func (c *peer) awaitEnd() error {
	c.flush()
	for {
		for c.next() {
		}
		if err := c.read(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w for the end", errVain)
		}
	}
}

// pause reads what comes for a time.
func (c *peer) pause(d time.Duration) error {
	c.flush()
	defer c.conn.SetReadDeadline(time.Now().Add(playLimit))
	c.conn.SetReadDeadline(time.Now().Add(d))
	for {
		if err := c.read(); err != nil {
			return nil
		}
	}
}

// cancel sends a CancelRequest with the session's key and waits until it was taken.
func (c *peer) cancel(p *player) error {
	c.flush()
	c.sending.Wait()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(playLimit)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, packet(1234<<16|5678, string(c.key))); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if len(answer) > 0 {
		return fmt.Errorf("the cancel request was answered with %q", answer)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w for the end of the cancel request", errVain)
	}
	return nil
}
