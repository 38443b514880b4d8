package session_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gprxy/store"
)

// The database is a name, and what it leads to changes: a failover. The sites are
// addresses of this machine, as Linux has them, with the real server behind each.

// A site is an address where PostgreSQL is, or is not.
type site struct {
	t       *testing.T
	address *net.TCPAddr

	mu     sync.Mutex
	listen net.Listener // nil: down
	conns  map[net.Conn]bool
	served int // connections so far
}

// newSites returns sites of one port, up, and a proxy whose database is the name.
func newSites(t *testing.T, name string, n int, change ...func(*options)) (*proxy, []*site) {
	t.Helper()
	var sites []*site
	for i := range n {
		s := &site{t: t, address: &net.TCPAddr{IP: net.IPv4(127, 0, 7, byte(i+1))}, conns: map[net.Conn]bool{}}
		if i > 0 {
			s.address.Port = sites[0].address.Port
		}
		s.up()
		t.Cleanup(s.down)
		sites = append(sites, s)
	}
	leadsTo := func(o *options) { o.pool.Host, o.pool.Port = name, uint16(sites[0].address.Port) }
	return startProxy(t, append([]func(*options){leadsTo}, change...)...), sites
}

func (s *site) ip() string { return s.address.IP.String() }

func (s *site) up() {
	s.t.Helper()
	l, err := net.ListenTCP("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address.Port = l.Addr().(*net.TCPAddr).Port
	s.listen = l
	go func() { // ends with the listener
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(near)
		}
	}()
}

func (s *site) serve(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", postgres.Addr())
	if err != nil {
		return
	}
	defer far.Close()
	s.mu.Lock()
	s.served++
	s.conns[near] = true
	s.mu.Unlock()
	go func() { io.Copy(far, near); far.Close() }()
	io.Copy(near, far)
}

// down cuts every connection and refuses others.
func (s *site) down() {
	if s.listen == nil {
		return
	}
	s.listen.Close()
	s.listen = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

func (s *site) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

// deaf makes a site that is down swallow what asks for a connection: its queue of
// connections is full, and nobody takes any.
func (s *site) deaf() {
	s.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { unix.Close(fd) })
	to := &unix.SockaddrInet4{Port: s.address.Port, Addr: [4]byte(s.address.IP.To4())}
	for _, err := range []error{unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, to), unix.Listen(fd, 0)} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	dialer := net.Dialer{Timeout: 200 * time.Millisecond}
	for range 10 {
		conn, err := dialer.Dial("tcp", s.address.String())
		if err != nil {
			return
		}
		s.t.Cleanup(func() { conn.Close() })
	}
	s.t.Fatal("the site still answers")
}

// servedBy tells where the session of that backend has it, by the log.
func servedBy(t *testing.T, p *proxy, pid uint32) string {
	t.Helper()
	for _, r := range p.records("session.started") {
		var started store.SessionStarted
		if err := json.Unmarshal(r.Detail, &started); err != nil {
			t.Fatal(err)
		}
		if started.BackendPID == pid {
			host, _, _ := net.SplitHostPort(started.Backend)
			return host
		}
	}
	return ""
}

// enter logs in and wants to be served by the site.
func enter(t *testing.T, p *proxy, by *site) (conn net.Conn, key string) {
	t.Helper()
	conn = dial(t, p.addr)
	greeting := login(t, conn, "bob", token("bob@example.com", "reader"))
	if got := servedBy(t, p, backendPID(greeting)); got != by.ip() {
		t.Errorf("served by %q, want %s", got, by.ip())
	}
	return conn, keyOf(greeting)
}

// Of several addresses one that works is found, whoever comes after the loss.
func TestTheFirstOfSeveralAddressesGoesDown(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		how  func(*site)
		most time.Duration
	}{
		{"refuses", func(*site) {}, 5 * time.Second},
		{"silent", (*site).deaf, 8 * time.Second}, // half of what connecting may take, and the rest
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			name := newName(t)
			p, sites := newSites(t, name, 2)
			leads(name, sites[0].ip(), sites[1].ip())
			running, _ := enter(t, p, sites[0])
			idle, _ := enter(t, p, sites[0])
			send(t, idle, message('X', ""))
			readAll(t, idle)
			sites[0].down()
			row.how(sites[0])
			lastWords(t, running, "08006")
			began := time.Now()
			next, key := enter(t, p, sites[1])
			if took := time.Since(began); took > row.most {
				t.Errorf("the login took %v", took)
			}
			wantCancelled(t, p, next, key)
		})
	}
}

