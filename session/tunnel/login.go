package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/session/startup"
)

const (
	authOK        = 0
	authCleartext = 3
	authSASL      = 10
	authContinue  = 11

	oauthBearer = "OAUTHBEARER" // RFC 7628

	// No message of a login is longer, and no greeting.
	maxLoginMessage = 64 * 1024
	maxGreeting     = 256 * 1024
)

// login logs in to gprxy as the person and hands gprxy's greeting on. A client that
// leaves meanwhile ends it.
func (c *client) login(ctx context.Context) error {
	ctx, watch := startup.WatchDisconnect(ctx, c.near)
	defer watch.Stop()
	token, err := c.tunnel.config.Token(ctx)
	if err != nil {
		return tunnelReason(ctx, noToken(err))
	}
	if c.far, err = c.tunnel.dial(ctx); err != nil {
		return tunnelReason(ctx, err)
	}
	stop := socket.WhenDone(ctx, func() { c.far.SetDeadline(socket.LongAgo) })
	err = c.converse(token)
	stop() // before the watch ends ctx
	if err != nil {
		return tunnelReason(ctx, err)
	}
	c.early = watch.Stop()
	return nil
}

// converse goes through gprxy's side of the login, up to its ReadyForQuery.
// Everything but the authentication itself is the client's business: errors,
// notices and the protocol version go to it as they come.
func (c *client) converse(token auth.Secret) error {
	if _, err := c.far.Write(c.packet); err != nil {
		return c.lost(err)
	}
	for spent := false; ; {
		message, err := c.readMessage()
		if err != nil {
			return err
		}
		switch message[0] {
		case wire.Authentication:
			if isAuthOK(message) {
				return c.greet(message)
			}
			if err := c.authenticate(message[wire.HeaderSize:], token, spent); err != nil {
				return err
			}
			spent = true
		case wire.ErrorResponse:
			return c.passRefusal(nil, message)
		case wire.NoticeResponse, wire.NegotiateProtocolVersion:
			if _, err := c.near.Write(message); err != nil {
				return refusal.ClientLeft(err)
			}
		default:
			return c.strange(fmt.Sprintf("a message of type %q in the login", message[0]))
		}
	}
}

func isAuthOK(message []byte) bool {
	return bytes.Equal(message, []byte{wire.Authentication, 0, 0, 0, 8, 0, 0, 0, authOK})
}

// authenticate answers a question for the password, or for OAUTHBEARER, with the
// token: once, and to no other question.
func (c *client) authenticate(body []byte, token auth.Secret, spent bool) error {
	if len(body) < 4 {
		return c.strange("an Authentication message that is too short")
	}
	var answer []byte
	switch method := binary.BigEndian.Uint32(body); {
	case method == authCleartext && !spent:
		answer = append([]byte(token.Reveal()), 0)
	case method == authSASL && !spent && slices.Contains(nulTexts(body[4:]), oauthBearer):
		answer = bearer(token)
	case method == authContinue && spent:
		answer = []byte{1} // the token is refused: RFC 7628 wants this before the error
	default:
		return refusal.NotGprxy(c.tunnel.config.Address, method)
	}
	_, err := c.far.Write(withHeader(wire.Password, answer))
	clear(answer)
	if err != nil {
		return c.lost(err)
	}
	return nil
}

// bearer is a SASLInitialResponse: mechanism, length, and the message of RFC 7628 section 3.1.
func bearer(token auth.Secret) []byte {
	response := "n,,\x01auth=Bearer " + token.Reveal() + "\x01\x01"
	answer := append([]byte(oauthBearer), 0)
	answer = binary.BigEndian.AppendUint32(answer, uint32(len(response)))
	return append(answer, response...)
}

// nulTexts are the texts of a list in which each ends with a NUL.
func nulTexts(list []byte) (texts []string) {
	for text := range bytes.SplitSeq(list, []byte{0}) {
		texts = append(texts, string(text))
	}
	return texts
}

func withHeader(kind byte, body []byte) []byte {
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+wire.LengthSize))
	return append(message, body...)
}

// greet collects gprxy's greeting, which begins with AuthenticationOk, and sends
// it on in one piece, or in two when gprxy says that it waits. From then on the
// relay can follow the conversation.
func (c *client) greet(greeting []byte) error {
	for size := 0; size < maxGreeting; {
		message, err := c.readMessage()
		if err != nil {
			return err
		}
		if message[0] == wire.ErrorResponse {
			return c.passRefusal(greeting, message)
		}
		size += len(message)
		greeting = append(greeting, message...)
		if message[0] == wire.NoticeResponse {
			if _, err := c.near.Write(greeting); err != nil {
				return refusal.ClientLeft(err)
			}
			greeting = nil
		}
		if message[0] != wire.ReadyForQuery {
			continue
		}
		if len(message) != wire.HeaderSize+1 {
			return c.strange("a ReadyForQuery without a status")
		}
		c.status = message[wire.HeaderSize]
		_, err = c.near.Write(greeting)
		return refusal.ClientLeft(err)
	}
	return c.strange("a greeting without an end")
}

// passRefusal hands the client gprxy's own words, after what came before them.
func (c *client) passRefusal(before, message []byte) error {
	if _, err := c.near.Write(append(before, message...)); err != nil {
		return refusal.ClientLeft(err)
	}
	return readRefusal(message[wire.HeaderSize:])
}

// readMessage reads one message of the login from gprxy, header included.
func (c *client) readMessage() ([]byte, error) {
	message := make([]byte, wire.HeaderSize, 128)
	if _, err := io.ReadFull(c.far, message); err != nil {
		return nil, c.lost(err)
	}
	size := int64(binary.BigEndian.Uint32(message[1:])) - wire.LengthSize
	if size < 0 || size > maxLoginMessage {
		return nil, c.strange("a message of an impossible length")
	}
	message = slices.Grow(message, int(size))[:wire.HeaderSize+size]
	if _, err := io.ReadFull(c.far, message[wire.HeaderSize:]); err != nil {
		return nil, c.lost(err)
	}
	return message, nil
}
