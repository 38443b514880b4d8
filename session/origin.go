package session

import (
	"net"
	"net/netip"
)

// An origin is where a client comes from, as the log and the limits see it.
type origin struct {
	address string // and port
	via     string // the proxy that passed the connection on, "" if none did
	local   bool   // on this machine
	unix    bool   // over a Unix socket, where there is no TLS
	peer    *peer  // who is at the other end of a Unix socket; nil if the kernel does not say
	// prefix is what counts as one address in limits: the address itself, of IPv6
	// the /64 that one machine has to itself. The zero value: nobody knows, so only
	// the limits over all clients hold.
	prefix netip.Prefix
}

// forwarded is a connection that a trusted proxy has passed on, as
// listener.Forwarded is. What lies below is used from then on: the relay needs
// the socket itself.
type forwarded interface {
	net.Conn
	NetConn() net.Conn
	Client() net.Addr // nil if the proxy does not say
}

// originOf tells where conn comes from, and gives the socket under it.
func originOf(conn net.Conn) (origin, net.Conn) {
	f, ok := conn.(forwarded)
	if !ok {
		address := conn.RemoteAddr()
		if socket, unix := conn.(*net.UnixConn); unix {
			return originOfUnix(socket), conn
		}
		return origin{address: address.String(), local: onLoopback(address), prefix: prefixOf(address)}, conn
	}
	// Whoever a proxy speaks for is not known to be on this machine, even when
	// the proxy is.
	o := origin{address: f.RemoteAddr().String(), via: f.NetConn().RemoteAddr().String()}
	if address := f.Client(); address != nil {
		o.prefix = prefixOf(address)
	}
	return o, f.NetConn()
}

func prefixOf(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // fails for bits that no address has
	return prefix
}

// onLoopback tells whether the client is on this machine.
func onLoopback(address net.Addr) bool {
	switch a := address.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// prefixName is an origin as people write it: an address, or an IPv6 network.
func prefixName(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case peers.Contains(p.Addr()):
		return peerName(p)
	case p.IsSingleIP():
		return p.Addr().String()
	default:
		return p.String()
	}
}
