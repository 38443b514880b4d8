// Session rows of the projection, to and from SQL.

package store

import (
	"database/sql"
	"database/sql/driver"
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
	end_reason,
	doubt`

const (
	loadSession = `SELECT ` + sessionColumns + ` FROM sessions WHERE session = ?`
	saveSession = `INSERT OR REPLACE INTO sessions (` + sessionColumns + `)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
)

// sessionValues gives the row that saveSession stores, as the driver would read it: absent values are nil.
func sessionValues(s Session) []any {
	values := []any{
		s.seq, s.Session, s.State, s.Started.UnixMicro(), nil,
		valueOrNull(s.User), valueOrNull(s.RequestedUser), valueOrNull(s.AuthMethod), rolesOrNull(s.Roles), valueOrNull(s.Role),
		valueOrNull(s.ServiceAccount), valueOrNull(s.Database), valueOrNull(s.Client), valueOrNull(s.ApplicationName), valueOrNull(s.TLS),
		valueOrNull(int64(s.BackendPID)), nil, nil, nil, nil, nil, valueOrNull(s.EndReason), valueOrNull(s.Doubt),
	}
	if !s.Ended.IsZero() {
		values[4] = s.Ended.UnixMicro()
	}
	if s.State == StateEnded {
		for i, n := range []int64{s.Statements, s.Rows, s.Errors, s.BytesIn, s.BytesOut} {
			values[16+i] = n
		}
	}
	return values
}

// isRow reports whether the row, as the driver reads it, is what sessionValues gives, without making it.
func isRow(s Session, row []driver.Value) bool {
	ended := s.State == StateEnded
	return is(row[0], s.seq, true) && is(row[1], s.Session, true) && is(row[2], s.State, true) &&
		is(row[3], s.Started.UnixMicro(), true) && is(row[4], s.Ended.UnixMicro(), !s.Ended.IsZero()) &&
		is(row[5], s.User, s.User != "") && is(row[6], s.RequestedUser, s.RequestedUser != "") &&
		is(row[7], s.AuthMethod, s.AuthMethod != "") && isRoles(row[8], s.Roles) && is(row[9], s.Role, s.Role != "") &&
		is(row[10], s.ServiceAccount, s.ServiceAccount != "") && is(row[11], s.Database, s.Database != "") &&
		is(row[12], s.Client, s.Client != "") && is(row[13], s.ApplicationName, s.ApplicationName != "") &&
		is(row[14], s.TLS, s.TLS != "") && is(row[15], int64(s.BackendPID), s.BackendPID != 0) &&
		is(row[16], s.Statements, ended) && is(row[17], s.Rows, ended) && is(row[18], s.Errors, ended) &&
		is(row[19], s.BytesIn, ended) && is(row[20], s.BytesOut, ended) && is(row[21], s.EndReason, s.EndReason != "") &&
		is(row[22], s.Doubt, s.Doubt != "")
}

// is reports whether the column holds v, or NULL if v is not there.
func is[T comparable](column driver.Value, v T, there bool) bool {
	if !there {
		return column == nil
	}
	got, ok := column.(T)
	return ok && got == v
}

func isRoles(column driver.Value, roles []string) bool {
	if len(roles) == 0 {
		return column == nil
	}
	return column == rolesOrNull(roles)
}

func valueOrNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
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
		nullable{&s.BytesIn}, nullable{&s.BytesOut}, nullable{&s.EndReason}, nullable{&s.Doubt},
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
