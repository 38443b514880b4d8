// Playing an actor's part over a socket: what it sends, what it hears, how it leaves.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	loginLimit = 45 * time.Second       // longer than endLimit: the one before may take that to leave
	awaitLimit = 2 * time.Second        // for an answer, which a hostile session need not get
	maybeLimit = 150 * time.Millisecond // for one that is not certain
	endLimit   = 20 * time.Second       // for the other side to close
	halfLimit  = time.Second            // the same behind a half-close: then the rest is closed, too
	keptBytes  = 8 << 20                // of what a session heard
)

// heard is one message from the server.
type heard struct {
	kind byte
	body string
}

func (h heard) String() string {
	return fmt.Sprintf("%c %s", h.kind, shorten(fmt.Sprintf("%q", h.body)))
}

// line is one session's connection. Its reader is a goroutine that ends with the connection.
type line struct {
	conn net.Conn
	addr string // where cancel requests go
	key  string // pid and secret

	mu    sync.Mutex // guards the rest
	came  *sync.Cond // something was heard, or the connection is over
	all   []heard    // since the login
	bytes int
	over  error
	seen  int // of all, by await
}

var errRefused = errors.New("the login was refused")

// login logs in by hand. What the server says afterwards is collected.
func login(ctx context.Context, addr, user, password, database string, more ...string) (*line, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, addr: addr}
	l.came = sync.NewCond(&l.mu)
	conn.SetDeadline(time.Now().Add(loginLimit))
	if err := l.greet(user, password, database, more); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	go l.listen()
	return l, nil
}

func (l *line) greet(user, password, database string, more []string) error {
	pairs := append([]string{"user", user, "database", database}, more...)
	if _, err := io.WriteString(l.conn, startup(pairs...)); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	for {
		h, err := receive(l.conn)
		switch {
		case err != nil:
			return fmt.Errorf("log in: %w", err)
		case h.kind == 'E':
			return fmt.Errorf("%w: %s", errRefused, h)
		case h.kind == 'R' && h.body == "\x00\x00\x00\x03":
			if _, err := io.WriteString(l.conn, frame('p', password+"\x00")); err != nil {
				return fmt.Errorf("log in: %w", err)
			}
		case h.kind == 'K':
			l.key = h.body
		case h.kind == 'Z':
			return nil
		}
	}
}

func receive(r io.Reader) (heard, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return heard{}, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > keptBytes {
		return heard{}, fmt.Errorf("a message of type %q has a length of %d", head[0], size)
	}
	body := make([]byte, size-4)
	_, err := io.ReadFull(r, body)
	return heard{head[0], string(body)}, err
}

func (l *line) listen() {
	for {
		h, err := receive(l.conn)
		l.mu.Lock()
		if err == nil && l.bytes < keptBytes {
			l.bytes += len(h.body)
			l.all = append(l.all, h)
		}
		l.over = err
		l.came.Broadcast()
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits until done says so, called with the lock, or the limit has passed; false says that it has. At the end of
// the connection done is asked a last time.
func (l *line) until(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	timer := time.AfterFunc(limit, l.came.Broadcast)
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !done() {
		if l.over != nil || !time.Now().Before(deadline) {
			return false
		}
		l.came.Wait()
	}
	return true
}

// await waits for the next message of a type.
func (l *line) await(kind byte, limit time.Duration) bool {
	return l.until(limit, func() bool {
		for ; l.seen < len(l.all); l.seen++ {
			if l.all[l.seen].kind == kind {
				l.seen++
				return true
			}
		}
		return false
	})
}

// ended waits for the other side to close.
func (l *line) ended(limit time.Duration) bool {
	return l.until(limit, func() bool { return l.over != nil })
}

// messages are all that came so far.
func (l *line) messages() []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[:len(l.all):len(l.all)]
}

func (l *line) send(bytes string) {
	l.conn.SetWriteDeadline(time.Now().Add(endLimit))
	io.WriteString(l.conn, bytes) // the other side may be gone: then that is part of the play
}

// forget makes await look only at what comes from now on.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = len(l.all)
}

// play carries the steps out. That answers do not come is nothing wrong in itself: the judges look at what is left behind.
func (l *line) play(ctx context.Context, all []step) {
	l.forget()
	for _, s := range all {
		switch {
		case ctx.Err() != nil:
			return
		case s.send != "":
			l.send(s.send)
		case s.pause > 0:
			time.Sleep(s.pause)
		case s.cancel:
			l.cancel(ctx)
		case s.await != 0 && s.fast:
			l.await(s.await, maybeLimit)
		case s.await != 0:
			l.await(s.await, awaitLimit)
		}
	}
}

// cancel sends a cancel request and waits until the server has closed its connection.
func (l *line) cancel(ctx context.Context) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(awaitLimit))
	if _, err := io.WriteString(conn, packet(cancelCode, l.key)); err == nil {
		io.Copy(io.Discard, conn)
	}
}

// leave ends the session in one of the ways. When it returns, the connection is closed.
func (l *line) leave(how string) {
	defer l.conn.Close()
	tcp, _ := l.conn.(*net.TCPConn)
	switch how {
	case leaveTerminate:
		l.send(terminate)
		l.ended(endLimit)
	case leaveHalf:
		tcp.CloseWrite()
		l.ended(halfLimit)
	case leaveReset:
		tcp.SetLinger(0)
	case leavePartial:
		l.send(query("select 'a message that never ends'")[:17])
	}
}
