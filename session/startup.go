package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gprxy/store"
)

// Codes that stand in a startup packet in place of a protocol version.
const (
	codeCancelRequest = 1234<<16 | 5678
	codeSSLRequest    = 1234<<16 | 5679
	codeGSSENCRequest = 1234<<16 | 5680
)

const (
	protocol30 = 3 << 16
	protocol32 = 3<<16 | 2 // the newest this proxy speaks

	// NAMEDATALEN - 1: PostgreSQL cuts longer names of users and databases.
	maxName = 63
)

// startup reads up to and including the StartupMessage or CancelRequest,
// upgrading to TLS on the way. The order of what may follow what is
// PostgreSQL's (ProcessStartupPacket): each upgrade may be asked for once.
func (s *session) startup(ctx context.Context) error {
	first := make([]byte, 1)
	if _, err := io.ReadFull(s.conn, first); err != nil {
		return clientLeft(err)
	}
	direct := s.TLS != nil && first[0] == handshakeRecord
	if direct {
		if err := s.acceptDirectTLS(ctx, first); err != nil {
			return err
		}
		first = nil
	}
	askedTLS, askedGSS := false, false
	for {
		body, err := readStartupBody(io.MultiReader(bytes.NewReader(first), s.conn))
		if err != nil {
			return err
		}
		first = nil
		code := binary.BigEndian.Uint32(body)
		switch {
		case code == codeCancelRequest:
			return s.readCancelRequest(body)
		case code == codeSSLRequest && !askedTLS:
			askedTLS = true
			if err := s.answerSSLRequest(ctx); err != nil {
				return err
			}
			askedGSS = askedGSS || s.secured != ""
		case code == codeGSSENCRequest && !askedGSS:
			askedGSS = true
			if err := s.decline(); err != nil {
				return err
			}
		default:
			return s.readStartupMessage(code, body[4:])
		}
	}
}

// decline answers an upgrade request with "no": the client goes on without it
// or asks for another.
func (s *session) decline() error {
	if bytesWaiting(s.conn) {
		return errUnencryptedData
	}
	_, err := s.conn.Write([]byte{'N'})
	return clientLeft(err)
}

func (s *session) answerSSLRequest(ctx context.Context) error {
	if s.TLS == nil || s.secured != "" {
		return s.decline()
	}
	// What a client sent in plain text before the handshake could have been
	// put there by somebody in between (CVE-2021-23214).
	if bytesWaiting(s.conn) {
		return errUnencryptedData
	}
	if _, err := s.conn.Write([]byte{'S'}); err != nil {
		return clientLeft(err)
	}
	return s.shakeHands(ctx)
}

// handshakeRecord begins a TLS handshake. No startup packet begins with it: its
// length would be far too large.
const handshakeRecord = 0x16

// acceptDirectTLS serves a client that begins with the handshake instead of a
// packet (PostgreSQL 17's sslnegotiation=direct); first is what was read of it.
func (s *session) acceptDirectTLS(ctx context.Context, first []byte) error {
	s.conn = &rereadConn{Conn: s.conn, head: first}
	if err := s.shakeHands(ctx); err != nil {
		return err
	}
	// Without ALPN the client could be one of another protocol that an attacker
	// talked into sending its bytes here (ALPACA). PostgreSQL insists too.
	if s.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != alpnProtocol {
		return malformed("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return nil
}

const alpnProtocol = "postgresql"

func (s *session) shakeHands(ctx context.Context) error {
	secure := tls.Server(s.conn, s.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		s.log.Debug("the TLS handshake failed", "error", err)
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	s.conn = secure
	s.secured = strings.Replace(tls.VersionName(secure.ConnectionState().Version), "TLS ", "TLSv", 1)
	return nil
}

// readStartupMessage takes in the client's wishes. From here on the connection
// is a session of the log.
func (s *session) readStartupMessage(version uint32, body []byte) error {
	s.protocol = version
	if version>>16 != 3 {
		return unsupportedProtocol(version)
	}
	parameters, err := parseParameters(body)
	if err != nil {
		return err
	}
	s.user = truncateName(parameters["user"])
	if s.user == "" {
		return &refusal{
			code:    codeInvalidAuthorization,
			reason:  "no_user",
			message: "no PostgreSQL user name specified in startup packet",
		}
	}
	s.database = truncateName(parameters["database"])
	if s.database == "" {
		s.database = s.user
	}
	s.negotiate(version, parameters)
	s.parameters = parameters
	s.log.Debug("the startup packet was accepted",
		"requested_user", s.user, "database", s.database, "tls", s.secured, "protocol", s.protocolName())
	return nil
}

// parseParameters reads the name and value pairs of a StartupMessage. Of a name
// that comes twice the last value counts, as in PostgreSQL.
func parseParameters(body []byte) (map[string]string, error) {
	parameters := make(map[string]string)
	for len(body) > 0 && body[0] != 0 {
		name, rest, ok := bytes.Cut(body, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 {
			return nil, malformed("invalid startup packet layout: expected terminator as last byte")
		}
		parameters[string(name)] = string(value)
		body = rest
	}
	if len(body) != 1 {
		return nil, malformed("invalid startup packet layout: expected terminator as last byte")
	}
	return parameters, nil
}

// negotiate prepares the answer to a client that asks for more than there is:
// a newer minor version, or protocol extensions (names with "_pq_.").
func (s *session) negotiate(version uint32, parameters map[string]string) {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if strings.HasPrefix(name, "_pq_.") {
			unknown = append(unknown, name)
			delete(parameters, name)
		}
	}
	s.protocol = min(version, protocol32)
	if version > protocol32 || len(unknown) > 0 {
		s.negotiated = negotiateProtocolVersion(s.protocol, unknown)
	}
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
	return fmt.Sprintf("%d.%d", s.protocol>>16, s.protocol&0xffff)
}

func (s *session) connectedFact() store.SessionConnected {
	return store.SessionConnected{
		Client:          s.client,
		Via:             s.via,
		RequestedUser:   s.user,
		Database:        s.database,
		ApplicationName: truncateName(s.parameters["application_name"]),
		TLS:             s.secured,
		Protocol:        s.protocolName(),
	}
}

func truncateName(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return name
}
