package session_test

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"gprxy/session"
	"gprxy/store"
)

// Load balancers that say whose connection it is.

// fromLoadBalancers trusts this machine as one.
func fromLoadBalancers(o *options) {
	o.trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	o.session.RequireTLS = session.TLSNever
}

func headerV1(client string) string {
	a := netip.MustParseAddrPort(client)
	return fmt.Sprintf("PROXY TCP%d %s %s %d 5432\r\n", map[bool]int{true: 4, false: 6}[a.Addr().Is4()], a.Addr(), a.Addr(), a.Port())
}

func headerV2(client string) string {
	a := netip.MustParseAddrPort(client)
	ip := a.Addr().AsSlice()
	family := map[int]byte{4: 0x11, 16: 0x21}[len(ip)]
	rest := append(append(ip, ip...), byte(a.Port()>>8), byte(a.Port()), 0x15, 0x38)
	rest = append(rest, 0x04, 0, 2, 'o', 'k') // a TLV
	head := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, family)
	return string(append(binary.BigEndian.AppendUint16(head, uint16(len(rest))), rest...))
}

const headerLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// dialAs connects through the load balancer as client, an address and a port.
func dialAs(t *testing.T, p *proxy, client string) net.Conn {
	t.Helper()
	conn := dial(t, p.addr)
	send(t, conn, headerV1(client))
	return conn
}

// connectedVia is the proxy of the newest session.connected.
func connectedVia(t *testing.T, p *proxy) string {
	t.Helper()
	all := p.records("session.connected")
	var fact store.SessionConnected
	if err := json.Unmarshal(all[len(all)-1].Detail, &fact); err != nil {
		t.Fatal(err)
	}
	return fact.Via
}

func TestTheTrueAddressIsRecorded(t *testing.T) {
	t.Parallel()
	p := startProxy(t, fromLoadBalancers)
	for _, header := range []struct{ name, sent, client string }{
		{"v1", headerV1("192.0.2.9:4242"), "192.0.2.9:4242"},
		{"v1 over IPv6", headerV1("[2001:db8::7]:4242"), "[2001:db8::7]:4242"},
		{"v2", headerV2("192.0.2.10:4243"), "192.0.2.10:4243"},
		{"v2 over IPv6", headerV2("[2001:db8::8]:4244"), "[2001:db8::8]:4244"},
		{"a client nobody knows", "PROXY UNKNOWN\r\n", ""},
		{"the load balancer itself", headerLocal, ""},
	} {
		t.Run(header.name, func(t *testing.T) {
			conn := dial(t, p.addr)
			if header.client == "" {
				header.client = conn.LocalAddr().String()
			}
			send(t, conn, header.sent)
			key := keyOf(login(t, conn, "bob", token("bob@example.com", "reader")))
			send(t, conn, query("select 1"))
			receiveUntil(t, conn, 'Z')
			if got := p.sessions()[0].Client; got != header.client {
				t.Errorf("recorded client %s, want %s", got, header.client)
			}
			if got := connectedVia(t, p); got != conn.LocalAddr().String() {
				t.Errorf("recorded via %q, want the load balancer %s", got, conn.LocalAddr())
			}
			cancelled := dial(t, p.addr)
			send(t, cancelled, headerV2("192.0.2.77:1"), packet(cancelCode, key[:4]+"\x00\x00\x00\x00"))
			readAll(t, cancelled)
			if all := p.records("cancel.rejected"); all[len(all)-1].Client != "192.0.2.77:1" {
				t.Errorf("recorded the cancel of %s", all[len(all)-1].Client)
			}
		})
	}
}

// A forwarded client is not on this machine, whatever the header says.
func TestForwardedClientsNeedTLS(t *testing.T) {
	t.Parallel()
	config, secure := withTLS(t)
	p := startProxy(t, fromLoadBalancers, secure, func(o *options) { o.session.RequireTLS = session.TLSOffLoopback })
	for _, header := range []string{headerV1("192.0.2.9:1"), headerV2("127.0.0.1:1"), headerV1("[::1]:1"), "PROXY UNKNOWN\r\n", headerLocal} {
		conn := dial(t, p.addr)
		send(t, conn, header, startupPacket(3<<16, "user", "bob", "database", database))
		wantFatal(t, conn, "28000")
	}
	conn := dialAs(t, p, "192.0.2.9:1")
	send(t, conn, sslRequest)
	receiveByte(t, conn)
	login(t, tls.Client(conn, config), "bob", token("bob@example.com", "reader"))
	if s := p.sessions()[0]; s.Client != "192.0.2.9:1" || s.TLS == "" {
		t.Errorf("session %+v", s)
	}
}

func TestHeadersWhereNoneIsDue(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for _, header := range []string{headerV1("192.0.2.9:1"), headerV2("192.0.2.9:1")} {
		conn := dial(t, p.addr)
		send(t, conn, header)
		if m := wantFatal(t, conn, "08P01"); !strings.Contains(m.field('H'), "TRUSTED_PROXIES") {
			t.Errorf("hint %q", m.field('H'))
		}
	}
	if all := p.records(); len(all) != 0 {
		t.Errorf("events %v", all)
	}
}

func TestConnectionsWithoutTheirHeader(t *testing.T) {
	t.Parallel()
	p := startProxy(t, fromLoadBalancers)
	for _, sent := range []string{startupPacket(3<<16, "user", "bob"), sslRequest + "xxxx", "PROXY TCP4 nobody\r\n"} {
		conn := dial(t, p.addr)
		send(t, conn, sent)
		if m := wantFatal(t, conn, "08P01"); !strings.Contains(m.field('H'), "TRUSTED_PROXIES") {
			t.Errorf("hint %q", m.field('H'))
		}
	}
	for range 5 {
		dial(t, p.addr).Close() // a health check
	}
	if all := p.records(); len(all) != 0 {
		t.Errorf("events %v", all)
	}
}

// What looks at the client's socket still finds it under the load balancer's
// header: what was sent in plain text ahead of the handshake is seen there.
func TestPlaintextBeforeTheHandshakeOfAForwardedClient(t *testing.T) {
	t.Parallel()
	_, secure := withTLS(t)
	p := startProxy(t, fromLoadBalancers, secure)
	conn := dial(t, p.addr)
	send(t, conn, headerV2("192.0.2.9:1"), sslRequest, query("select 'injected'"))
	wantFatal(t, conn, "08P01")
}
