// Packets: the codes of a startup packet, and how it and the frames of the login are read.

package startup

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// Codes that stand in a startup packet in place of a protocol version.
const (
	CancelRequest = 1234<<16 | 5678
	SSLRequest    = 1234<<16 | 5679
	GSSENCRequest = 1234<<16 | 5680
)

const (
	Protocol30 = 3 << 16
	Protocol32 = 3<<16 | 2 // the newest that gprxy speaks
)

// HandshakeRecord begins a TLS handshake. No startup packet begins with it: its
// length would be far too large.
const HandshakeRecord = 0x16

// ALPN is what a client that begins with the handshake must ask for (PostgreSQL 17's sslnegotiation=direct). Without it the
// client could be one of another protocol that an attacker talked into sending its bytes here (ALPACA). PostgreSQL insists too.
const ALPN = "postgresql"

// A frame of the protocol is a type byte, a length that counts itself but not
// the type, and a body (manual: "Message Formats"). Startup packets lack the
// type. Everything here comes from strangers: a length is checked before one
// byte of the body is read or allocated.

const (
	// PostgreSQL's MAX_STARTUP_PACKET_LENGTH, without the length itself.
	maxPacket = 10_000
	// MaxPassword is PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH: what a password message may hold, in bytes.
	MaxPassword = 65_535
)

// ReadPacket reads one startup packet without its length. It takes not one
// byte more from r than the packet has: what follows may be a TLS handshake.
func ReadPacket(r io.Reader) ([]byte, error) {
	var head [wire.LengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, refusal.ClientLeft(err)
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - wire.LengthSize
	if size < wire.LengthSize || size > maxPacket {
		return nil, refusal.StartupLength(string(head[:]))
	}
	return readBody(r, int(size))
}

// ReadFrame reads one frame of the given type whose body is at most limit bytes.
func ReadFrame(r io.Reader, kind byte, limit int) ([]byte, error) {
	var head [wire.HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, refusal.ClientLeft(err)
	}
	if head[0] == wire.Terminate {
		return nil, refusal.ErrNoPassword
	}
	if head[0] != kind {
		return nil, refusal.Malformed(fmt.Sprintf("expected password response, got message type %d", head[0]))
	}
	size := int64(binary.BigEndian.Uint32(head[1:])) - wire.LengthSize
	switch {
	case size < 0:
		return nil, refusal.Unintelligible("invalid message length")
	case size > int64(limit):
		return nil, refusal.Malformed("invalid message length") // where PostgreSQL says nothing: it may be the token of a person
	}
	return readBody(r, int(size))
}

// readBody reads size bytes. What it allocates follows what has come, not what
// was announced: a stranger pays for memory with bytes of its own.
func readBody(r io.Reader, size int) ([]byte, error) {
	body := make([]byte, 0, min(size, firstRead))
	for {
		have := len(body)
		body = body[:min(size, cap(body))]
		if _, err := io.ReadFull(r, body[have:]); err != nil {
			return nil, refusal.ClientLeft(err)
		}
		if len(body) == size {
			return body, nil
		}
		body = slices.Grow(body, min(len(body), size-len(body)))
	}
}

// firstRead has room for most startup packets and passwords.
const firstRead = 512
