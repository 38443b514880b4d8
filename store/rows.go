// Session rows of the projection, to and from SQL.

package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
)

// sessionColumns are the columns of sessions, in the order of sessionValues and scanSession.
const sessionColumns = `
	seq,
	session,
	state,
	started,
	ended,
	user,
	requested_user,
	auth_method,
	roles,
	role,
	service_account,
	database,
	client,
	application_name,
	tls,
	backend_pid,
	statements,
	rows,
	errors,
	bytes_in,
	bytes_out,
	end_reason`

const (
	loadSession = `SELECT ` + sessionColumns + ` FROM sessions WHERE session = ?`
	saveSession = `INSERT OR REPLACE INTO sessions (` + sessionColumns + `)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
)

// sessionValues gives the row that saveSession stores; absent values are NULL.
func sessionValues(s Session) []any {
	counted := s.State == StateEnded
	return []any{
		s.seq, s.Session, s.State, s.Started.UnixMicro(), microOrNull(s),
		orNull(s.User), orNull(s.RequestedUser), orNull(s.AuthMethod), rolesOrNull(s.Roles), orNull(s.Role),
		orNull(s.ServiceAccount), orNull(s.Database), orNull(s.Client), orNull(s.ApplicationName), orNull(s.TLS),
		orNull(s.BackendPID), countIf(counted, s.Statements), countIf(counted, s.Rows), countIf(counted, s.Errors),
		countIf(counted, s.BytesIn), countIf(counted, s.BytesOut), orNull(s.EndReason),
	}
}

func microOrNull(s Session) any {
	if s.Ended.IsZero() {
		return nil
	}
	return s.Ended.UnixMicro()
}

func rolesOrNull(roles []string) any {
	if len(roles) == 0 {
		return nil
	}
	b, err := json.Marshal(roles)
	if err != nil {
		return nil // cannot happen: strings always have a JSON form
	}
	return string(b)
}

// scanSession reads one row of sessionColumns.
func scanSession(scan func(...any) error) (Session, error) {
	var (
		s       Session
		started int64
		ended   sql.NullInt64
		roles   sql.NullString
	)
	err := scan(
		&s.seq, &s.Session, &s.State, &started, &ended,
		nullable{&s.User}, nullable{&s.RequestedUser}, nullable{&s.AuthMethod}, &roles, nullable{&s.Role},
		nullable{&s.ServiceAccount}, nullable{&s.Database}, nullable{&s.Client}, nullable{&s.ApplicationName}, nullable{&s.TLS},
		nullable{&s.BackendPID}, nullable{&s.Statements}, nullable{&s.Rows}, nullable{&s.Errors},
		nullable{&s.BytesIn}, nullable{&s.BytesOut}, nullable{&s.EndReason},
	)
	if err != nil {
		return Session{}, err
	}
	s.Started = fromMicro(started)
	if ended.Valid {
		s.Ended = fromMicro(ended.Int64)
	}
	if roles.Valid {
		if err := json.Unmarshal([]byte(roles.String), &s.Roles); err != nil {
			return Session{}, fmt.Errorf("read the roles of session %s: %w", s.Session, err)
		}
	}
	return s, nil
}

// nullable scans NULL as the zero value.
type nullable struct{ to any }

func (n nullable) Scan(v any) error {
	switch to := n.to.(type) {
	case *string:
		return scanInto(to, v)
	case *int64:
		return scanInto(to, v)
	case *uint32:
		return scanInto(to, v)
	}
	return fmt.Errorf("scan into %T: not supported", n.to)
}

func scanInto[T any](to *T, v any) error {
	var n sql.Null[T]
	err := n.Scan(v)
	*to = n.V
	return err
}
