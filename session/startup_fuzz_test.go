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
	"gprxy/session/startup"
	"gprxy/session/startup/startuptest"
)

// FuzzStartup: whatever comes first on a connection is read packet by packet, not
// a byte too much, and ends as a cancel request, as a login with a name, or as an
// error that a client may read.
func FuzzStartup(f *testing.F) {
	for _, seed := range startuptest.Seeds() {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(7))
	}
	secured := localTLS(f)
	f.Fuzz(func(t *testing.T, stream []byte, mode byte) {
		var config *tls.Config
		if mode&1 == 1 {
			config = secured
		}
		conn := startuptest.New(stream, int(mode>>1))
		h := newHandler(Config{TLS: config, LoginTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
		s := h.newSession(conn)
		err := s.startup(t.Context())
		checkStartup(t, s, conn, stream, err)
	})
}

func checkStartup(t *testing.T, s *session, conn *startuptest.Conn, stream []byte, err error) {
	t.Helper()
	answers := conn.Answered()
	direct := s.handler.TLS != nil && len(stream) > 0 && stream[0] == startup.HandshakeRecord
	if !direct && bytes.IndexByte(answers, 'S') < 0 && strings.Trim(string(answers), "N") != "" {
		t.Errorf("answered %q", answers)
	}
	if err != nil {
		wantTellable(t, err)
		return
	}
	if !startuptest.WholePackets(stream[:len(stream)-conn.Left()]) {
		t.Errorf("%d bytes are left: they do not begin a packet", conn.Left())
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
	if s.asked.protocol < startup.Protocol30 || s.asked.protocol > startup.Protocol32 {
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

// checkNegotiation reads a NegotiateProtocolVersion as a client does.
func checkNegotiation(t *testing.T, message []byte) {
	t.Helper()
	if message == nil {
		return
	}
	messages, whole := startuptest.SplitMessages(message)
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
	if messages, whole := startuptest.SplitMessages(message); encodeErr != nil || !whole || len(messages) != 1 {
		t.Errorf("%v becomes the message %q (%v)", err, message, encodeErr)
	}
}
