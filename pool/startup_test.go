// The startup packet, byte for byte.
package pool

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTheStartupPacketIsTheClientsOwn(t *testing.T) {
	r := Request{Key: Key{User: "app", Database: "shop"}, Parameters: []Parameter{
		{"TimeZone", "UTC"}, {"options", "-c a=b"}, {"WORK_MEM", "1MB"}, {"work_mem", ""}}}
	const pairs = "user\x00app\x00database\x00shop\x00TimeZone\x00UTC\x00options\x00-c a=b\x00WORK_MEM\x001MB\x00work_mem\x00\x00\x00"
	want := string([]byte{0, 0, 0, byte(8 + len(pairs)), 0, 3, 0, 0}) + pairs
	if got := string(r.startupPacket()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r = Request{Key: Key{User: "app"}, Replication: PhysicalReplication, Parameters: []Parameter{{"replication", "yes"}}}
	if got := string(r.startupPacket()[8:]); got != "user\x00app\x00replication\x00yes\x00\x00" {
		t.Errorf("of a walsender without a database: %q", got)
	}
}

func TestTheStartupPacketTakesThePlaceOfPgconns(t *testing.T) {
	pgconns := "\x00\x00\x00\x12\x00\x03\x00\x00user\x00app\x00\x00"
	var sent bytes.Buffer
	w := &startupWriter{w: &sent, packet: []byte("ours")}
	if n, err := io.WriteString(w, pgconns); n != len(pgconns) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := io.WriteString(w, "p...."); n != 5 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if sent.String() != "oursp...." {
		t.Errorf("sent %q", &sent)
	}
	for _, other := range []string{"", "p\x00\x00\x00\x05\x00", pgconns[:10], pgconns + "more", strings.Replace(pgconns, "\x03", "\x04", 1)} {
		sent.Reset()
		w := &startupWriter{w: &sent, packet: []byte("ours")}
		if _, err := io.WriteString(w, other); err == nil || sent.Len() > 0 {
			t.Errorf("%q was taken for a startup packet", other)
		}
	}
	w = &startupWriter{w: failingWriter{}, packet: []byte("ours")}
	if n, err := io.WriteString(w, pgconns); err == nil || n > len(pgconns) {
		t.Errorf("a failed write: %d bytes, %v", n, err)
	}
}

type failingWriter struct{}

func (failingWriter) Write(p []byte) (int, error) { return len(p), errors.New("no") }
