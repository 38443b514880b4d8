package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/session/startup"
)

// readStartup reads the client's first packet that is no question for encryption
// and prepares what gprxy gets in its place. On this machine there is nobody in
// between, so encryption is for clients that insist on it. They ask as they would
// ask PostgreSQL, or begin with the handshake (sslnegotiation=direct).
func (c *client) readStartup(ctx context.Context) error {
	first := make([]byte, 1)
	if _, err := io.ReadFull(c.near, first); err != nil {
		return refusal.ClientLeft(err)
	}
	secured := false
	if c.tunnel.config.NearTLS != nil && first[0] == startup.HandshakeRecord {
		if err := c.acceptDirectTLS(ctx, first); err != nil {
			return err
		}
		first, secured = nil, true
	}
	asked := map[uint32]bool{}
	for {
		body, err := startup.ReadPacket(io.MultiReader(bytes.NewReader(first), c.near))
		if err != nil {
			return err
		}
		first = nil
		code := binary.BigEndian.Uint32(body)
		upgrade := code == startup.SSLRequest || code == startup.GSSENCRequest
		switch {
		case upgrade && !asked[code] && code == startup.SSLRequest && c.tunnel.config.NearTLS != nil && !secured:
			asked[code], secured = true, true
			if err := c.answerSSLRequest(ctx); err != nil {
				return err
			}
		case upgrade && !asked[code] && !(secured && code == startup.GSSENCRequest):
			asked[code] = true
			if err := c.decline(); err != nil {
				return err
			}
		case code == startup.CancelRequest:
			return c.takeCancel(body)
		default:
			return c.takeStartup(code, body[4:])
		}
	}
}

func (c *client) decline() error {
	if socket.BytesWaiting(c.near) {
		return refusal.UnencryptedData("a request for encryption")
	}
	_, err := c.near.Write([]byte{'N'})
	return refusal.ClientLeft(err)
}

func (c *client) answerSSLRequest(ctx context.Context) error {
	if socket.BytesWaiting(c.near) { // CVE-2021-23214, as in session.answerSSLRequest
		return refusal.UnencryptedData("a request for encryption")
	}
	if _, err := c.near.Write([]byte{'S'}); err != nil {
		return refusal.ClientLeft(err)
	}
	return c.shakeHands(ctx)
}

// acceptDirectTLS is session.acceptDirectTLS for the tunnel's side; first is what was read.
func (c *client) acceptDirectTLS(ctx context.Context, first []byte) error {
	c.near = socket.Prefixed(socket.Raw(c.near), first)
	if err := c.shakeHands(ctx); err != nil {
		return err
	}
	if c.near.(*tls.Conn).ConnectionState().NegotiatedProtocol != startup.ALPN {
		return refusal.Malformed("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return nil
}

// shakeHands puts TLS over the client's socket. A client that does not trust the certificate ends it here,
// which the person at the tunnel's terminal is told: the tool itself may not say it.
func (c *client) shakeHands(ctx context.Context) error {
	secured := tls.Server(socket.Raw(c.near), c.tunnel.config.NearTLS)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.log.Warn("a client gave up TLS on this side, perhaps for want of trust in the tunnel's certificate", "error", plain(err))
		return fmt.Errorf("%w: %w", refusal.ErrClientGone, err)
	}
	c.near = secured
	return nil
}

// maxSecret is how long the secret of a cancel key may be (protocol 3.2).
const maxSecret = 256

func (c *client) takeCancel(body []byte) error {
	if len(body) < 4+4+1 || len(body) > 4+4+maxSecret {
		return refusal.Malformed("invalid length of cancel request packet")
	}
	c.isCancel = true
	c.packet = startupPacket(body)
	return nil
}

func (c *client) takeStartup(version uint32, parameters []byte) error {
	c.legacy = version>>16 < 3
	if version>>16 != 3 {
		return refusal.UnsupportedProtocol(version)
	}
	rewritten, err := rewriteParameters(parameters, c.tunnel.config.User, c.tunnel.config.Database)
	if err != nil {
		return err
	}
	c.packet = startupPacket(append(binary.BigEndian.AppendUint32(nil, version), rewritten...))
	return nil
}

// startupPacket puts the length in front.
func startupPacket(body []byte) []byte {
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(body)+wire.LengthSize))
	return append(packet, body...)
}

// rewriteParameters changes whom a StartupMessage asks for to user, unless that
// is empty, and adds the database if it names none. All else stays, in its order.
func rewriteParameters(body []byte, user, database string) ([]byte, error) {
	asked, err := startup.ParseParameters(body)
	if err != nil {
		return nil, err
	}
	// The tunnel logs in itself: what the client would be asked for is not the
	// client's choice here.
	asked, _, _ = startup.TakeAuthChoice(asked)
	if asked.Get("database") == "" && database != "" {
		asked = asked.With("database", database)
	}
	if user != "" {
		asked = asked.With("user", user)
	}
	var rewritten []byte
	for _, parameter := range asked {
		rewritten = append(rewritten, parameter.Name+"\x00"+parameter.Value+"\x00"...)
	}
	return append(rewritten, 0), nil
}