// wantCancelled has a statement cancelled.
func wantCancelled(t *testing.T, p *proxy, conn net.Conn, key string) {
	t.Helper()
	marked := fmt.Sprintf("select pg_sleep(30) /* %x */", key)
	send(t, conn, query(marked))
	eventually(t, "the query runs", 20*time.Second, func() bool {
		return admin(t, "select count(*) from pg_stat_activity where state = 'active' and query = '"+marked+"'") == "1"
	})
	cancelWith(t, p, key)
	if got := receiveUntil(t, conn, 'Z'); got[len(got)-2].field('C') != "57014" {
		t.Errorf("got %v", got)
	}
}

// The name leads elsewhere from one connection to the next. Who is in stays where
// it is, and is cancelled there.
func TestTheNameLeadsElsewhere(t *testing.T) {
	t.Parallel()
	name := newName(t)
	p, sites := newSites(t, name, 2)
	leads(name, sites[0].ip())
	first, key := enter(t, p, sites[0])
	leads(name, sites[1].ip())
	enter(t, p, sites[1])
	before := [2]int{sites[0].connections(), sites[1].connections()}
	wantCancelled(t, p, first, key)
	if after := [2]int{sites[0].connections(), sites[1].connections()}; after != [2]int{before[0] + 1, before[1]} {
		t.Errorf("connections to the sites %v, then %v", before, after)
	}
	sites[0].down()
	lastWords(t, first, "08006")
	enter(t, p, sites[1])
}

// A name that leads nowhere: people are told so, by password and by token, and are
// let in as soon as it leads somewhere.
func TestTheNameLeadsNowhere(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, says string
		with       lookup
	}{
		{"unknown", "its host name is not known", lookup{code: noSuchName}},
		{"empty", "its host name is not known", lookup{}},
		{"failing", "its host name cannot be looked up", lookup{code: lookupFails}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			name := newName(t)
			p, sites := newSites(t, name, 1)
			answers(name, row.with)
			for user, password := range map[string]string{"alice": alicePassword, "bob": token("bob@example.com", "reader")} {
				answer := refused(t, p.dsn(user, password))
				if answer.Code != "57P03" || !strings.Contains(answer.Message, row.says) || answer.Hint == "" ||
					strings.Contains(answer.Message+answer.Detail, name) {
					t.Errorf("%s is told %+v", user, answer)
				}
			}
			for _, s := range p.sessions() {
				if s.State != store.StateRefused || s.EndReason != "postgresql_unreachable" {
					t.Errorf("recorded as %s, %s", s.State, s.EndReason)
				}
			}
			leads(name, sites[0].ip())
			enter(t, p, sites[0])
			connect(t, p.dsn("alice", alicePassword))
		})
	}
}

// While the name leads nowhere only for a moment, as in a failover, logins wait.
func TestTheNameLeadsNowhereForAMoment(t *testing.T) {
	t.Parallel()
	name := newName(t)
	p, sites := newSites(t, name, 2, func(o *options) { o.pool.RestartWait, o.pool.AcquireTimeout = time.Minute, time.Minute })
	leads(name, sites[0].ip())
	running, _ := enter(t, p, sites[0])
	sites[0].down()
	answers(name, lookup{code: noSuchName})
	lastWords(t, running, "08006")
	const n = 4 // as many as may have a backend at once, and fewer
	came := make(chan string, n)
	for range n {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database)+message('p', token("bob@example.com", "reader")+"\x00"))
		go func() {
			for {
				m, err := tryReceive(conn)
				if err != nil || m.kind == 'E' || m.kind == 'Z' {
					came <- fmt.Sprint(string(m.kind), err)
					return
				}
			}
		}()
	}
	eventually(t, "the loss is noticed by a login", 20*time.Second, func() bool { return len(p.records("auth.succeeded")) > n })
	select {
	case got := <-came:
		t.Fatalf("a login did not wait: %s", got)
	case <-time.After(300 * time.Millisecond): // some attempts
	}
	leads(name, sites[1].ip())
	for range n {
		if got := <-came; got != "Z<nil>" {
			t.Errorf("a login that waited got %s", got)
		}
	}
}
