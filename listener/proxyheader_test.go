package listener

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// binaryHeader is a version 2 header.
func binaryHeader(command, family byte, rest string) string {
	head := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

const (
	addresses4 = "\x0a\x01\x02\x03\x0a\x09\x09\x09\x10\x92\x15\x38" // 10.1.2.3:4242 to 10.9.9.9:5432
	v6Source   = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
	// 10.1.2.3 as IPv6 writes it
	mappedSource = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x01\x02\x03"
	addresses6   = v6Source + v6Source + "\x10\x92\x15\x38"
)

func TestReadHeader(t *testing.T) {
	tests := []struct {
		name, sent string
		want       string // the client, "" for nobody, or what is wrong
	}{
		{"v1 over IPv4", "PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432\r\n", "10.1.2.3:4242"},
		{"v1 over IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4242 5432\r\n", "[2001:db8::7]:4242"},
		{"v1, the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"v1, IPv4 within IPv6", "PROXY TCP6 ::ffff:10.1.2.3 ::1 4242 5432\r\n", "10.1.2.3:4242"},
		{"v1 unknown", "PROXY UNKNOWN\r\n", ""},
		{"v1 unknown with words", "PROXY UNKNOWN some thing\r\n", ""},
		{"v2 over IPv4", binaryHeader(0x21, 0x11, addresses4), "10.1.2.3:4242"},
		{"v2 over IPv6", binaryHeader(0x21, 0x21, addresses6), "[2001:db8::7]:4242"},
		{"v2, IPv4 within IPv6", binaryHeader(0x21, 0x21, mappedSource+v6Source+"\x10\x92\x15\x38"), "10.1.2.3:4242"},
		{"v2 with TLVs", binaryHeader(0x21, 0x11, addresses4+"\x04\x00\x03abc"), "10.1.2.3:4242"},
		{"v2, the longest", binaryHeader(0x21, 0x11, addresses4+strings.Repeat("x", maxAddresses-12)), "10.1.2.3:4242"},
		{"v2 local", binaryHeader(0x20, 0x00, ""), ""},
		{"v2 local with addresses", binaryHeader(0x20, 0x11, addresses4), ""},
		{"v2 of no family", binaryHeader(0x21, 0x00, "whatever"), ""},
		{"v2 of a Unix socket", binaryHeader(0x21, 0x31, strings.Repeat("\x00", 216)), ""},

		{"a startup packet", "\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x08", "does not begin"},
		{"v1 in small letters", "proxy TCP4 10.1.2.3 10.9.9.9 4242 5432\r\n", "does not begin"},
		{"v1 without CR", "PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432\n", "does not end"},
		{"v1 without end", "PROXY UNKNOWN " + strings.Repeat("x", 200), "longer than 107"},
		{"v1 of 108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "longer than 107"},
		{"v1 of another family", "PROXY UDP4 10.1.2.3 10.9.9.9 4242 5432\r\n", "not one of"},
		{"v1, two blanks", "PROXY TCP4  10.1.2.3 10.9.9.9 4242 5432\r\n", "not one of"},
		{"v1, a word too many", "PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432 1\r\n", "not one of"},
		{"v1, a word too few", "PROXY TCP4 10.1.2.3 10.9.9.9 4242\r\n", "not one of"},
		{"v1, a name", "PROXY TCP4 localhost 10.9.9.9 4242 5432\r\n", "none of TCP4"},
		{"v1, IPv6 as IPv4", "PROXY TCP4 ::1 ::1 4242 5432\r\n", "none of TCP4"},
		{"v1, a zone", "PROXY TCP6 fe80::1%eth0 ::1 4242 5432\r\n", "none of TCP6"},
		{"v1, a name as IPv6", "PROXY TCP6 localhost ::1 4242 5432\r\n", "none of TCP6"},
		{"v1, a port with leading zeros", "PROXY TCP4 10.1.2.3 10.9.9.9 04242 5432\r\n", "none of TCP4"},
		{"v1, leading zeros", "PROXY TCP4 10.01.2.3 10.9.9.9 4242 5432\r\n", "none of TCP4"},
		{"v1, a port with a sign", "PROXY TCP4 10.1.2.3 10.9.9.9 +4242 5432\r\n", "none of TCP4"},
		{"v1, a port too large", "PROXY TCP4 10.1.2.3 10.9.9.9 65536 5432\r\n", "none of TCP4"},
		{"v1, a bad destination", "PROXY TCP4 10.1.2.3 10.9.9 4242 5432\r\n", "none of TCP4"},
		{"v2 of version 1", binaryHeader(0x11, 0x11, addresses4), "version and command 0x11"},
		{"v2 of an unknown command", binaryHeader(0x22, 0x11, addresses4), "version and command 0x22"},
		{"v2 over UDP", binaryHeader(0x21, 0x12, addresses4), "transport 0x12"},
		{"v2 too long", binaryHeader(0x21, 0x11, addresses4+strings.Repeat("x", maxAddresses)), "4108 bytes"},
		{"v2 too short for IPv4", binaryHeader(0x21, 0x11, addresses4[:11]), "too short"},
		{"v2 too short for IPv6", binaryHeader(0x21, 0x21, addresses6[:35]), "too short"},
		{"v2 cut in its fixed part", binaryHeader(0x21, 0x11, "")[:14], "cut short"},
		{"v2 cut in the addresses", binaryHeader(0x21, 0x11, addresses4)[:20], "cut short"},
		{"v2 cut in the TLVs", binaryHeader(0x21, 0x11, strings.Repeat("x", 300))[:100], "cut short"},
		{"v1 cut", "PROXY TCP4 10.1.", "cut short"},
		{"nothing", "", errNoHeader.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const next = "the client's own"
			r := strings.NewReader(test.sent)
			if !strings.Contains(test.want, "cut short") && test.sent != "" {
				r = strings.NewReader(test.sent + next)
			}
			client, err := readHeader(r)
			if err != nil {
				if test.want == "" || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %q, want %q", err, test.want)
				}
				return
			}
			want, err := netip.ParseAddrPort(test.want)
			if client != want || err != nil && test.want != "" {
				t.Errorf("client %v, want %q", client, test.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != next {
				t.Errorf("%q is left, want %q", rest, next)
			}
		})
	}
}

// FuzzHeader: whatever stands in front of a connection, reading it ends within
// its bounds, and what is read is an address or nobody.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432\r\nrest", "PROXY TCP6 ::1 ::ffff:1.2.3.4 1 0\r\n", "PROXY UNKNOWN\r\n",
		binaryHeader(0x21, 0x11, addresses4) + "rest", binaryHeader(0x21, 0x21, addresses6+"\x04\x00\x01x"),
		binaryHeader(0x20, 0, ""), binaryHeader(0x21, 0x31, strings.Repeat("x", 216)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := strings.NewReader(string(sent))
		client, err := readHeader(r)
		read := len(sent) - r.Len()
		if most := len(signature) + binaryFixed + maxAddresses; read > most {
			t.Errorf("%d bytes were read, more than %d", read, most)
		}
		if err == nil && client.Addr().IsValid() && (client.Addr().Is4In6() || client.Addr().Zone() != "") {
			t.Errorf("client %v", client)
		}
		if bad, ok := errors.AsType[*HeaderError](err); err != nil && !errors.Is(err, errNoHeader) && (!ok || bad.What == "") {
			t.Errorf("error %v", err)
		}
	})
}

// behindProxies serves with loopback trusted. names gets what Handle is given,
// whys what Refuse is.
func behindProxies(t *testing.T) (s *Server, addr string, names, whys chan string) {
	t.Helper()
	names, whys = make(chan string, 10), make(chan string, 10)
	s = &Server{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	s.Handle = func(_ ctx, conn net.Conn) {
		_, passedOn := conn.(*Forwarded)
		names <- conn.RemoteAddr().String()
		if passedOn {
			io.Copy(conn, conn)
		}
	}
	s.Refuse = func(_ ctx, _ net.Conn, why error) { whys <- why.Error() }
	addr, ended := serve(t, s, nil)
	t.Cleanup(func() {
		limit, done := deadline(t)
		defer done()
		s.Shutdown(limit, 0)
		<-ended
	})
	return s, addr, names, whys
}

func TestHeadersAreBelievedFromTrustedProxiesOnly(t *testing.T) {
	_, addr, names, whys := behindProxies(t)
	conn := dial(t, addr)
	io.WriteString(conn, "PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432\r\n")
	if got := <-names; got != "10.1.2.3:4242" {
		t.Errorf("client %s", got)
	}
	exchange(t, conn)

	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	stranger, err := from.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	io.WriteString(stranger, "PROXY TCP4 10.1.2.3 10.9.9.9 4242 5432\r\n")
	if got := <-names; !strings.HasPrefix(got, "127.0.0.2:") {
		t.Errorf("client %s, want the stranger's own address", got)
	}

	io.WriteString(dial(t, addr), "\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x08")
	if got := <-whys; !strings.Contains(got, "does not begin") {
		t.Errorf("refused because %q", got)
	}
}

// A load balancer that only looks whether the port is open is no fault.
func TestHealthChecksBeforeAHeader(t *testing.T) {
	_, addr, names, whys := behindProxies(t)
	for range 5 {
		dial(t, addr).Close()
	}
	reset := dial(t, addr)
	reset.(*net.TCPConn).SetLinger(0)
	reset.Close()
	io.WriteString(dial(t, addr), binaryHeader(commandLocal, 0, ""))
	if got := <-names; !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("client %s, want the proxy itself", got)
	}
	if len(whys) != 0 {
		t.Errorf("refused because %q", <-whys)
	}
}

// Which connections begin with a header is decided by the address alone, however the kernel writes it.
func TestWhoIsTrusted(t *testing.T) {
	s := &Server{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/10")}}
	for _, test := range []struct {
		name    string
		address net.Addr
		trusted bool
	}{
		{"within", &net.TCPAddr{IP: net.IP{10, 1, 2, 3}}, true},
		{"within, as IPv6 writes it", &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, true},
		{"within, with a zone", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, true},
		{"beside", &net.TCPAddr{IP: net.IP{10, 2, 2, 3}}, false},
		{"beside, as IPv6 writes it", &net.TCPAddr{IP: net.IPv4(10, 2, 2, 3)}, false},
		{"a Unix socket", &net.UnixAddr{Name: "10.1.2.3"}, false},
	} {
		if got := s.trusts(test.address); got != test.trusted {
			t.Errorf("%s: trusted %v", test.name, got)
		}
	}
}

// limitedConn notes how long it may be read.
type limitedConn struct {
	net.Conn
	until time.Time
}

func (c *limitedConn) SetReadDeadline(until time.Time) error {
	c.until = until
	return nil
}

// A header has its time; once it is read the client has all it wants.
func TestAHeaderHasItsTime(t *testing.T) {
	s, conn := &Server{}, &limitedConn{}
	before := time.Now()
	if !s.beginHeader(conn) || conn.until.Before(before.Add(headerTimeout)) || conn.until.After(time.Now().Add(headerTimeout)) {
		t.Errorf("a header may take until %v", conn.until)
	}
	s.endHeader(conn)
	if !conn.until.IsZero() || len(s.headers) != 0 {
		t.Errorf("after its header a connection may be read until %v; %d are waited on", conn.until, len(s.headers))
	}
	s.stopping = true
	if !s.beginHeader(conn) || conn.until.After(before) {
		t.Errorf("in a shutdown a header may take until %v", conn.until)
	}
}

func TestOnlySoManyHeadersAreWaitedFor(t *testing.T) {
	s, addr, _, whys := behindProxies(t)
	s.mu.Lock()
	s.headers = make(map[net.Conn]struct{})
	for range maxHeaderWaits {
		s.headers[&limitedConn{}] = struct{}{}
	}
	s.mu.Unlock()
	dial(t, addr)
	if got := <-whys; got != errHeaderWaits.Error() {
		t.Errorf("refused because %q", got)
	}
}

// A connection that waits for its header does not hold up the end.
func TestShutdownDoesNotWaitForHeaders(t *testing.T) {
	s, addr, _, whys := behindProxies(t)
	io.WriteString(dial(t, addr), "PROXY ")
	for s.Open() == 0 {
		time.Sleep(time.Millisecond)
	}
	limit, done := deadline(t)
	defer done()
	if err := s.Shutdown(limit, 0); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	if got := <-whys; got != errHeaderLate.Error() {
		t.Errorf("refused because %q", got)
	}
}
