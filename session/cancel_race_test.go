package session_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// People come and go on few backends while others send cancel
// requests with every key there is or was. The long form:
//
//	go test ./session -run CancelRace -cancels 100000 -timeout 30m
var cancels = flag.Int("cancels", 500, "how many cancel requests TestCancelRace sends")

// A race is the field and what happened on it.
type race struct {
	addr   string
	tokens []string
	keys   chan string // announced just now: the one to use
	left   atomic.Int64

	mu  sync.Mutex
	old []string // announced some time ago, guarded by mu

	sent, sessions, hits, reused atomic.Int64
	wrong                        chan string // what must not happen
}

const (
	racers    = 6 // for two backends: each has somebody waiting for it
	attackers = 8
	oldKeys   = 500
)

func TestCancelRace(t *testing.T) {
	p := startProxy(t, quietly, func(o *options) {
		o.pool.MaxConns, o.pool.AcquireTimeout = 2, time.Minute
	})
	r := &race{addr: p.addr, keys: make(chan string, attackers), wrong: make(chan string, 100)}
	for i := range racers {
		r.tokens = append(r.tokens, token(fmt.Sprintf("racer%d@example.com", i), "reader"))
	}
	r.left.Store(int64(*cancels))
	ctx, stop := context.WithCancel(t.Context())
	var running, attacking sync.WaitGroup
	for i := range racers {
		running.Go(func() { r.run(ctx, i) })
	}
	for range attackers {
		attacking.Go(r.attack)
	}
	attacking.Wait()
	stop()
	running.Wait()
	close(r.wrong)
	for what := range r.wrong {
		t.Error(what)
	}
	t.Logf("%d cancel requests, %d sessions (%d on a backend used before), %d statements cancelled by their own key",
		r.sent.Load(), r.sessions.Load(), r.reused.Load(), r.hits.Load())
	if r.hits.Load() == 0 || r.reused.Load() == 0 {
		t.Error("nothing was raced for")
	}
}

// quietly keeps a proxy from telling everything it does.
func quietly(o *options) { o.logger = slog.New(slog.DiscardHandler) }

func (r *race) fail(format string, args ...any) {
	select {
	case r.wrong <- fmt.Sprintf(format, args...):
	default: // there are enough
	}
}

// run has one session after the other.
func (r *race) run(ctx context.Context, racer int) {
	seen := map[uint32]bool{}
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			r.fail("connecting: %v", err)
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		if err := r.session(conn, racer, seen); err != nil {
			r.fail("a session of racer %d: %v", racer, err)
		}
		conn.Close()
		r.sessions.Add(1)
	}
}

// session logs in and runs some statements. Half of the sessions announce their
// key at once and may be cancelled; the others announce it when they end, and
// then not one of their statements may have been.
func (r *race) session(conn net.Conn, racer int, seen map[uint32]bool) error {
	key, err := r.login(conn, racer)
	if err != nil {
		return fmt.Errorf("the login: %w", err)
	}
	if pid := binary.BigEndian.Uint32([]byte(key)); seen[pid] {
		r.reused.Add(1)
	} else {
		seen[pid] = true
	}
	fair := rand.IntN(2) == 0
	if fair {
		r.announce(key)
	}
	for range 1 + rand.IntN(4) {
		code, err := statement(conn, fmt.Sprintf("select pg_sleep(%f)", rand.Float64()/200))
		switch {
		case err != nil:
			return err
		case code == "57014" && fair:
			r.hits.Add(1)
		case code != "":
			return fmt.Errorf("a statement failed with %s, and nobody had this session's key", code)
		}
	}
	if !fair {
		r.announce(key)
	}
	leaveRace(conn)
	return nil
}

// leaveRace ends a session in one of the ways that keep its backend in use.
func leaveRace(conn net.Conn) {
	switch rand.IntN(4) {
	case 0:
		io.WriteString(conn, message('X', ""))
	case 1:
		cutOff(conn)
	case 2:
		io.WriteString(conn, query("begin; select pg_sleep(10)"))
		cutOff(conn)
	default:
		io.WriteString(conn, query("select pg_sleep(0.001)")+message('X', ""))
	}
}

func (r *race) login(conn net.Conn, racer int) (key string, err error) {
	start := startupPacket(3<<16, "user", "racer", "database", database)
	if _, err := io.WriteString(conn, start+message('p', r.tokens[racer]+"\x00")); err != nil {
		return "", err
	}
	for {
		m, err := tryReceive(conn)
		switch {
		case err != nil:
			return "", err
		case m.kind == 'E':
			return "", fmt.Errorf("refused: %s %s", m.field('C'), m.field('M'))
		case m.kind == 'K':
			key = m.body
		case m.kind == 'Z':
			return key, nil
		}
	}
}

// statement runs a simple query and returns the code of its error.
func statement(conn net.Conn, sql string) (code string, err error) {
	if _, err := io.WriteString(conn, query(sql)); err != nil {
		return "", err
	}
	for {
		m, err := tryReceive(conn)
		switch {
		case err != nil:
			return "", err
		case m.kind == 'E':
			code = m.field('C')
		case m.kind == 'Z':
			return code, nil
		}
	}
}

func tryReceive(conn io.Reader) (received, error) {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return received{}, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	_, err := io.ReadFull(conn, body)
	return received{head[0], string(body)}, err
}

// announce gives a key to the attackers, to several if they are free.
func (r *race) announce(key string) {
	for range 1 + rand.IntN(attackers/2) {
		select {
		case r.keys <- key:
		default:
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.old = append(r.old, key); len(r.old) > oldKeys {
		r.old = r.old[1:]
	}
}

// attack sends requests until there were enough.
func (r *race) attack() {
	for {
		key := r.pick()
		times := 1
		if rand.IntN(4) == 0 {
			times = 2 // at once
		}
		if r.left.Add(-int64(times)) < 0 {
			return
		}
		var both sync.WaitGroup
		for range times {
			both.Go(func() { r.cancel(key) })
		}
		both.Wait()
	}
}

// pick takes a key that was just announced, or one of those from before.
func (r *race) pick() string {
	if rand.IntN(8) > 0 {
		select {
		case key := <-r.keys:
			return key
		case <-time.After(100 * time.Millisecond):
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.old) == 0 {
		return strings.Repeat("x", 8)
	}
	return r.old[rand.IntN(len(r.old))]
}

func (r *race) cancel(key string) {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.fail("connecting to cancel: %v", err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, packet(cancelCode, key)); err != nil {
		r.fail("sending a cancel: %v", err)
		return
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		r.fail("a cancel was answered with %q, %v", got, err)
	}
	r.sent.Add(1)
}
