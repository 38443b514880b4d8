package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/startup"
	"gprxy/session/startup/startuptest"
)

func newClient(near, far *startuptest.Conn) *client {
	t := newTunnel(Config{Address: "proxy.example.com:7777", User: "me", Database: "mine", Log: slog.New(slog.DiscardHandler)})
	return &client{tunnel: t, near: near, far: far, began: time.Now(), log: t.config.Log,
		packet: []byte(startuptest.Packet(startup.Protocol30, "user\x00me\x00\x00"))}
}

// FuzzTunnelStartup: whatever a program on this machine sends first, gprxy gets a
// packet that it reads as one, or nothing.
func FuzzTunnelStartup(f *testing.F) {
	for _, seed := range startuptest.Seeds() {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		near := startuptest.New(stream, int(step))
		c := newClient(near, nil)
		err := c.readStartup(t.Context())
		if strings.Trim(string(near.Answered()), "N") != "" || len(near.Answered()) > 2 {
			t.Errorf("answered %q", near.Answered())
		}
		if err != nil {
			wantTellableByTunnel(t, err)
			return
		}
		if !startuptest.WholePackets(stream[:len(stream)-near.Left()]) || !startuptest.WholePackets(c.packet) {
			t.Errorf("%q becomes the packet %q, %d bytes are left", stream, c.packet, near.Left())
		}
		body, err := startup.ReadPacket(bytes.NewReader(c.packet))
		if err != nil {
			t.Fatalf("%q becomes %q, which gprxy refuses: %v", stream, c.packet, err)
		}
		if code := binary.BigEndian.Uint32(body); c.isCancel || code == startup.CancelRequest {
			if !c.isCancel || code != startup.CancelRequest {
				t.Errorf("%q becomes %q", stream, c.packet)
			}
			return
		}
		if asked, err := startup.ParseParameters(body[4:]); err != nil || asked.Get("user") != "me" {
			t.Errorf("%q becomes %q, which gprxy reads as of %q: %v", stream, c.packet, asked.Get("user"), err)
		}
	})
}

// FuzzTunnelLogin: whatever calls itself gprxy, it gets the token once at most, the
// client gets whole messages and never the token, and neither makes the tunnel
// keep more than a greeting.
func FuzzTunnelLogin(f *testing.F) {
	ok := startuptest.Frame('R', "\x00\x00\x00\x00")
	cleartext, sasl := startuptest.Frame('R', "\x00\x00\x00\x03"), startuptest.Frame('R', "\x00\x00\x00\x0aOAUTHBEARER\x00\x00")
	greeting := ok + startuptest.Frame('S', "TimeZone\x00UTC\x00") + startuptest.Frame('K', "12345678") + startuptest.Frame('Z', "I")
	refusal := startuptest.Frame('E', "SFATAL\x00C28P01\x00Mno\x00\x00")
	for _, seed := range []string{
		cleartext + greeting, sasl + greeting, sasl + startuptest.Frame('R', "\x00\x00\x00\x0b{}") + refusal, cleartext + cleartext, greeting,
		cleartext + refusal,
		startuptest.Frame('v', "\x00\x03\x00\x02\x00\x00\x00\x00") + cleartext + greeting,
		startuptest.Frame('N', "SNOTICE\x00\x00") + cleartext + ok + refusal,
		cleartext + ok + startuptest.Frame('Z', ""), "R\x00\x00\x00\x03", "R\xff\xff\xff\xff", "HTTP/1.1 400 Bad Request\r\n",
		startuptest.Frame('R', "\x00\x00\x00\x0a") + ok,
	} {
		f.Add([]byte(seed), byte(5))
	}
	const token = "the-secret-token"
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		if bytes.Contains(stream, []byte(token)) {
			return
		}
		near, far := startuptest.New(nil, 1), startuptest.New(stream, int(step))
		c := newClient(near, far)
		err := c.converse(auth.Secret(token))
		shown := near.Answered()
		messages, whole := startuptest.SplitMessages(shown)
		if sent := bytes.Count(far.Answered(), []byte(token)); sent > 1 || bytes.Contains(shown, []byte(token)) || !whole {
			t.Errorf("gprxy was sent %q, the client %q", far.Answered(), shown)
		}
		passed, isPassed := errors.AsType[*passedOn](err)
		switch {
		case err == nil && (len(messages) == 0 || messages[len(messages)-1][0] != wire.ReadyForQuery || c.status != shown[len(shown)-1]):
			t.Errorf("let in with %q, status %q", shown, c.status)
		case isPassed && (len(messages) == 0 || messages[len(messages)-1][0] != wire.ErrorResponse):
			t.Errorf("%v, and the client was sent %q", passed, shown)
		case err != nil && !isPassed:
			wantTellableByTunnel(t, err)
		}
	})
}

func wantTellableByTunnel(t *testing.T, err error) {
	t.Helper()
	refused, ok := errors.AsType[*refusal.Error](err)
	if errors.Is(err, refusal.ErrClientGone) {
		return
	}
	if !ok || len(refused.Code) != 5 || refused.Message == "" {
		t.Errorf("%#v cannot be told", err)
	}
}
