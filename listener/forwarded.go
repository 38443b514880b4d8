package listener

import (
	"net"
	"net/netip"
	"time"
)

// A Forwarded is a connection that a trusted proxy has passed on; its header has
// been read.
type Forwarded struct {
	net.Conn // to the proxy
	client   net.Addr
}

// NetConn is the connection to the proxy.
func (f *Forwarded) NetConn() net.Conn { return f.Conn }

// Client is who the proxy says is at the far end, or nil if it does not say.
func (f *Forwarded) Client() net.Addr { return f.client }

// RemoteAddr is the client's address, or the proxy's if that is all there is.
func (f *Forwarded) RemoteAddr() net.Addr {
	if f.client == nil {
		return f.Conn.RemoteAddr()
	}
	return f.client
}

const (
	// A proxy sends its header at once.
	headerTimeout = 5 * time.Second
	// How many connections may be waited on for their header: proxies that are
	// trusted need few, so more is somebody else within TRUSTED_PROXIES.
	maxHeaderWaits = 1000
)

var errHeaderWaits = &HeaderError{"too many connections are waited on for their PROXY protocol header"}

// trusts tells whether connections from address begin with a header.
func (s *Server) trusts(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, trusted := range s.TrustedProxies {
		if trusted.Contains(ip) {
			return true
		}
	}
	return false
}

// introduce finds out whose connection it is. A header of an address that is not
// trusted stays where it is: to Handle it is what any stranger might send.
func (s *Server) introduce(conn net.Conn) (net.Conn, error) {
	if !s.trusts(conn.RemoteAddr()) {
		return conn, nil
	}
	if !s.beginHeader(conn) {
		return conn, errHeaderWaits
	}
	client, err := readHeader(conn)
	s.endHeader(conn)
	switch {
	case err != nil:
		return conn, err
	case client == netip.AddrPort{}:
		return &Forwarded{Conn: conn}, nil
	}
	return &Forwarded{conn, net.TCPAddrFromAddrPort(client)}, nil
}

func (s *Server) beginHeader(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.headers) >= maxHeaderWaits {
		return false
	}
	if s.headers == nil {
		s.headers = make(map[net.Conn]struct{})
	}
	s.headers[conn] = struct{}{}
	deadline := time.Now().Add(headerTimeout)
	if s.stopping {
		deadline = longAgo
	}
	conn.SetReadDeadline(deadline)
	return true
}

func (s *Server) endHeader(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.headers, conn)
	conn.SetReadDeadline(time.Time{})
}

var longAgo = time.Unix(1, 0)
