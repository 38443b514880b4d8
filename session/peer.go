package session

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/user"
	"strconv"

	"gprxy/session/socket"
	"gprxy/store"
)

// A peer is the process at the other end of a Unix socket, as the kernel knows it since it connected.
type peer struct {
	uid uint32
	pid int32
}

// localClient is the address of who comes over a Unix socket, which has none, in the form that PostgreSQL's log has.
const localClient = "[local]"

func originOfUnix(conn *net.UnixConn) origin {
	o := origin{address: localClient, local: true, unix: true}
	if uid, pid, known := socket.Credentials(conn); known {
		o.peer, o.prefix = &peer{uid: uid, pid: pid}, peerPrefix(uid)
	}
	return o
}

// peers has the prefixes of users.
var peers = netip.MustParsePrefix("100::/64")

// peerPrefix is what counts as one address in limits: the user. It lies in the network that no packet comes from
// (100::/64, RFC 6666), and is longer than the prefixes of IPv6 clients, so that none of them is the same.
func peerPrefix(uid uint32) netip.Prefix {
	address := [16]byte{0: 1}
	binary.BigEndian.PutUint32(address[12:], uid)
	return netip.PrefixFrom(netip.AddrFrom16(address), 128)
}

// peerName is such a prefix as people write it.
func peerName(p netip.Prefix) string {
	address := p.Addr().As16()
	return localClient + " uid " + strconv.FormatUint(uint64(binary.BigEndian.Uint32(address[12:])), 10)
}

// fact is nil where nothing is known. A user without a name is in no passwd file, as those of containers often are.
func (p *peer) fact() *store.Peer {
	if p == nil {
		return nil
	}
	fact := &store.Peer{UID: p.uid, PID: p.pid}
	if known, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
		fact.User = known.Username
	}
	return fact
}
