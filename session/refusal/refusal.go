// Package refusal has every error that a client of gprxy may read: its SQLSTATE, message, detail and hint, and the word that
// the event log has for it. Steps of a session return these errors, or errors of other packages, which Of translates; nothing
// else that an error says ever reaches a client.
package refusal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/store"
)

// SQLSTATEs that gprxy itself gives (manual, appendix "PostgreSQL Error Codes").
const (
	CodeProtocolViolation     = "08P01"
	CodeCannotConnect         = "08001"
	CodeConnectionFailure     = "08006"
	CodeUnsupported           = "0A000"
	CodeInvalidAuthorization  = "28000"
	CodeInvalidPassword       = "28P01"
	CodeInsufficientPrivilege = "42501"
	CodeTooManyConnections    = "53300"
	CodeQueryCanceled         = "57014"
	CodeAdminShutdown         = "57P01"
	CodeIdleSessionTimeout    = "57P05"
	CodeCannotConnectNow      = "57P03"
	CodeIOError               = "58030"
	CodeInvalidParameter      = "22023"
	CodeInternal              = "XX000"
)

// An Error may be read by the client as it is.
type Error struct {
	Code, Message, Detail, Hint string
	Reason                      string // for the log; "" in a tunnel, which has none
	Legacy                      bool   // to be told in the form of protocol 2
	Silent                      bool   // the client is told nothing, as by PostgreSQL
}

func (e *Error) Error() string { return e.Message }

// Of gives what a client that is turned away with err may read. user is whom it claimed to be.
func Of(err error, user string) *Error {
	if r, ok := errors.AsType[*Error](err); ok {
		return r
	}
	if failure, ok := errors.AsType[*AuthFailure](err); ok {
		return failure.refusal(user)
	}
	if denied, ok := errors.AsType[*auth.RoleError](err); ok {
		return noAccount(denied)
	}
	if _, ok := errors.AsType[*store.UnavailableError](err); ok {
		return errNobodyRecorded
	}
	if r := fromPool(err); r != nil {
		return r
	}
	switch {
	case errors.Is(err, pool.ErrClosed), errors.Is(err, context.Canceled):
		return ErrDraining
	case errors.Is(err, context.DeadlineExceeded):
		return ErrLoginTimeout
	case errors.Is(err, pool.ErrBadRequest):
		return Malformed("a name or parameter cannot be sent to PostgreSQL")
	}
	return &Error{
		Code:    CodeInternal,
		Reason:  "internal",
		Message: "gprxy could not serve this login",
		Hint:    "Ask the operator of gprxy: its log has the reason.",
	}
}

// Reason is the word that the log has for err.
func Reason(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "postgresql_" + strings.ToLower(refused.Code)
	}
	return Of(err, "").Reason
}

// Response is the message for a client that is turned away with err. user is whom it claimed to be. An error of PostgreSQL's
// has all its fields.
func Response(err error, user string) *pgproto3.ErrorResponse {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fromPostgreSQL(refused)
	}
	r := Of(err, user)
	return &pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL",
		Code: r.Code, Message: r.Message, Detail: r.Detail, Hint: r.Hint,
	}
}

// fromPostgreSQL ends the connection, whatever the error was when PostgreSQL reported it.
func fromPostgreSQL(e *pgconn.PgError) *pgproto3.ErrorResponse {
	severity := e.Severity
	if e.SeverityUnlocalized != "FATAL" && e.SeverityUnlocalized != "PANIC" {
		severity = "FATAL"
	}
	return &pgproto3.ErrorResponse{
		Severity:            severity,
		SeverityUnlocalized: "FATAL",
		Code:                e.Code,
		Message:             e.Message,
		Detail:              e.Detail,
		Hint:                e.Hint,
		Position:            e.Position,
		InternalPosition:    e.InternalPosition,
		InternalQuery:       e.InternalQuery,
		Where:               e.Where,
		SchemaName:          e.SchemaName,
		TableName:           e.TableName,
		ColumnName:          e.ColumnName,
		DataTypeName:        e.DataTypeName,
		ConstraintName:      e.ConstraintName,
		File:                e.File,
		Line:                e.Line,
		Routine:             e.Routine,
	}
}

// AccountRefused says whether PostgreSQL did not take gprxy for the account. What it refuses once it has, such as
// a role that may not log in any more, is the administrator's word, and told as it is.
func AccountRefused(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	_, accepted := errors.AsType[*pool.LoginError](err)
	return ok && !accepted && strings.HasPrefix(refused.Code, "28")
}

// fromPool translates what the pool says; nil if it is nothing of its own.
func fromPool(err error) *Error {
	if timeout, ok := errors.AsType[*pool.TimeoutError](err); ok {
		return &Error{
			Code:    CodeTooManyConnections,
			Reason:  "pool_timeout",
			Message: timeout.Error(),
			Hint: fmt.Sprintf("Use fewer connections at once (pg_dump -j 8 takes 9), close idle ones, or ask the operator of gprxy for "+
				"a larger %s; it is %d.", timeout.Limit, timeout.Allowed),
		}
	}
	if limit, ok := errors.AsType[*pool.PersonError](err); ok {
		return &Error{
			Code:    CodeTooManyConnections,
			Reason:  "pool_max_per_user",
			Message: limit.Error(),
			Hint: "Close a connection of yours that you do not need. The operator of gprxy sees them all with: gprxy sessions --active " +
				"--user NAME",
		}
	}
	if old, ok := errors.AsType[*pool.VersionError](err); ok {
		return &Error{
			Code:    CodeUnsupported,
			Reason:  "postgresql_too_old",
			Message: old.Error(),
			Hint:    "Tell the operator of gprxy: the database has to be upgraded.",
		}
	}
	if unreachable, ok := errors.AsType[*pool.UnreachableError](err); ok {
		return &Error{
			Code:    CodeCannotConnectNow,
			Reason:  "postgresql_unreachable",
			Message: unreachable.Error(),
			Hint:    "Try again in a moment; if it stays so, tell the operator of gprxy.",
		}
	}
	return nil
}
