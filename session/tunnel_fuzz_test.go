package session

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

func newTunnelled(near, far *scripted) *tunnelled {
	t := &Tunnel{Address: "proxy.example.com:7777", User: "me", Database: "mine", Log: slog.New(slog.DiscardHandler)}
	return &tunnelled{Tunnel: t, near: near, far: far, began: time.Now(), log: t.Log, packet: []byte(packet(protocol30, "user\x00me\x00\x00"))}
}

// FuzzTunnelStartup: whatever a program on this machine sends first, gprxy gets a
// packet that it reads as one, or nothing.
func FuzzTunnelStartup(f *testing.F) {
	for _, seed := range startSeeds() {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		near := newScripted(stream, int(step))
		c := newTunnelled(near, nil)
		err := c.readStartup(t.Context())
		if strings.Trim(string(near.answered()), "N") != "" || len(near.answered()) > 2 {
			t.Errorf("answered %q", near.answered())
		}
		if err != nil {
			wantTellableByTunnel(t, err)
			return
		}
		if !wholePackets(stream[:len(stream)-near.left()]) || !wholePackets(c.packet) {
			t.Errorf("%q becomes the packet %q, %d bytes are left", stream, c.packet, near.left())
		}
		gprxy := newHandler(Config{LoginTimeout: time.Minute, Log: c.log}).newSession(newScripted(c.packet, 7))
		err = gprxy.startup(t.Context())
		if refused, ok := errors.AsType[*refusal.Error](err); ok && refused.Code == refusal.CodeInvalidParameter {
			return // replication=nonsense is gprxy's to refuse
		}
		if err != nil {
			t.Errorf("%q becomes %q, which gprxy refuses: %v", stream, c.packet, err)
		}
		if c.isCancel != (gprxy.asked.cancelKey != nil) || !c.isCancel && gprxy.asked.user != "me" {
			t.Errorf("%q becomes %q, which gprxy reads as of %q", stream, c.packet, gprxy.asked.user)
		}
	})
}

// FuzzTunnelLogin: whatever calls itself gprxy, it gets the token once at most, the
// client gets whole messages and never the token, and neither makes the tunnel
// keep more than a greeting.
func FuzzTunnelLogin(f *testing.F) {
	ok := frame('R', "\x00\x00\x00\x00")
	cleartext, sasl := frame('R', "\x00\x00\x00\x03"), frame('R', "\x00\x00\x00\x0aOAUTHBEARER\x00\x00")
	greeting := ok + frame('S', "TimeZone\x00UTC\x00") + frame('K', "12345678") + frame('Z', "I")
	refusal := frame('E', "SFATAL\x00C28P01\x00Mno\x00\x00")
	for _, seed := range []string{
		cleartext + greeting, sasl + greeting, sasl + frame('R', "\x00\x00\x00\x0b{}") + refusal, cleartext + cleartext, greeting,
		cleartext + refusal,
		frame('v', "\x00\x03\x00\x02\x00\x00\x00\x00") + cleartext + greeting, frame('N', "SNOTICE\x00\x00") + cleartext + ok + refusal,
		cleartext + ok + frame('Z', ""), "R\x00\x00\x00\x03", "R\xff\xff\xff\xff", "HTTP/1.1 400 Bad Request\r\n",
		frame('R', "\x00\x00\x00\x0a") + ok,
	} {
		f.Add([]byte(seed), byte(5))
	}
	const token = "the-secret-token"
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		if bytes.Contains(stream, []byte(token)) {
			return
		}
		near, far := newScripted(nil, 1), newScripted(stream, int(step))
		c := newTunnelled(near, far)
		err := c.converse(auth.Secret(token))
		shown := near.answered()
		messages, whole := splitMessages(shown)
		if sent := bytes.Count(far.answered(), []byte(token)); sent > 1 || bytes.Contains(shown, []byte(token)) || !whole {
			t.Errorf("gprxy was sent %q, the client %q", far.answered(), shown)
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
