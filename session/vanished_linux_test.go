package session_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Hosts that vanish. A socket filter that drops whatever arrives is as good: nothing is acknowledged, nothing refused.

func vanish(t *testing.T, conn net.Conn) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// impatient does not wait half a minute for a host.
func impatient(o *options) { o.session.PeerTimeout = time.Second }

func TestAClientWhoseHostVanishes(t *testing.T) {
	t.Parallel()
	p := startProxy(t, impatient)
	works := map[string]func(*testing.T, net.Conn){
		"while it is answered": func(t *testing.T, conn net.Conn) {
			send(t, conn, query("select pg_sleep(0.2)"))
			vanish(t, conn)
		},
		"while it does not read": func(t *testing.T, conn net.Conn) {
			send(t, conn, query("select repeat('x', 1000) from generate_series(1, 100000)"))
			time.Sleep(time.Second) // until nothing fits in any more
			vanish(t, conn)
		},
	}
	for name, work := range works {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, p.addr)
			pid := backendPID(login(t, conn, "bob", token("bob@example.com", "reader")))
			work(t, conn)
			began := time.Now()
			eventually(t, "the end is recorded", 20*time.Second, func() bool {
				s := p.sessions()[0]
				return s.BackendPID == pid && s.EndReason == "client_gone"
			})
			t.Logf("noticed after %v", time.Since(began).Round(100*time.Millisecond))
			waitIdle(t, p)
		})
	}
}

// A client that is well and does not read for longer than that is not cut off, nor is a backend that does not.
func TestAPeerThatOnlyDoesNotReadIsNotGivenUp(t *testing.T) {
	t.Parallel()
	p := startProxy(t, impatient)
	const n, size = 200, 100_000
	conn := rawSession(t, p, "reader")
	send(t, conn, query(fmt.Sprintf("select repeat('x', %d) from generate_series(1, %d)", size, n)))
	sends := rawSession(t, p, "writer")
	var all sync.WaitGroup
	all.Go(func() { // the backend sleeps, and what is sent ahead fills all buffers
		long := query("select '" + strings.Repeat("x", size) + "'")
		if _, err := io.WriteString(sends, query("select pg_sleep(4)")+strings.Repeat(long, n)); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(4 * time.Second) // not reading is what is tested
	if got := rows(receiveUntil(t, conn, 'Z')); len(got) != n {
		t.Errorf("the client that did not read got %d rows, want %d", len(got), n)
	}
	receiveUntil(t, sends, 'Z')
	for range n {
		receiveUntil(t, sends, 'Z')
	}
	all.Wait()
}

// The host of the database vanishes under a session: the client is told, and the next one gets a backend of the new host.
func TestABackendWhoseHostVanishes(t *testing.T) {
	between, addr := newBetween(t)
	p := startProxy(t, impatient, func(o *options) { o.pool.Port = uint16(addr.Port) })
	conn := dial(t, p.addr)
	pid := backendPID(login(t, conn, "bob", token("bob@example.com", "reader")))
	vanish(t, <-between)
	send(t, conn, query("select 1"))
	began := time.Now()
	lastWords(t, conn, "08006")
	t.Logf("noticed after %v", time.Since(began).Round(100*time.Millisecond))
	wantEnd(t, p, pid, "backend_gone")
	next := connect(t, p.dsn("eve", token("eve@example.com", "reader")))
	if got := ask[int](t, next, "select 1"); got != 1 {
		t.Error("the next session has no backend")
	}
}

// newBetween forwards connections to PostgreSQL, and hands out its side of each towards gprxy.
func newBetween(t *testing.T) (conns <-chan net.Conn, addr *net.TCPAddr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 16)
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { forward(t, near, ended) })
			accepted <- near
		}
	})
	t.Cleanup(func() { l.Close(); close(ended); all.Wait() })
	return accepted, l.Addr().(*net.TCPAddr)
}

// forward joins a connection with PostgreSQL until one side ends it, or the test does.
func forward(t *testing.T, near net.Conn, ended <-chan struct{}) {
	defer near.Close()
	far, err := net.Dial("tcp", postgres.Addr())
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	over := make(chan struct{}, 2)
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { io.Copy(far, near); over <- struct{}{} })
	both.Go(func() { io.Copy(near, far); over <- struct{}{} })
	select {
	case <-over:
	case <-ended:
	}
	near.Close()
	far.Close()
}
