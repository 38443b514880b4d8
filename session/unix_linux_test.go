// Clients over Unix sockets: what counts for an address elsewhere counts for the operating system's user, and there is no TLS.
package session_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gprxy/pool/pooltest"
	"gprxy/session"
	"gprxy/store"
)

// unixListener opens another socket of the proxy's, with an abstract name, which every user of the machine can reach.
func (p *proxy) unixListener() string {
	p.t.Helper()
	name := fmt.Sprintf("@gprxy-session-%d-%s", os.Getpid(), strings.ReplaceAll(p.t.Name(), "/", "-"))
	socket, err := net.Listen("unix", name)
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.server.Serve(p.t.Context(), socket) }()
	p.t.Cleanup(func() { socket.Close(); <-done })
	return name
}

func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// dialAsUser connects as another user of the machine: the kernel notes the effective user of the thread that connects
// (unix(7), SO_PEERCRED). Only root may become another one.
func dialAsUser(t *testing.T, path string, uid int) (conn net.Conn) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		unchanged := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 {
			t.Fatal(errno)
		}
	}
	become(uid)
	defer become(os.Getuid())
	return dialUnix(t, path)
}

// beginLogin asks to be let in, up to the question for the password.
func beginLogin(t *testing.T, conn net.Conn, user string) net.Conn {
	t.Helper()
	send(t, conn, startupPacket(3<<16, "user", user, "database", database))
	if m := receive(t, conn); m.kind != 'R' {
		t.Fatalf("got %v, want the question for a password", m)
	}
	return conn
}

const anotherUser = 65534 // nobody

func TestUsersOfUnixSocketsAreLimitedAsAddresses(t *testing.T) {
	t.Parallel()
	p := startProxy(t, limited(session.Limits{LoginsPerAddress: 1, Failures: 4, FailureMemory: time.Hour}))
	listener := p.unixListener()
	others := map[string]func() net.Conn{"over TCP": func() net.Conn { return dial(t, p.addr) }}
	if os.Getuid() == 0 {
		others["another user"] = func() net.Conn { return dialAsUser(t, listener, anotherUser) }
	}

	// LOGIN_MAX_PER_ADDRESS: the user's own next connection takes the place, and nobody else's.
	waiting := map[string]net.Conn{}
	for name, connect := range others {
		waiting[name] = beginLogin(t, connect(), "bob")
	}
	first := beginLogin(t, dialUnix(t, listener), "bob")
	second := beginLogin(t, dialUnix(t, listener), "bob")
	wantFatal(t, first, "53300")
	waiting["the same user"] = second
	for name, conn := range waiting {
		send(t, conn, message('p', token("bob@example.com", "reader")+"\x00"))
		if m := receive(t, conn); m.kind != 'R' {
			t.Errorf("%s: %v", name, m)
		}
		receiveUntil(t, conn, 'Z')
	}

	// LOGIN_MAX_FAILURES: who has guessed is not looked at any more, and everybody else is.
	guess := func(connect func() net.Conn, password string) (answer received) {
		t.Helper()
		eventually(t, "the place of the guess before is free", 20*time.Second, func() bool {
			conn := connect()
			defer conn.Close()
			send(t, conn, startupPacket(3<<16, "user", "alice", "database", database))
			if m := receive(t, conn); m.kind != 'R' {
				return false
			}
			send(t, conn, message('p', password+"\x00"))
			answer = receive(t, conn)
			return true
		})
		return answer
	}
	self := func() net.Conn { return dialUnix(t, listener) }
	for range 4 {
		if m := guess(self, "a guess"); m.field('C') != "28P01" {
			t.Errorf("a guess: %v", m)
		}
	}
	if m := guess(self, alicePassword); m.field('C') != "28P01" {
		t.Errorf("after four guesses: %v", m)
	}
	wantRefusedFor(t, p, "too_many_failures")
	for name, connect := range others {
		if m := guess(connect, alicePassword); m.kind != 'R' {
			t.Errorf("%s, after another's guesses: %v", name, m)
		}
	}

	// The event says who it was.
	uids := map[uint32]bool{}
	for _, r := range p.records(store.SessionConnected{}.Type()) {
		var f store.SessionConnected
		if err := json.Unmarshal(r.Detail, &f); err != nil {
			t.Fatal(err)
		}
		if f.Peer != nil {
			uids[f.Peer.UID] = true
		}
	}
	if !uids[uint32(os.Getuid())] || os.Getuid() == 0 && !uids[anotherUser] || len(uids) > 2 {
		t.Errorf("the events have the users %v", uids)
	}
}

// clientHello is how a client begins a TLS handshake in which it names the protocols.
func clientHello(t *testing.T, protocols ...string) string {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}).Handshake() // ends with the pipe
	hello := make([]byte, 16<<10)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return string(hello[:n])
}

// What asks for TLS on a Unix socket gets PostgreSQL's answer, although both have a certificate: N to a question, and to a
// handshake without one (sslnegotiation=direct of PostgreSQL 17) nothing at all.
func TestNoTLSOnUnixSockets(t *testing.T) {
	t.Parallel()
	bin, err := pooltest.Release(t.Context(), pooltest.NewestMajor, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	server := pooltest.New(t, pooltest.Options{BinDir: bin, TLS: true})
	_, secure := withTLS(t)
	p := startProxy(t, secure)
	ways := map[string]string{"PostgreSQL": filepath.Join(server.SocketDir, fmt.Sprintf(".s.PGSQL.%d", server.Port)),
		"gprxy": p.unixListener()}
	for name, hello := range map[string]string{"a direct handshake": clientHello(t, "postgresql"), "one without ALPN": clientHello(t),
		"one for another protocol": clientHello(t, "h2")} {
		answers := map[string]string{}
		for way, path := range ways {
			conn := dialUnix(t, path)
			send(t, conn, hello)
			answer, err := io.ReadAll(conn)
			answers[way] = fmt.Sprintf("%q, %v", answer, err)
		}
		if answers["gprxy"] != answers["PostgreSQL"] {
			t.Errorf("%s: gprxy answers %s, PostgreSQL %s", name, answers["gprxy"], answers["PostgreSQL"])
		}
	}
	for way, path := range ways {
		conn := dialUnix(t, path)
		send(t, conn, sslRequest)
		if answer := receiveByte(t, conn); answer != 'N' {
			t.Errorf("%s answers %q to an SSLRequest", way, answer)
		}
	}
	conn := dialUnix(t, ways["gprxy"])
	send(t, conn, sslRequest)
	receiveByte(t, conn)
	login(t, conn, "bob", token("bob@example.com", "reader")) // goes on in plain text
}
