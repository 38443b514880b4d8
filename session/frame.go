package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// A frame of the protocol is a type byte, a length that counts itself but not
// the type, and a body (manual: "Message Formats"). Startup packets lack the
// type. Everything here comes from strangers: a length is checked before one
// byte of the body is read or allocated.

const (
	// PostgreSQL's MAX_STARTUP_PACKET_LENGTH, without the length itself.
	maxStartupBody = 10_000
	// PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH: what a password message may hold.
	maxPasswordBody = 65_535
)

// readStartupBody reads one startup packet without its length. It takes not one
// byte more from r than the packet has: what follows may be a TLS handshake.
func readStartupBody(r io.Reader) ([]byte, error) {
	var head [wire.LengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, refusal.ClientLeft(err)
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - wire.LengthSize
	if size < wire.LengthSize || size > maxStartupBody {
		return nil, refusal.StartupLength(string(head[:]))
	}
	return readBody(r, int(size))
}

// readFrame reads one frame of the given type whose body is at most limit bytes.
func readFrame(r io.Reader, kind byte, limit int) ([]byte, error) {
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
