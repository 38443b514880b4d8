package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// seen is a Visitor that writes down what it is shown.
type seen struct {
	frames []string
	want   string // types whose bodies it asks for
	rest   []byte // what came after the beginning of a body
	whole  bool   // nothing did
}

func (s *seen) FrameStart(kind byte, size uint32) uint32 {
	s.frames = append(s.frames, fmt.Sprintf("%c%d", kind, size))
	if strings.IndexByte(s.want, kind) >= 0 {
		return seenBody
	}
	return 0
}

// seenBody is how much of a body it asks for.
const seenBody = 12

func (s *seen) FrameBody(kind byte, body []byte, whole bool) {
	s.frames = append(s.frames, fmt.Sprintf("%c=%q", kind, body))
	s.rest, s.whole = nil, whole
}

func (s *seen) FrameRest(kind byte, part []byte, last bool) {
	if s.rest = append(s.rest, part...); last {
		s.frames = append(s.frames, fmt.Sprintf("%c+%q", kind, s.rest))
	}
}

func frame(kind byte, body string) string {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+LengthSize))
	return string(head) + body
}

// However the stream is cut into chunks, the walker sees the same frames.
func TestWalkerSeesTheSameFramesInAnyChunks(t *testing.T) {
	stream := frame('Q', "select 1\x00") + frame('S', "") + frame('Z', "I") +
		frame('D', strings.Repeat("x", 300)) + frame('S', "name\x00value\x00") + frame('Z', "T")
	whole := walkInChunks(stream, len(stream))
	if want := []string{"Q9", "S0", `S=""`, "Z1", `Z="I"`, "D300", "S11", `S="name\x00value\x00"`, "Z1",
		`Z="T"`}; fmt.Sprint(whole) != fmt.Sprint(want) {
		t.Fatalf("frames of the whole stream\n got %v\nwant %v", whole, want)
	}
	for size := 1; size < len(stream); size++ {
		if got := walkInChunks(stream, size); fmt.Sprint(got) != fmt.Sprint(whole) {
			t.Errorf("in chunks of %d\n got %v\nwant %v", size, got, whole)
		}
	}
}

func walkInChunks(stream string, size int) []string {
	v := &seen{want: "ZS"}
	w := &Walker{}
	for at := 0; at < len(stream); at += size {
		w.Walk([]byte(stream[at:min(at+size, len(stream))]), 0, v)
	}
	return v.frames
}

func TestWalkerStopsBeforeTerminate(t *testing.T) {
	stream := frame('Q', "a\x00") + frame('X', "") + frame('Q', "never\x00")
	for cut := range len(stream) {
		w, v := &Walker{}, &seen{}
		first, rest := []byte(stream[:cut]), []byte(stream[cut:])
		passed := w.Walk(first, 'X', v)
		if passed == len(first) {
			passed += w.Walk(rest, 'X', v)
		}
		if want := len(frame('Q', "a\x00")); passed != want {
			t.Errorf("cut at %d: passed %d bytes, want %d", cut, passed, want)
		}
		if len(v.frames) != 1 || !w.AtBoundary() {
			t.Errorf("cut at %d: frames %v, at boundary %v", cut, v.frames, w.AtBoundary())
		}
	}
}

func TestWalkerGivesUpOnImpossibleLengths(t *testing.T) {
	for length := range uint32(LengthSize) {
		w, v := &Walker{}, &seen{}
		chunk := binary.BigEndian.AppendUint32([]byte{'Q'}, length)
		chunk = append(chunk, "rest of the stream"...)
		if n := w.Walk(chunk, 'X', v); n != len(chunk) {
			t.Errorf("length %d: %d bytes pass, want all: the backend is the one to complain", length, n)
		}
		if w.AtBoundary() || len(v.frames) != 0 {
			t.Errorf("length %d: at boundary %v, frames %v", length, w.AtBoundary(), v.frames)
		}
	}
}

// Of a large body no more is kept than was asked for; the rest is shown as it comes.
func TestWalkerKeepsTheBeginningOfABody(t *testing.T) {
	for size := 1; size <= 40; size++ {
		w, v := &Walker{}, &seen{want: "Q"}
		stream := frame('Q', "0123456789abcdefghij") + frame('Q', "0123456789ab") + frame('Q', "")
		for at := 0; at < len(stream); at += size {
			w.Walk([]byte(stream[at:min(at+size, len(stream))]), 0, v)
			if cap(w.body) > 256 || len(w.body) > seenBody {
				t.Fatalf("holds %d bytes", len(w.body))
			}
		}
		want := []string{"Q20", `Q="0123456789ab"`, `Q+"cdefghij"`, "Q12", `Q="0123456789ab"`, "Q0", `Q=""`}
		if fmt.Sprint(v.frames) != fmt.Sprint(want) || !v.whole {
			t.Errorf("in chunks of %d: frames %v, want %v", size, v.frames, want)
		}
	}
}

// hungry wants all of every body.
type hungry struct{}

func (hungry) FrameStart(byte, uint32) uint32 { return 1 << 20 }
func (hungry) FrameBody(byte, []byte, bool)   {}
func (hungry) FrameRest(byte, []byte, bool)   {}

// What a large body took is not kept for a session that rests.
func TestWalkerKeepsNoLargeBuffer(t *testing.T) {
	w := &Walker{}
	large := []byte(frame('Q', strings.Repeat("x", 10_000)))
	w.Walk(large[:9_000], 0, hungry{})
	w.Walk(large[9_000:], 0, hungry{})
	if !w.AtBoundary() || cap(w.body) > 256 {
		t.Errorf("after the body a buffer of %d bytes is kept", cap(w.body))
	}
}

func FuzzWalker(f *testing.F) {
	f.Add([]byte(frame('Q', "select 1\x00")+frame('X', "")), uint8(3))
	f.Add([]byte(frame('Z', "I")+frame('E', "SERROR\x00\x00")), uint8(1))
	f.Add([]byte("Q\x00\x00\x00\x00"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		step := int(size) + 1
		whole, parts := &seen{want: "ZS"}, &seen{want: "ZS"}
		w1, w2 := &Walker{}, &Walker{}
		passed := w1.Walk(stream, 'X', whole)
		at := 0
		for at < len(stream) {
			chunk := stream[at:min(at+step, len(stream))]
			n := w2.Walk(chunk, 'X', parts)
			at += n
			if n < len(chunk) {
				break
			}
		}
		if at != passed || fmt.Sprint(whole.frames) != fmt.Sprint(parts.frames) || w1.AtBoundary() != w2.AtBoundary() {
			t.Errorf("whole: %d bytes %v\nparts: %d bytes %v", passed, whole.frames, at, parts.frames)
		}
	})
}
