package wire

import "encoding/binary"

// A Walker finds the frames in a stream that passes by in chunks. It holds
// no more than a header and what somebody asks for of a body that comes in pieces.
type Walker struct {
	header [HeaderSize]byte
	have   int    // bytes of header seen
	left   uint32 // bytes of the current body still to come
	kind   byte   // of the current frame
	wanted bool   // by FrameBody
	due    uint32 // bytes still to come for FrameBody
	body   []byte // those that came, if they come in pieces
	lost   bool   // a length was impossible: frames cannot be told apart any more
	held   *bool  // if set and true, Walk stops behind the frame that made it so
}

// A Visitor is told of every frame that passes.
type Visitor interface {
	// FrameStart is called once the header is whole; size is the body's. It
	// returns how many bytes of the body FrameBody is to get, 0 for no call. Of a
	// body that is shorter, or empty, it gets all.
	FrameStart(kind byte, size uint32) (want uint32)
	// FrameBody gets the beginning of a body; it is valid during the call. whole
	// says that it is all of it.
	FrameBody(kind byte, body []byte, whole bool)
	// FrameRest gets, piece by piece, what follows what FrameBody got.
	FrameRest(kind byte, part []byte, last bool)
}

// MaxWanted is what a visitor may ask for if it does not count for each session.
const MaxWanted = 8 * 1024

// HoldAt makes Walk stop behind a frame that has made *held true, and at each further one while it is.
func (w *Walker) HoldAt(held *bool) { w.held = held }

// Lost tells whether a length was impossible: frames cannot be told apart any more.
func (w *Walker) Lost() bool { return w.lost }

// AtBoundary tells whether the stream so far ends between two frames.
func (w *Walker) AtBoundary() bool { return w.have == 0 && !w.lost }

// Walk lets v see the frames of chunk, which follows the chunks before it. It
// stops before a frame of type stop (0: none), or behind one where it is held, and
// returns how many bytes come before that.
func (w *Walker) Walk(chunk []byte, stop byte, v Visitor) int {
	at := 0
	for at < len(chunk) && !w.lost {
		if w.have == 0 && stop != 0 && chunk[at] == stop {
			return at
		}
		if w.have < HeaderSize {
			n := copy(w.header[w.have:], chunk[at:])
			w.have += n
			at += n
			if w.have < HeaderSize {
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
func (w *Walker) start(v Visitor) {
	length := binary.BigEndian.Uint32(w.header[1:])
	if length < LengthSize {
		w.lost = true
		return
	}
	w.kind, w.left = w.header[0], length-LengthSize
	want := v.FrameStart(w.kind, w.left)
	w.wanted, w.due = want > 0, min(want, w.left)
	if w.left > 0 {
		return
	}
	w.have = 0
	if w.wanted {
		v.FrameBody(w.kind, nil, true)
	}
}

// pass takes the part of the current body that stands in chunk and returns its
// length.
func (w *Walker) pass(chunk []byte, v Visitor) int {
	if w.have < HeaderSize || w.lost {
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
func (w *Walker) show(part []byte, v Visitor) {
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
		v.FrameBody(w.kind, body, w.left == 0 && len(part) == 0)
		w.body = w.body[:0]
		if cap(w.body) > 256 {
			w.body = nil // an idle session keeps nothing
		}
	}
	if len(part) > 0 {
		v.FrameRest(w.kind, part, w.left == 0)
	}
}
