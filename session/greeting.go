package session

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// greet tells the client that it is in: what PostgreSQL says after a login, with
// the backend's own values and the session's own cancel secret, in one write.
func (s *session) greet() error {
	var messages []pgproto3.BackendMessage
	if !s.welcomed {
		messages = append(messages, &pgproto3.AuthenticationOk{})
	}
	for _, p := range s.backend.Parameters() {
		messages = append(messages, &pgproto3.ParameterStatus{Name: p.Name, Value: p.Value})
	}
	greeting, err := encode(nil, messages...)
	if err != nil {
		return err
	}
	greeting = appendBackendKeyData(greeting, s.key)
	if greeting, err = encode(greeting, &pgproto3.ReadyForQuery{TxStatus: txIdle}); err != nil {
		return err
	}
	if _, err := s.conn.Write(greeting); err != nil {
		return clientLeft(err)
	}
	s.log.Info("logged in",
		"user", s.identity.User, "method", s.identity.Method, "role", s.account.Role,
		"service_account", s.backend.CurrentUser(), "database", s.database,
		"backend_pid", s.backend.PID(), "took", time.Since(s.began).Round(time.Microsecond))
	return nil
}

// appendBackendKeyData encodes what pgproto3/v2 cannot: secrets of protocol 3.2
// are longer than four bytes.
func appendBackendKeyData(to []byte, key backendKey) []byte {
	to = append(to, 'K')
	to = binary.BigEndian.AppendUint32(to, uint32(4+4+len(key.secret)))
	to = binary.BigEndian.AppendUint32(to, key.pid)
	return append(to, key.secret...)
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
