package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"gprxy/session/refusal"
)

// seen is a frameVisitor that writes down what it is shown.
type seen struct {
	frames []string
	want   string // types whose bodies it asks for
	rest   []byte // what came after the beginning of a body
	whole  bool   // nothing did
}

func (s *seen) frameStart(kind byte, size uint32) uint32 {
	s.frames = append(s.frames, fmt.Sprintf("%c%d", kind, size))
	if strings.IndexByte(s.want, kind) >= 0 {
		return seenBody
	}
	return 0
}

// seenBody is how much of a body it asks for.
const seenBody = 12

func (s *seen) frameBody(kind byte, body []byte, whole bool) {
	s.frames = append(s.frames, fmt.Sprintf("%c=%q", kind, body))
	s.rest, s.whole = nil, whole
}

func (s *seen) frameRest(kind byte, part []byte, last bool) {
	if s.rest = append(s.rest, part...); last {
		s.frames = append(s.frames, fmt.Sprintf("%c+%q", kind, s.rest))
	}
}

func frame(kind byte, body string) string {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+lengthSize))
	return string(head) + body
}

// However the stream is cut into chunks, the walker sees the same frames.
func TestWalkerSeesTheSameFramesInAnyChunks(t *testing.T) {
	stream := frame('Q', "select 1\x00") + frame('S', "") + frame('Z', "I") +
		frame('D', strings.Repeat("x", 300)) + frame('S', "name\x00value\x00") + frame('Z', "T")
	whole := walkInChunks(stream, len(stream))
	if want := []string{"Q9", "S0", `S=""`, "Z1", `Z="I"`, "D300", "S11", `S="name\x00value\x00"`, "Z1", `Z="T"`}; fmt.Sprint(whole) != fmt.Sprint(want) {
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
	w := &frameWalker{}
	for at := 0; at < len(stream); at += size {
		w.walk([]byte(stream[at:min(at+size, len(stream))]), 0, v)
	}
	return v.frames
}

func TestWalkerStopsBeforeTerminate(t *testing.T) {
	stream := frame('Q', "a\x00") + frame('X', "") + frame('Q', "never\x00")
	for cut := range len(stream) {
		w, v := &frameWalker{}, &seen{}
		first, rest := []byte(stream[:cut]), []byte(stream[cut:])
		passed := w.walk(first, 'X', v)
		if passed == len(first) {
			passed += w.walk(rest, 'X', v)
		}
		if want := len(frame('Q', "a\x00")); passed != want {
			t.Errorf("cut at %d: passed %d bytes, want %d", cut, passed, want)
		}
		if len(v.frames) != 1 || !w.atBoundary() {
			t.Errorf("cut at %d: frames %v, at boundary %v", cut, v.frames, w.atBoundary())
		}
	}
}

func TestWalkerGivesUpOnImpossibleLengths(t *testing.T) {
	for length := range uint32(lengthSize) {
		w, v := &frameWalker{}, &seen{}
		chunk := binary.BigEndian.AppendUint32([]byte{'Q'}, length)
		chunk = append(chunk, "rest of the stream"...)
		if n := w.walk(chunk, 'X', v); n != len(chunk) {
			t.Errorf("length %d: %d bytes pass, want all: the backend is the one to complain", length, n)
		}
		if w.atBoundary() || len(v.frames) != 0 {
			t.Errorf("length %d: at boundary %v, frames %v", length, w.atBoundary(), v.frames)
		}
	}
}

// Of a large body no more is kept than was asked for; the rest is shown as it comes.
func TestWalkerKeepsTheBeginningOfABody(t *testing.T) {
	for size := 1; size <= 40; size++ {
		w, v := &frameWalker{}, &seen{want: "Q"}
		stream := frame('Q', "0123456789abcdefghij") + frame('Q', "0123456789ab") + frame('Q', "")
		for at := 0; at < len(stream); at += size {
			w.walk([]byte(stream[at:min(at+size, len(stream))]), 0, v)
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

func (hungry) frameStart(byte, uint32) uint32 { return 1 << 20 }
func (hungry) frameBody(byte, []byte, bool)   {}
func (hungry) frameRest(byte, []byte, bool)   {}

// What a large body took is not kept for a session that rests.
func TestWalkerKeepsNoLargeBuffer(t *testing.T) {
	w := &frameWalker{}
	large := []byte(frame('Q', strings.Repeat("x", 10_000)))
	w.walk(large[:9_000], 0, hungry{})
	w.walk(large[9_000:], 0, hungry{})
	if !w.atBoundary() || cap(w.body) > 256 {
		t.Errorf("after the body a buffer of %d bytes is kept", cap(w.body))
	}
}

func TestReadFrameChecksBeforeItReads(t *testing.T) {
	tests := map[string]struct {
		sent string
		want string // the error, or "" for the body "ok"
	}{
		"a good frame":                {frame('p', "ok"), ""},
		"another type":                {frame('Q', "ok"), `expected password response, got message type 81`},
		"a length below four":         {"p\x00\x00\x00\x03", "invalid message length"},
		"a length of 4 GB":            {"p\xff\xff\xff\xff", "invalid message length"},
		"a length of 2 GB":            {"p\x80\x00\x00\x00", "invalid message length"},
		"one byte more than allowed":  {frame('p', strings.Repeat("x", 11)), "invalid message length"},
		"an end in the middle":        {frame('p', "ok")[:6], errClientGone.Error()},
		"an end within the header":    {"p\x00", errClientGone.Error()},
		"an end before anything came": {"", errClientGone.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := readFrame(iotest.OneByteReader(strings.NewReader(test.sent)), 'p', 10)
			if test.want == "" {
				if err != nil || string(body) != "ok" {
					t.Fatalf("got %q, %v", body, err)
				}
				return
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestReadStartupBodyTakesExactlyItsPacket(t *testing.T) {
	r := strings.NewReader("\x00\x00\x00\x08\x04\xd2\x16\x2fnext")
	if _, err := readStartupBody(r); err != nil {
		t.Fatal(err)
	}
	if r.Len() != len("next") {
		t.Errorf("%d bytes are left, want the 4 that follow the packet", r.Len())
	}
}

func TestReadStartupBodyRefusesSizes(t *testing.T) {
	for _, length := range []uint32{0, 3, 7, maxStartupBody + lengthSize + 1, 1 << 31, 1<<32 - 1} {
		packet := binary.BigEndian.AppendUint32(nil, length)
		_, err := readStartupBody(bytes.NewReader(append(packet, make([]byte, 100)...)))
		if refused, ok := errors.AsType[*refusal.Error](err); !ok || refused.Code != refusal.CodeProtocolViolation {
			t.Errorf("length %d: error %v, want a protocol violation", length, err)
		}
	}
}

func FuzzWalker(f *testing.F) {
	f.Add([]byte(frame('Q', "select 1\x00")+frame('X', "")), uint8(3))
	f.Add([]byte(frame('Z', "I")+frame('E', "SERROR\x00\x00")), uint8(1))
	f.Add([]byte("Q\x00\x00\x00\x00"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		step := int(size) + 1
		whole, parts := &seen{want: "ZS"}, &seen{want: "ZS"}
		w1, w2 := &frameWalker{}, &frameWalker{}
		passed := w1.walk(stream, 'X', whole)
		at := 0
		for at < len(stream) {
			chunk := stream[at:min(at+step, len(stream))]
			n := w2.walk(chunk, 'X', parts)
			at += n
			if n < len(chunk) {
				break
			}
		}
		if at != passed || fmt.Sprint(whole.frames) != fmt.Sprint(parts.frames) || w1.atBoundary() != w2.atBoundary() {
			t.Errorf("whole: %d bytes %v\nparts: %d bytes %v", passed, whole.frames, at, parts.frames)
		}
	})
}

func FuzzStartupParameters(f *testing.F) {
	f.Add([]byte("user\x00alice\x00database\x00demo\x00\x00"))
	f.Add([]byte("user\x00alice\x00options\x00-c a=b\x00_pq_.x\x001\x00\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		asked, err := parseParameters(body)
		var again []byte
		for _, p := range asked {
			if strings.ContainsRune(p.Name, 0) || strings.ContainsRune(p.Value, 0) || p.Name == "" {
				t.Errorf("parameter %q = %q", p.Name, p.Value)
			}
			again = append(again, p.Name+"\x00"+p.Value+"\x00"...)
		}
		if err == nil && string(again)+"\x00" != string(body) {
			t.Errorf("%q was read as %q", body, again)
		}
		_ = checkParameters(asked)
		_, _ = readReplication(asked)
	})
}

// A10: what a stranger announces and does not send costs nothing.
func TestMemoryFollowsWhatCame(t *testing.T) {
	startup := func(sent string) { readStartupBody(strings.NewReader(sent)) }
	password := func(sent string) { readFrame(strings.NewReader(sent), 'p', maxPasswordBody) }
	for name, attack := range map[string]func(){
		"a startup packet of 10,000 bytes": func() { startup("\x00\x00\x27\x14\x00") },
		"one of 4 GB":                      func() { startup("\xff\xff\xff\xff\x00") },
		"one of less than nothing":         func() { startup("\x80\x00\x00\x00\x00") },
		"a password of 65,535 bytes":       func() { password("p\x00\x01\x00\x03x") },
		"one of 4 GB - 2":                  func() { password("p\xff\xff\xff\xfe") },
		"one of less than nothing, as int": func() { password("p\x80\x00\x00\x00") },
		"of 65,535 bytes a few more":       func() { password("p\x00\x01\x00\x03" + strings.Repeat("x", firstRead+1)) },
		"half of 65,535 bytes":             func() { password("p\x00\x01\x00\x03" + strings.Repeat("x", 500)) },
	} {
		const times = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			attack()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 4096 {
			t.Errorf("%s costs %d bytes", name, each)
		}
	}
}

// However a body comes, and whatever its length, it is read whole and no byte of
// what follows.
func TestBodiesOfAllLengths(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 3*firstRead + 7, maxPasswordBody} {
		body := strings.Repeat("x", size)
		for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
			r := strings.NewReader(frame('p', body) + "next")
			got, err := readFrame(wrap(r), 'p', maxPasswordBody)
			if err != nil || string(got) != body || r.Len() != len("next") {
				t.Errorf("%d bytes %s: %d bytes, %v, %d left", size, name, len(got), err, r.Len())
			}
		}
	}
}
