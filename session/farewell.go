package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// How a connection ends that gprxy ends: the last message, the end of what is sent, and hearing the client out.

// How long a client may take to accept its last message.
const farewellTimeout = 2 * time.Second

// farewell is the last message, behind what PostgreSQL would have said by then: the
// answer to the protocol negotiation, and, where it refused a login it had accepted
// at first, AuthenticationOk and its notices. That admits to nothing, but the log
// must be there even so.
func (s *session) farewell(err error) (message []byte, _ error) {
	message, s.asked.negotiated = s.asked.negotiated, nil
	if late, ok := errors.AsType[*pool.LoginError](err); ok && s.handler.Events.Healthy() == nil {
		s.served.key.secret = newSecret(s.asked.protocol) // opens nothing
		var failed error
		if message, failed = s.appendGreeting(message, late.Greeting); failed != nil {
			return nil, failed
		}
	}
	return encode(message, refusal.Response(err, s.asked.user))
}

// tell sends the client its last message, unless PostgreSQL would have none.
func (s *session) tell(err error) {
	if s.mustBeSilent(err) {
		return
	}
	s.client.conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
	message, encodeErr := s.farewell(err)
	if encodeErr != nil {
		s.client.log.Error("could not tell the client why it is turned away", "error", encodeErr)
		return
	}
	if r := refusal.Of(err, s.asked.user); r.Legacy {
		// Protocol 2 has no fields: text up to a NUL.
		message = fmt.Appendf(nil, "EFATAL:  %s\n\x00", r.Message)
	}
	if _, err := s.client.conn.Write(message); err != nil {
		s.client.log.Debug("the client did not wait for its last message", "error", err)
	}
}

// mustBeSilent: a client in the middle of a handshake cannot read a message, and one that took too long to send its
// startup packet is left by PostgreSQL without a word (StartupPacketTimeoutHandler).
func (s *session) mustBeSilent(err error) bool {
	return refusal.Of(err, s.asked.user).Silent || s.client.handshaking || s.asked.parameters == nil && errors.Is(err, refusal.ErrLoginTimeout)
}

// closeTLS says goodbye inside TLS, so that the client can tell the end from a cut.
func (c *client) closeTLS() {
	if secured, ok := c.conn.(*tls.Conn); ok {
		secured.SetWriteDeadline(time.Now().Add(farewellTimeout))
		if err := secured.CloseWrite(); err != nil {
			c.log.Debug("the client did not wait for the end of TLS", "error", err)
		}
	}
}

// hangUp tells the client that nothing more will come. What becomes of the backend
// is no matter of the client's, and many drivers wait for the end. It returns false
// where there is nobody to tell.
func (c *client) hangUp() bool {
	c.closeTLS()
	if err := socket.Control(c.conn, func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) }); err != nil {
		c.log.Debug("the client was gone before the end", "error", err)
		return false
	}
	return true
}

// A socket that is closed while it holds data that nobody has read answers with a reset, and so it does to what comes
// later; a reset takes with it what the client has not read yet, the last message above all. So what a client still says
// is read and dropped until it closes its side too, or says nothing for a while, within these bounds.
const (
	lingerQuiet = 300 * time.Millisecond
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
	lingerChunk = 2 << 10
)

// lingeringClose follows hangUp. It ends with ctx.
func (c *client) lingeringClose(ctx context.Context) {
	conn := c.belowTLS()
	stop := socket.WhenDone(ctx, func() { conn.SetReadDeadline(socket.LongAgo) })
	defer stop()
	buf := make([]byte, lingerChunk) // small, for there may be many
	end := time.Now().Add(lingerTime)
	for heard := 0; heard < lingerBytes; {
		conn.SetReadDeadline(earlier(end, time.Now().Add(lingerQuiet)))
		if ctx.Err() != nil {
			break // and what it set may just have been undone
		}
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		heard += n
	}
	c.discardWaiting() // what ended it may have been a deadline
}

// discardWaiting is lingeringClose without waiting, for whom there is no room to be waited on.
func (c *client) discardWaiting() {
	buf := socket.GetChunk()
	defer socket.PutChunk(buf)
	err := socket.Control(c.conn, func(fd int) error {
		for heard := 0; heard < lingerBytes; {
			n, _, err := syscall.Recvfrom(fd, buf[:], syscall.MSG_DONTWAIT)
			if n <= 0 || err != nil {
				return err
			}
			heard += n
		}
		return nil
	})
	if err != nil {
		c.log.Debug("the client has heard its last message, or does not listen", "error", err)
	}
}

// belowTLS is the socket itself.
func (c *client) belowTLS() net.Conn {
	if secured, ok := c.conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return c.conn
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// closeRefused ends the connection of a client that was not let in. Who holds a place, of those who log in or of the
// clients, is waited on; a newcomer may take the place meanwhile.
func (s *session) closeRefused(ctx context.Context) {
	if !s.client.hangUp() {
		return
	}
	s.login.slot.Unpin()
	if s.login.counted || s.login.slot.Held() {
		s.client.lingeringClose(ctx)
		return
	}
	s.client.discardWaiting()
}
