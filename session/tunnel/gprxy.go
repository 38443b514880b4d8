// The other end: reaching gprxy, and handing cancel requests on to it.

package tunnel

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"gprxy/session/refusal"
	"gprxy/session/socket"
)

const (
	// What gprxy is given to accept a connection and show its certificate.
	dialTimeout = 15 * time.Second
	// What it is given to see to it that a cancel can hit nothing else any more.
	cancelTimeout = 10 * time.Second
)

// askForTLS is an SSLRequest.
var askForTLS = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// dial opens a connection to gprxy and TLS on it. The error is a *refusal.
func (t *Tunnel) dial(ctx context.Context) (net.Conn, error) {
	ctx, done := context.WithTimeout(ctx, dialTimeout)
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, cmp.Or(t.config.Network, "tcp"), t.config.Address)
	if err != nil {
		return nil, t.unreachable(err)
	}
	if t.config.TLS == nil {
		return conn, nil
	}
	secured, err := t.secure(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// secure asks for TLS. The answer is read as one byte: what follows it belongs to
// the handshake. Until then nothing that comes can be trusted, so an
// ErrorResponse in its place is not shown to anybody (CVE-2024-10977).
func (t *Tunnel) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	stop := socket.WhenDone(ctx, func() { conn.SetDeadline(socket.LongAgo) })
	answer, err := exchangeByte(conn, askForTLS)
	stop()
	if err != nil {
		return nil, t.unreachable(err)
	}
	switch {
	case answer == 'S':
		secured := tls.Client(conn, t.config.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, t.untrusted(err)
		}
		return secured, nil
	case answer == 'N' && t.config.OrPlain != nil && t.config.OrPlain():
		return conn, nil
	case answer == 'N':
		return nil, refusal.WithoutTLS(t.config.Address)
	default:
		return nil, t.unreachable(fmt.Errorf("it answered %q to the question for TLS, as gprxy never does", answer))
	}
}

func exchangeByte(conn net.Conn, question []byte) (byte, error) {
	if _, err := conn.Write(question); err != nil {
		return 0, err
	}
	var answer [1]byte
	_, err := io.ReadFull(conn, answer[:])
	return answer[0], err
}

// forwardCancel hands a CancelRequest on. gprxy closes the connection once the
// cancel can hit nothing else any more, and only then the client's is closed. There
// is no answer either way: who cancels learns from the query.
func (c *client) forwardCancel(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, cancelTimeout+dialTimeout)
	defer done()
	far, err := c.tunnel.dial(ctx)
	if err != nil {
		c.log.Warn("could not forward a cancel request", "error", err)
		return
	}
	c.far = far
	stop := socket.WhenDone(ctx, func() { far.SetDeadline(socket.LongAgo) })
	defer stop()
	if _, err = far.Write(c.packet); err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(far, socket.ChunkSize))
	}
	if err != nil {
		c.log.Warn("could not forward a cancel request", "error", err)
		return
	}
	c.log.Debug("forwarded a cancel request")
}
