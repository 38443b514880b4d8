package session

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgproto3/v2"

	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

// greet tells the client that it is in: what PostgreSQL says after a login, with
// the values that hold now and the session's own cancel secret, in one write.
func (s *session) greet() error {
	greeting, err := s.appendGreeting(nil, s.served.backend.Greeting())
	if err != nil {
		return err
	}
	if greeting, err = encode(greeting, &pgproto3.ReadyForQuery{TxStatus: wire.TxIdle}); err != nil {
		return err
	}
	if _, err := s.client.conn.Write(greeting); err != nil {
		return refusal.ClientLeft(err)
	}
	if s.handler.LoggedIn != nil {
		s.handler.LoggedIn(s.client.id)
	}
	s.client.log.Info("logged in",
		"user", s.served.identity.User, "method", s.served.identity.Method, "role", s.served.account.Role,
		"service_account", s.served.backend.CurrentUser(), "database", s.asked.database,
		"backend_pid", s.served.backend.PID(), "took", time.Since(s.client.began).Round(time.Microsecond))
	return nil
}

// appendGreeting begins with AuthenticationOk, unless that has been sent.
func (s *session) appendGreeting(to []byte, greeting []pool.Message) ([]byte, error) {
	var err error
	if !s.login.welcomed {
		s.login.welcomed = true
		if to, err = encode(to, &pgproto3.AuthenticationOk{}); err != nil {
			return nil, err
		}
	}
	for _, m := range greeting {
		switch m.Kind {
		case wire.ParameterStatus:
			to, err = encode(to, &pgproto3.ParameterStatus{Name: m.Parameter.Name, Value: m.Parameter.Value})
		case wire.NoticeResponse:
			to = appendFrame(to, wire.NoticeResponse, m.Notice)
		case wire.BackendKeyData:
			to = appendFrame(to, wire.BackendKeyData, binary.BigEndian.AppendUint32(nil, m.PID), s.served.key.secret)
		}
		if err != nil {
			return nil, err
		}
	}
	return to, nil
}

// appendFrame encodes what pgproto3/v2 cannot: cancel secrets of protocol 3.2 are
// longer than four bytes, and notices may have fields it does not know.
func appendFrame(to []byte, kind byte, parts ...[]byte) []byte {
	size := wire.LengthSize
	for _, part := range parts {
		size += len(part)
	}
	to = binary.BigEndian.AppendUint32(append(to, kind), uint32(size))
	for _, part := range parts {
		to = append(to, part...)
	}
	return to
}

// encode appends messages in the form of the wire.
func encode(to []byte, messages ...pgproto3.BackendMessage) ([]byte, error) {
	for _, m := range messages {
		var err error
		if to, err = m.Encode(to); err != nil {
			return nil, fmt.Errorf("encode a message for the client: %w", err)
		}
	}
	return to, nil
}
