package session

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// packet is a startup packet: a code or version, and what follows.
func packet(code uint32, body string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return string(binary.BigEndian.AppendUint32(head, code)) + body
}

// startSeeds are streams that begin a connection, for the fuzzers that read one.
func startSeeds() []string {
	plain := packet(protocol30, "user\x00alice\x00database\x00demo\x00\x00")
	return []string{
		plain,
		packet(codeSSLRequest, "") + plain,
		packet(codeGSSENCRequest, "") + packet(codeSSLRequest, "") + plain,
		packet(codeSSLRequest, "") + packet(codeSSLRequest, "") + plain,
		packet(codeCancelRequest, "\x00\x00\x00\x01\x00\x00\x00\x02"),
		packet(codeCancelRequest, "\x00\x00\x00\x01"+strings.Repeat("k", 256)),
		packet(protocol30+9999, "user\x00alice\x00_pq_.x\x00y\x00_pq_.a\x00\x00\x00"),
		packet(2<<16, "alice\x00\x00"),
		packet(4<<16, "user\x00alice\x00\x00"),
		packet(protocol30, "user\x00"+strings.Repeat("é", 60)+"\x00options\x00-c a=b -c gprxy.auth=oauth\x00\x00"),
		packet(protocol30, "database\x00x\x00\x00"),
		packet(protocol30, "user\x00alice"),
		"\x00\x00\x00\x04", "\xff\xff\xff\xff\x00\x03\x00\x00", "\x16\x03\x01\x00\x05hello", "GET / HTTP/1.1\r\n\r\n", "",
	}
}

// FuzzStartup: whatever comes first on a connection is read packet by packet, not
// a byte too much, and ends as a cancel request, as a login with a name, or as an
// error that a client may read.
func FuzzStartup(f *testing.F) {
	for _, seed := range startSeeds() {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(7))
	}
	secured := localTLS(f)
	f.Fuzz(func(t *testing.T, stream []byte, mode byte) {
		var config *tls.Config
		if mode&1 == 1 {
			config = secured
		}
		conn := newScripted(stream, int(mode>>1))
		h := newHandler(Config{TLS: config, LoginTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
		s := h.newSession(conn)
		err := s.startup(t.Context())
		checkStartup(t, s, conn, stream, err)
	})
}

func checkStartup(t *testing.T, s *session, conn *scripted, stream []byte, err error) {
	t.Helper()
	answers := conn.answered()
	direct := s.handler.TLS != nil && len(stream) > 0 && stream[0] == handshakeRecord
	if !direct && bytes.IndexByte(answers, 'S') < 0 && strings.Trim(string(answers), "N") != "" {
		t.Errorf("answered %q", answers)
	}
	if err != nil {
		wantTellable(t, err)
		return
	}
	if !wholePackets(stream[:len(stream)-conn.left()]) {
		t.Errorf("%d bytes are left: they do not begin a packet", conn.left())
	}
	if s.asked.cancelKey != nil {
		if n := len(s.asked.cancelKey.secret); n < 1 || n > maxSecretSize || !bytes.Contains(stream, s.asked.cancelKey.secret) {
			t.Errorf("a cancel key of %d bytes: %q", n, s.asked.cancelKey.secret)
		}
		return
	}
	if s.asked.user == "" || s.asked.database == "" && s.asked.replication != pool.PhysicalReplication || len(s.asked.user) > wire.MaxName ||
		len(s.asked.database) > wire.MaxName || strings.Contains(s.asked.user+s.asked.database, "\x00") {
		t.Errorf("user %q, database %q", s.asked.user, s.asked.database)
	}
	if s.asked.protocol < protocol30 || s.asked.protocol > protocol32 {
		t.Errorf("protocol %x", s.asked.protocol)
	}
	for _, p := range s.asked.parameters {
		if strings.HasPrefix(p.Name, "_pq_.") || p.Name == "" || strings.Contains(p.Name+p.Value, "\x00") {
			t.Errorf("parameter %q = %q goes to PostgreSQL", p.Name, p.Value)
		}
	}
	checkNegotiation(t, s.asked.negotiated)
}

// wholePackets tells whether the bytes are packets with nothing behind the last.
func wholePackets(stream []byte) bool {
	for len(stream) >= wire.LengthSize {
		size := int(binary.BigEndian.Uint32(stream))
		if size < 2*wire.LengthSize || size > len(stream) {
			return false
		}
		stream = stream[size:]
	}
	return len(stream) == 0
}

// checkNegotiation reads a NegotiateProtocolVersion as a client does.
func checkNegotiation(t *testing.T, message []byte) {
	t.Helper()
	if message == nil {
		return
	}
	messages, whole := splitMessages(message)
	if !whole || len(messages) != 1 || message[0] != 'v' || len(message) < 13 {
		t.Fatalf("negotiation %q", message)
	}
	names := bytes.SplitAfter(message[13:], []byte{0})
	names = names[:len(names)-1]
	if int(binary.BigEndian.Uint32(message[9:])) != len(names) {
		t.Errorf("negotiation %q does not have as many names as it says", message)
	}
	for _, name := range names {
		if !bytes.HasPrefix(name, []byte("_pq_.")) {
			t.Errorf("negotiation %q has %q", message, name)
		}
	}
}

// wantTellable checks what a client may read: a SQLSTATE, words, and a reason for
// the log; or that it is gone.
func wantTellable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, refusal.ErrClientGone) {
		return
	}
	r := refusal.Of(err, "alice")
	if len(r.Code) != 5 || r.Code == refusal.CodeInternal || r.Message == "" || r.Reason == "" || !utf8.ValidString(r.Reason) {
		t.Errorf("%v becomes %+v", err, r)
	}
	message, encodeErr := encode(nil, refusal.Response(err, "alice"))
	if messages, whole := splitMessages(message); encodeErr != nil || !whole || len(messages) != 1 {
		t.Errorf("%v becomes the message %q (%v)", err, message, encodeErr)
	}
}
