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
	message, s.negotiated = s.negotiated, nil
	if late, ok := errors.AsType[*pool.LoginError](err); ok && s.Events.Healthy() == nil {
		s.key.secret = newSecret(s.protocol) // opens nothing
		var failed error
		if message, failed = s.appendGreeting(message, late.Greeting); failed != nil {
			return nil, failed
		}
	}
	return encode(message, refusal.Response(err, s.user))
}

// tell sends the client its last message, unless PostgreSQL would have none.
func (s *session) tell(err error) {
	if s.mustBeSilent(err) {
		return
	}
	s.conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
	message, encodeErr := s.farewell(err)
	if encodeErr != nil {
		s.log.Error("could not tell the client why it is turned away", "error", encodeErr)
		return
	}
	if r := refusal.Of(err, s.user); r.Legacy {
		// Protocol 2 has no fields: text up to a NUL.
		message = fmt.Appendf(nil, "EFATAL:  %s\n\x00", r.Message)
	}
	if _, err := s.conn.Write(message); err != nil {
		s.log.Debug("the client did not wait for its last message", "error", err)
	}
}

// mustBeSilent: a client in the middle of a handshake cannot read a message, and one that took too long to send its
// startup packet is left by PostgreSQL without a word (StartupPacketTimeoutHandler).
func (s *session) mustBeSilent(err error) bool {
	return refusal.Of(err, s.user).Silent || s.handshaking || s.parameters == nil && errors.Is(err, refusal.ErrLoginTimeout)
}

// closeTLS says goodbye inside TLS, so that the client can tell the end from a cut.
func (s *session) closeTLS() {
	if secured, ok := s.conn.(*tls.Conn); ok {
		secured.SetWriteDeadline(time.Now().Add(farewellTimeout))
		if err := secured.CloseWrite(); err != nil {
			s.log.Debug("the client did not wait for the end of TLS", "error", err)
		}
	}
}

// hangUp tells the client that nothing more will come. What becomes of the backend
// is no matter of the client's, and many drivers wait for the end. It returns false
// where there is nobody to tell.
func (s *session) hangUp() bool {
	s.closeTLS()
	if err := socket.Control(s.conn, func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) }); err != nil {
		s.log.Debug("the client was gone before the end", "error", err)
		return false
	}
	return true
}

// A socket that is closed while it holds data that nobody has read answers with a reset, and so it does to what comes
// later; a reset takes with it what the client has not read yet, the last message above all. So what a client still says
// is read and dropped until it closes its side too, or says nothing for a while, within these bounds.
const (
	hearOutQuiet = 300 * time.Millisecond
	hearOutTime  = 2 * time.Second
	hearOutBytes = 16 << 20
	heardAtOnce  = 2 << 10
)

// hearOut follows hangUp. It ends with ctx.
func (s *session) hearOut(ctx context.Context) {
	conn := s.belowTLS()
	stop := whenDone(ctx, func() { conn.SetReadDeadline(socket.LongAgo) })
	defer stop()
	buf := make([]byte, heardAtOnce) // small, for there may be many
	end := time.Now().Add(hearOutTime)
	for heard := 0; heard < hearOutBytes; {
		conn.SetReadDeadline(earlier(end, time.Now().Add(hearOutQuiet)))
		if ctx.Err() != nil {
			break // and what it set may just have been undone
		}
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		heard += n
	}
	s.dropWaiting() // what ended it may have been a deadline
}

// dropWaiting is hearOut without waiting, for whom there is no room to be waited on.
func (s *session) dropWaiting() {
	buf := socket.GetChunk()
	defer socket.PutChunk(buf)
	err := socket.Control(s.conn, func(fd int) error {
		for heard := 0; heard < hearOutBytes; {
			n, _, err := syscall.Recvfrom(fd, buf[:], syscall.MSG_DONTWAIT)
			if n <= 0 || err != nil {
				return err
			}
			heard += n
		}
		return nil
	})
	if err != nil {
		s.log.Debug("the client has heard its last message, or does not listen", "error", err)
	}
}

// belowTLS is the socket itself.
func (s *session) belowTLS() net.Conn {
	if secured, ok := s.conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return s.conn
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// partWith ends the connection of a client that was not let in. Who holds a place, of those who log in or of the
// clients, is waited on; a newcomer may take the place meanwhile.
func (s *session) partWith(ctx context.Context) {
	if !s.hangUp() {
		return
	}
	s.slot.Unpin()
	if s.counted || s.slot.Held() {
		s.hearOut(ctx)
		return
	}
	s.dropWaiting()
}
