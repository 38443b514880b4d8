package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"gprxy/session/refusal"
)

// A frame of the protocol is a type byte, a length that counts itself but not
// the type, and a body (manual: "Message Formats"). Startup packets lack the
// type. Everything here comes from strangers: a length is checked before one
// byte of the body is read or allocated.

const (
	frameHeaderSize = 5
	lengthSize      = 4

	// PostgreSQL's MAX_STARTUP_PACKET_LENGTH, without the length itself.
	maxStartupBody = 10_000
	// PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH: what a password message may hold.
	maxPasswordBody = 65_535
)

// readStartupBody reads one startup packet without its length. It takes not one
// byte more from r than the packet has: what follows may be a TLS handshake.
func readStartupBody(r io.Reader) ([]byte, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, clientLeft(err)
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - lengthSize
	if size < lengthSize || size > maxStartupBody {
		return nil, refusal.StartupLength(string(head[:]))
	}
	return readBody(r, int(size))
}

// readFrame reads one frame of the given type whose body is at most limit bytes.
func readFrame(r io.Reader, kind byte, limit int) ([]byte, error) {
	var head [frameHeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, clientLeft(err)
	}
	if head[0] == msgTerminate {
		return nil, refusal.ErrNoPassword
	}
	if head[0] != kind {
		return nil, refusal.Malformed(fmt.Sprintf("expected password response, got message type %d", head[0]))
	}
	size := int64(binary.BigEndian.Uint32(head[1:])) - lengthSize
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
			return nil, clientLeft(err)
		}
		if len(body) == size {
			return body, nil
		}
		body = slices.Grow(body, min(len(body), size-len(body)))
	}
}

// firstRead has room for most startup packets and passwords.
const firstRead = 512

// A frameWalker finds the frames in a stream that passes by in chunks. It holds
// no more than a header and what somebody asks for of a body that comes in pieces.
type frameWalker struct {
	header [frameHeaderSize]byte
	have   int    // bytes of header seen
	left   uint32 // bytes of the current body still to come
	kind   byte   // of the current frame
	wanted bool   // by frameBody
	due    uint32 // bytes still to come for frameBody
	body   []byte // those that came, if they come in pieces
	lost   bool   // a length was impossible: frames cannot be told apart any more
	held   *bool  // if set and true, walk stops behind the frame that made it so
}

// A frameVisitor is told of every frame that passes.
type frameVisitor interface {
	// frameStart is called once the header is whole; size is the body's. It
	// returns how many bytes of the body frameBody is to get, 0 for no call. Of a
	// body that is shorter, or empty, it gets all.
	frameStart(kind byte, size uint32) (want uint32)
	// frameBody gets the beginning of a body; it is valid during the call. whole
	// says that it is all of it.
	frameBody(kind byte, body []byte, whole bool)
	// frameRest gets, piece by piece, what follows what frameBody got.
	frameRest(kind byte, part []byte, last bool)
}

// maxWantedBody is what a visitor may ask for if it does not count for each session.
const maxWantedBody = 8 * 1024

// atBoundary tells whether the stream so far ends between two frames.
func (w *frameWalker) atBoundary() bool { return w.have == 0 && !w.lost }

// walk lets v see the frames of chunk, which follows the chunks before it. It
// stops before a frame of type stop (0: none), or behind one where it is held, and
// returns how many bytes come before that.
func (w *frameWalker) walk(chunk []byte, stop byte, v frameVisitor) int {
	at := 0
	for at < len(chunk) && !w.lost {
		if w.have == 0 && stop != 0 && chunk[at] == stop {
			return at
		}
		if w.have < frameHeaderSize {
			n := copy(w.header[w.have:], chunk[at:])
			w.have += n
			at += n
			if w.have < frameHeaderSize {
				break
			}
			w.start(v)
		}
		at += w.pass(chunk[at:], v)
		if w.held != nil && *w.held && w.have == 0 {
			return at
		}
	}
	return len(chunk)
}

// start takes in a header that has just become whole.
func (w *frameWalker) start(v frameVisitor) {
	length := binary.BigEndian.Uint32(w.header[1:])
	if length < lengthSize {
		w.lost = true
		return
	}
	w.kind, w.left = w.header[0], length-lengthSize
	want := v.frameStart(w.kind, w.left)
	w.wanted, w.due = want > 0, min(want, w.left)
	if w.left > 0 {
		return
	}
	w.have = 0
	if w.wanted {
		v.frameBody(w.kind, nil, true)
	}
}

// pass takes the part of the current body that stands in chunk and returns its
// length.
func (w *frameWalker) pass(chunk []byte, v frameVisitor) int {
	if w.have < frameHeaderSize || w.lost {
		return 0
	}
	n := int(min(uint64(w.left), uint64(len(chunk))))
	if n == 0 {
		return 0
	}
	w.left -= uint32(n)
	if w.left == 0 {
		w.have = 0
	}
	if w.wanted {
		w.show(chunk[:n], v)
	}
	return n
}

// show gives the visitor a part of the body it asked for.
func (w *frameWalker) show(part []byte, v frameVisitor) {
	if w.due > 0 {
		n := int(min(uint64(w.due), uint64(len(part))))
		w.due -= uint32(n)
		body := part[:n]
		if w.due > 0 || len(w.body) > 0 {
			w.body = append(w.body, body...)
			body = w.body
		}
		if w.due > 0 {
			return
		}
		part = part[n:]
		v.frameBody(w.kind, body, w.left == 0 && len(part) == 0)
		w.body = w.body[:0]
		if cap(w.body) > 256 {
			w.body = nil // an idle session keeps nothing
		}
	}
	if len(part) > 0 {
		v.frameRest(w.kind, part, w.left == 0)
	}
}
