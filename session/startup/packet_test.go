package startup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/startup/startuptest"
)

func TestReadFrameChecksBeforeItReads(t *testing.T) {
	tests := map[string]struct {
		sent string
		want string // the error, or "" for the body "ok"
	}{
		"a good frame":                {startuptest.Frame('p', "ok"), ""},
		"another type":                {startuptest.Frame('Q', "ok"), `expected password response, got message type 81`},
		"a length below four":         {"p\x00\x00\x00\x03", "invalid message length"},
		"a length of 4 GB":            {"p\xff\xff\xff\xff", "invalid message length"},
		"a length of 2 GB":            {"p\x80\x00\x00\x00", "invalid message length"},
		"one byte more than allowed":  {startuptest.Frame('p', strings.Repeat("x", 11)), "invalid message length"},
		"an end in the middle":        {startuptest.Frame('p', "ok")[:6], refusal.ErrClientGone.Error()},
		"an end within the header":    {"p\x00", refusal.ErrClientGone.Error()},
		"an end before anything came": {"", refusal.ErrClientGone.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := ReadFrame(iotest.OneByteReader(strings.NewReader(test.sent)), 'p', 10)
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

func TestReadPacketTakesExactlyItsPacket(t *testing.T) {
	r := strings.NewReader("\x00\x00\x00\x08\x04\xd2\x16\x2fnext")
	if _, err := ReadPacket(r); err != nil {
		t.Fatal(err)
	}
	if r.Len() != len("next") {
		t.Errorf("%d bytes are left, want the 4 that follow the packet", r.Len())
	}
}

func TestReadPacketRefusesSizes(t *testing.T) {
	for _, length := range []uint32{0, 3, 7, maxPacket + wire.LengthSize + 1, 1 << 31, 1<<32 - 1} {
		packet := binary.BigEndian.AppendUint32(nil, length)
		_, err := ReadPacket(bytes.NewReader(append(packet, make([]byte, 100)...)))
		if refused, ok := errors.AsType[*refusal.Error](err); !ok || refused.Code != refusal.CodeProtocolViolation {
			t.Errorf("length %d: error %v, want a protocol violation", length, err)
		}
	}
}

func FuzzStartupParameters(f *testing.F) {
	f.Add([]byte("user\x00alice\x00database\x00demo\x00\x00"))
	f.Add([]byte("user\x00alice\x00options\x00-c a=b\x00_pq_.x\x001\x00\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		asked, err := ParseParameters(body)
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
	})
}

// What a stranger announces and does not send costs nothing.
func TestMemoryFollowsWhatCame(t *testing.T) {
	packet := func(sent string) { ReadPacket(strings.NewReader(sent)) }
	password := func(sent string) { ReadFrame(strings.NewReader(sent), 'p', MaxPassword) }
	for name, attack := range map[string]func(){
		"a startup packet of 10,000 bytes": func() { packet("\x00\x00\x27\x14\x00") },
		"one of 4 GB":                      func() { packet("\xff\xff\xff\xff\x00") },
		"one of less than nothing":         func() { packet("\x80\x00\x00\x00\x00") },
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
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 3*firstRead + 7, MaxPassword} {
		body := strings.Repeat("x", size)
		for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader} {
			r := strings.NewReader(startuptest.Frame('p', body) + "next")
			got, err := ReadFrame(wrap(r), 'p', MaxPassword)
			if err != nil || string(got) != body || r.Len() != len("next") {
				t.Errorf("%d bytes %s: %d bytes, %v, %d left", size, name, len(got), err, r.Len())
			}
		}
	}
}
