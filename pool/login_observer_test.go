// The observer that reads ParameterStatus.
package pool

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// frame is one message as PostgreSQL sends it.
func frame(kind byte, body string) string {
	n := len(body) + 4
	return string([]byte{kind, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + body
}

func TestTheLoginObserverFollowsFramesHoweverTheyArrive(t *testing.T) {
	stream := frame('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00") + frame('R', "\x00\x00\x00\x00") +
		frame('S', "TimeZone\x00UTC\x00") + frame('K', "12345678") + frame('N', "S\x00S\x00") + frame('I', "") +
		frame('S', "server_version\x0015\x00") + frame('S', "TimeZone\x00Asia/Tokyo\x00") + frame('Z', "I")
	want := []Parameter{{"TimeZone", "Asia/Tokyo"}, {"server_version", "15"}}
	for name, reader := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
		"in halves":    iotest.HalfReader(strings.NewReader(stream)),
	} {
		through := &loginObserver{r: reader}
		got, err := io.ReadAll(through)
		if err != nil || string(got) != stream {
			t.Errorf("%s: the observer changed the stream: %v", name, err)
		}
		if !slices.Equal(through.parameters, want) || !through.asked {
			t.Errorf("%s: %v, password asked: %t", name, through.parameters, through.asked)
		}
	}
}

func TestTheLoginObserverIsBounded(t *testing.T) {
	through := &loginObserver{}
	for i := range 2 * maxParameters {
		through.see([]byte(frame('S', strings.Repeat("n", i+1)+"\x00v\x00")))
	}
	through.see([]byte(frame('S', "huge\x00"+strings.Repeat("v", maxMessage)+"\x00")))
	if len(through.parameters) != maxParameters {
		t.Errorf("%d parameters", len(through.parameters))
	}
	for range 100 {
		through.see([]byte(frame('N', strings.Repeat("n", maxNotices/10))))
	}
	if through.login.notices > maxNotices {
		t.Errorf("%d bytes of notices are kept", through.login.notices)
	}
	for range 2 * maxGreeting {
		through.see([]byte(frame('N', "") + frame('K', "1234")))
	}
	if kept := len(through.login.greeting); kept > maxGreeting {
		t.Errorf("%d messages of a login are kept", kept)
	}
	for _, body := range []string{"", "\x00", "name only", "name\x00not terminated", "R"} {
		through.see([]byte(frame('S', body) + frame('R', body)))
	}
}

func FuzzLoginObserver(f *testing.F) {
	f.Add([]byte(frame('S', "a\x00b\x00")+frame('Z', "I")), 3)
	f.Add([]byte("0\x00\x00\x00\x00S\x00\x10\x00\x05000"), 12)
	f.Add([]byte("S\xff\xff\xff\xff"), 1)
	f.Add([]byte("S\x00\x00\x00\x00S\x00\x00\x00\x05\x00"), 2)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		whole, parts := &loginObserver{}, &loginObserver{}
		whole.see(data)
		cut = min(max(cut, 0), len(data))
		parts.see(data[:cut])
		parts.see(data[cut:])
		if !slices.Equal(whole.parameters, parts.parameters) || whole.asked != parts.asked ||
			len(whole.login.greeting) != len(parts.login.greeting) {
			t.Error("the cut matters")
		}
		if len(whole.parameters) > maxParameters {
			t.Error("the observer is not bounded")
		}
	})
}
