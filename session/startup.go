package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/session/startup"
	"gprxy/store"
)

// startup reads up to and including the StartupMessage or CancelRequest,
// upgrading to TLS on the way. The order of what may follow what is
// PostgreSQL's (ProcessStartupPacket): each upgrade may be asked for once.
func (s *session) startup(ctx context.Context) error {
	first := make([]byte, 1)
	if _, err := io.ReadFull(s.client.conn, first); err != nil {
		return refusal.ClientLeft(err)
	}
	direct := s.offersTLS() && first[0] == startup.HandshakeRecord
	if direct {
		if err := s.acceptDirectTLS(ctx, first); err != nil {
			return err
		}
		first = nil
	}
	askedTLS, askedGSS := false, false
	for {
		body, err := startup.ReadPacket(io.MultiReader(bytes.NewReader(first), s.client.conn))
		if err != nil {
			return err
		}
		first = nil
		code := binary.BigEndian.Uint32(body)
		switch {
		case code == startup.CancelRequest:
			return s.readCancelRequest(body)
		case code == startup.SSLRequest && !askedTLS:
			askedTLS = true
			if err := s.answerSSLRequest(ctx); err != nil {
				return err
			}
			askedGSS = askedGSS || s.client.secured != ""
		case code == startup.GSSENCRequest && !askedGSS:
			askedGSS = true
			if err := s.decline("GSSAPI encryption request"); err != nil {
				return err
			}
		default:
			return s.readStartupMessage(code, body[4:])
		}
	}
}

// decline answers an upgrade request with "no": the client goes on without it
// or asks for another, once it has read that.
func (s *session) decline(request string) error {
	early := socket.BytesWaiting(s.client.conn)
	if _, err := s.client.conn.Write([]byte{'N'}); err != nil {
		return refusal.ClientLeft(err)
	}
	if early {
		return refusal.UnencryptedData(request)
	}
	return nil
}

func (s *session) answerSSLRequest(ctx context.Context) error {
	if !s.offersTLS() || s.client.secured != "" {
		return s.decline("SSL request")
	}
	// What a client sent in plain text before the handshake could have been
	// put there by somebody in between (CVE-2021-23214).
	if socket.BytesWaiting(s.client.conn) {
		return refusal.UnencryptedData("SSL request")
	}
	if _, err := s.client.conn.Write([]byte{'S'}); err != nil {
		return refusal.ClientLeft(err)
	}
	return s.shakeHands(ctx)
}

// offersTLS: never on a Unix socket, as PostgreSQL. What passes there passes through the kernel of this machine alone.
func (s *session) offersTLS() bool { return s.handler.TLS != nil && !s.client.unix }

// acceptDirectTLS serves a client that begins with the handshake instead of a
// packet (PostgreSQL 17's sslnegotiation=direct); first is what was read of it.
func (s *session) acceptDirectTLS(ctx context.Context, first []byte) error {
	s.client.conn = socket.Prefixed(socket.Raw(s.client.conn), first)
	if err := s.shakeHands(ctx); err != nil {
		return err
	}
	if s.client.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != startup.ALPN {
		return refusal.Unintelligible("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return nil
}

func (s *session) shakeHands(ctx context.Context) error {
	s.client.handshaking = true
	secure := tls.Server(socket.Raw(s.client.conn), s.handler.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refusal.ErrLoginTimeout
		}
		return refusal.Handshake(err)
	}
	s.client.handshaking = false
	s.client.conn = secure
	s.client.secured = strings.Replace(tls.VersionName(secure.ConnectionState().Version), "TLS ", "TLSv", 1)
	return nil
}

// readStartupMessage takes in what the client asks for. From here on the connection
// is a session of the log. What is missed or wrong first is told first.
func (s *session) readStartupMessage(version uint32, body []byte) error {
	s.asked.protocol = version
	if version>>16 != 3 {
		return refusal.UnsupportedProtocol(version)
	}
	asked, layout := startup.ParseParameters(body)
	var err error
	if s.asked.replication, err = readReplication(asked); err != nil {
		return err
	}
	if layout != nil {
		return layout
	}
	asked = s.negotiate(version, asked)
	s.asked.user = truncateName(asked.Get("user"))
	if s.asked.user == "" {
		return refusal.ErrNoUser
	}
	s.asked.database = s.chooseDatabase(asked)
	s.asked.parameters = asked
	s.client.log.Debug("the startup packet was accepted",
		"requested_user", s.asked.user, "database", s.asked.database, "tls", s.client.secured, "protocol", s.protocolName())
	return nil
}

// chooseDatabase: without a name it is the user's. Physical replication is of all
// databases.
func (s *session) chooseDatabase(asked startup.Parameters) string {
	name := truncateName(asked.Get("database"))
	switch {
	case s.asked.replication == pool.PhysicalReplication:
		return ""
	case name == "":
		return s.asked.user
	default:
		return name
	}
}

// negotiate prepares the answer to a client that asks for more than there is: a
// newer minor version, or protocol options (names that begin with "_pq_.", in
// small letters), and returns the other parameters.
func (s *session) negotiate(version uint32, asked startup.Parameters) (others startup.Parameters) {
	var unknown []string
	for _, parameter := range asked {
		if strings.HasPrefix(parameter.Name, "_pq_.") {
			unknown = append(unknown, parameter.Name)
		}
	}
	s.asked.protocol = min(version, startup.Protocol32)
	if version > startup.Protocol32 || len(unknown) > 0 {
		s.asked.negotiated = negotiateProtocolVersion(s.asked.protocol, unknown)
	}
	return asked.Without(unknown...)
}

func negotiateProtocolVersion(newest uint32, unknown []string) []byte {
	message := []byte{'v', 0, 0, 0, 0}
	message = binary.BigEndian.AppendUint32(message, newest)
	message = binary.BigEndian.AppendUint32(message, uint32(len(unknown)))
	for _, name := range unknown {
		message = append(append(message, name...), 0)
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
	return message
}

func (s *session) protocolName() string {
	return fmt.Sprintf("%d.%d", s.asked.protocol>>16, s.asked.protocol&0xffff)
}

func (s *session) connectedFact() store.SessionConnected {
	return store.SessionConnected{
		Client:          s.client.address,
		Via:             s.client.via,
		RequestedUser:   s.asked.user,
		Database:        s.asked.database,
		ApplicationName: truncateName(s.asked.parameters.Get("application_name")),
		TLS:             s.client.secured,
		Protocol:        s.protocolName(),
		Peer:            s.client.peer.fact(),
	}
}

func truncateName(name string) string {
	if len(name) > wire.MaxName {
		name = name[:wire.MaxName]
	}
	return name
}
