package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/store"
)

// SQLSTATEs that gprxy itself gives (manual, appendix "PostgreSQL Error Codes").
const (
	codeProtocolViolation     = "08P01"
	codeConnectionFailure     = "08006"
	codeUnsupported           = "0A000"
	codeInvalidAuthorization  = "28000"
	codeInvalidPassword       = "28P01"
	codeInsufficientPrivilege = "42501"
	codeTooManyConnections    = "53300"
	codeSyntaxError           = "42601"
	codeQueryCanceled         = "57014"
	codeAdminShutdown         = "57P01"
	codeCannotConnectNow      = "57P03"
	codeIOError               = "58030"
	codeInvalidParameter      = "22023"
	codeInternal              = "XX000"
)

// A refusal is an error the client may read as it is.
type refusal struct {
	code, message, detail, hint string
	reason                      string // for the log
	legacy                      bool   // to be told in the form of protocol 2
	silent                      bool   // the client is told nothing, as by PostgreSQL
}

func (r *refusal) Error() string { return r.message }

var (
	errLoginTimeout = &refusal{
		code:    codeQueryCanceled,
		reason:  "login_timeout",
		message: "canceling authentication due to timeout",
		hint:    "The login took longer than gprxy's LOGIN_TIMEOUT allows.",
	}
	errDraining = &refusal{
		code:    codeCannotConnectNow,
		reason:  "draining",
		message: "gprxy is shutting down",
		hint:    "Connect again in a moment.",
	}
	errShutdown = &refusal{
		code:    codeAdminShutdown,
		reason:  store.EndShutdown,
		message: "terminating connection because gprxy is shutting down",
		hint:    "Connect again in a moment.",
	}
	errTLSRequired    = tlsRequired("gprxy accepts logins only over TLS")
	errTLSFromOutside = tlsRequired("gprxy accepts a login from another machine only over TLS")
	// errTokenDiscovery is no failure: a client without a token has been told
	// where to get one.
	errTokenDiscovery = &refusal{
		code:    codeInvalidAuthorization,
		reason:  store.EndTokenDiscovery,
		message: "no token was sent",
		hint:    "Log in at the identity provider, and connect again with the token.",
	}
	// errNoPassword is none either: some clients say goodbye when they are asked
	// for a password, and come back with one.
	errNoPassword = &refusal{
		code:    codeProtocolViolation,
		reason:  store.EndLeftBeforeLogin,
		message: "expected password response, got message type 88",
	}
	errNotRecorded = &refusal{
		code:    codeIOError,
		reason:  "event_log_unavailable",
		message: "gprxy cannot write its event log, so the statement was not run",
		hint:    "What your transaction did is rolled back. Ask the operator of gprxy: its log says what to do.",
	}
	errTokenExpired = &refusal{
		code:    codeAdminShutdown,
		reason:  "token_expired",
		message: "terminating connection because the token you logged in with has expired",
		hint:    "Log in again for a fresh token, and connect again.",
	}
	errUnstamped = &refusal{
		code:    codeInternal,
		reason:  "identity_stamp",
		message: "PostgreSQL did not take the mark of who you are again after RESET ALL or DISCARD ALL",
		hint:    "Connect again. The log of gprxy has the reason.",
	}
	errBackendLost = &refusal{
		code:    codeConnectionFailure,
		reason:  store.EndBackendGone,
		message: "gprxy lost the connection to PostgreSQL",
		hint:    "Connect again; what was running may or may not have been done.",
	}
)

// faultError is a panic of gprxy's own.
type faultError struct {
	fault any
	stack []byte
}

func (e *faultError) Error() string { return fmt.Sprintf("a fault in gprxy: %v\n%s", e.fault, e.stack) }

func tlsRequired(message string) *refusal {
	return &refusal{code: codeInvalidAuthorization, reason: "tls_required", message: message, hint: "Connect with sslmode=require or stronger."}
}

func malformed(message string) error {
	return &refusal{code: codeProtocolViolation, reason: "malformed", message: message}
}

// unintelligible is what PostgreSQL tells its log alone (COMMERROR), and closes: who sends such bytes does not
// speak the protocol, and would take an answer for something else.
func unintelligible(message string) error {
	return &refusal{code: codeProtocolViolation, reason: "malformed", message: message, silent: true}
}

// handshakeFailed has a reason of its own, because people look for it: their client does not trust the certificate.
func handshakeFailed(err error) error {
	return &refusal{code: codeProtocolViolation, reason: reasonHandshake, message: "the TLS handshake failed: " + explainHandshake(err), silent: true}
}

const reasonHandshake = "tls_handshake"

// explainHandshake adds to what TLS says what is behind it most often.
func explainHandshake(err error) string {
	alert, told := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the client closed the connection"
	case told && alert.Op == "remote error" && strings.Contains(alert.Error(), "certificate"):
		return err.Error() + " (the client does not trust gprxy's certificate: see its sslrootcert, and PROXY_CERT)"
	}
	return err.Error()
}

// unencryptedData is what PostgreSQL says where something stands behind a request
// that has not been answered.
func unencryptedData(request string) error {
	return &refusal{
		code:    codeProtocolViolation,
		reason:  "malformed",
		message: "received unencrypted data after " + request,
		detail:  "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
	}
}

func unsupportedProtocol(version uint32) error {
	return &refusal{
		code:    codeUnsupported,
		reason:  "unsupported_protocol",
		message: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", version>>16, version&0xffff),
		legacy:  version != 0 && version>>16 < 3,
	}
}

// clientLeft tells a client that went away from one that took too long.
func clientLeft(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errLoginTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClientGone
	default:
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
}

// accountFailure turns a refused login of a service account into what its user
// may know: the operator's password is not theirs to mend.
func (s *session) accountFailure(err error) error {
	if !accountRefused(err) {
		return err
	}
	s.tellAccountRefused(err)
	return &refusal{
		code:    codeInternal,
		reason:  "service_account_refused",
		message: "gprxy could not log in to PostgreSQL with your service account",
		hint:    "Ask the operator of gprxy: its log has the reason.",
	}
}

// tellAccountRefused says in gprxy's log why nobody gets in with a service account, and what to do.
func (s *session) tellAccountRefused(err error) {
	said := []any{"service_account", s.account.User, "role", s.account.Role, "rule", s.account.Rule, "database", s.database, "error", err}
	refused, _ := errors.AsType[*pgconn.PgError](err)
	if refused == nil || refused.Code != codeInvalidPassword {
		s.log.Error("PostgreSQL refused the login of a service account: every login with it is refused. Check pg_hba.conf, and that the role may log in", said...)
		return
	}
	if change, known := s.passwordChanges.of(s.account.User); known {
		said = append(said, "changed_by", change.user, "changed_at", change.at.UTC().Format(time.RFC3339), "changed_in_session", change.session)
	}
	s.log.Error("PostgreSQL refused gprxy's password for a service account: every login that needs a new connection is refused. "+
		"Give gprxy the present password (the rule's setting, or its file), or set gprxy's again with ALTER ROLE ... PASSWORD", said...)
}

// accountRefused says whether PostgreSQL did not take gprxy for the account. What it refuses once it has, such as
// a role that may not log in any more, is the administrator's word, and told as it is.
func accountRefused(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	_, accepted := errors.AsType[*pool.LoginError](err)
	return ok && !accepted && strings.HasPrefix(refused.Code, "28")
}

// errorResponse decides what a client that is turned away may read. user is
// whom it claimed to be.
func errorResponse(err error, user string) *pgproto3.ErrorResponse {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fromPostgreSQL(refused)
	}
	r := toRefusal(err, user)
	return &pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL",
		Code: r.code, Message: r.message, Detail: r.detail, Hint: r.hint,
	}
}

func toRefusal(err error, user string) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[*authFailure](err); ok {
		return authRefusal(err, user)
	}
	if denied, ok := errors.AsType[*auth.RoleError](err); ok {
		return roleRefusal(denied)
	}
	if _, ok := errors.AsType[*store.UnavailableError](err); ok {
		return &refusal{
			code:    codeIOError,
			reason:  "event_log_unavailable",
			message: "gprxy cannot write its event log, so nobody is let in",
			hint:    "Ask the operator of gprxy: its log says what to do.",
		}
	}
	if timeout, ok := errors.AsType[*pool.TimeoutError](err); ok {
		return &refusal{
			code:    codeTooManyConnections,
			reason:  "pool_timeout",
			message: timeout.Error(),
			hint: fmt.Sprintf("Use fewer connections at once (pg_dump -j 8 takes 9), close idle ones, or ask the operator of gprxy for "+
				"a larger %s; it is %d.", timeout.Limit, timeout.Allowed),
		}
	}
	if limit, ok := errors.AsType[*pool.PersonError](err); ok {
		return &refusal{
			code:    codeTooManyConnections,
			reason:  "pool_max_per_user",
			message: limit.Error(),
			hint:    "Close a connection of yours that you do not need. The operator of gprxy sees them all with: gprxy sessions --active --user NAME",
		}
	}
	if old, ok := errors.AsType[*pool.VersionError](err); ok {
		return &refusal{
			code:    codeUnsupported,
			reason:  "postgresql_too_old",
			message: old.Error(),
			hint:    "Tell the operator of gprxy: the database has to be upgraded.",
		}
	}
	if unreachable, ok := errors.AsType[*pool.UnreachableError](err); ok {
		return &refusal{
			code:    codeCannotConnectNow,
			reason:  "postgresql_unreachable",
			message: unreachable.Error(),
			hint:    "Try again in a moment; if it stays so, tell the operator of gprxy.",
		}
	}
	switch {
	case errors.Is(err, pool.ErrClosed), errors.Is(err, context.Canceled):
		return errDraining
	case errors.Is(err, context.DeadlineExceeded):
		return errLoginTimeout
	case errors.Is(err, pool.ErrBadRequest):
		return malformed("a name or parameter cannot be sent to PostgreSQL").(*refusal)
	}
	return &refusal{
		code:    codeInternal,
		reason:  "internal",
		message: "gprxy could not serve this login",
		hint:    "Ask the operator of gprxy: its log has the reason.",
	}
}

// authRefusal is one text for every reason but three. When the issuer cannot be
// reached, no token whatever would help. When password logins are off, no password
// would. And who has a token that is genuine, and for gprxy, learns nothing new from
// hearing that it has expired.
func authRefusal(err error, user string) *refusal {
	failure, _ := errors.AsType[*authFailure](err)
	switch {
	case failure.reason == reasonPasswordOff:
		return &refusal{
			code:    codeInvalidAuthorization,
			reason:  failure.reason,
			message: "this gprxy takes tokens only: logins with a database password are off",
			hint:    "Log in with your company's login (gprxy login, then gprxy connect), or give a token as the password.",
		}
	case failure.genuine && failure.reason == auth.ReasonExpired:
		return &refusal{
			code:    expiredCode(failure.method),
			reason:  failure.reason,
			message: "the token has expired",
			detail:  "It was good until " + failure.expires.UTC().Format("2006-01-02 15:04:05 UTC") + ".",
			hint:    "Log in again for a fresh token (gprxy login), and connect with that.",
		}
	}
	if failure.reason == auth.ReasonIssuerUnavailable {
		return &refusal{
			code:    codeCannotConnectNow,
			reason:  failure.reason,
			message: "gprxy cannot verify tokens now: the identity provider does not answer",
			hint:    "Try again in a moment; if it stays so, tell the operator of gprxy.",
		}
	}
	if failure.method == auth.MethodOAuth {
		return &refusal{
			code:    codeInvalidAuthorization,
			reason:  failure.reason,
			message: fmt.Sprintf("OAuth bearer authentication failed for user %q", user),
			hint:    "Log in again for a fresh token; after several failed logins, wait a minute. The reason stands in gprxy's event log.",
		}
	}
	return &refusal{
		code:    codeInvalidPassword,
		reason:  failure.reason,
		message: fmt.Sprintf("password authentication failed for user %q", user),
		hint:    "Check the password, or log in again for a fresh token; after several failed logins, wait a minute. The reason stands in gprxy's event log.",
	}
}

// expiredCode is what the method's other refusals have: clients act on it.
func expiredCode(method string) string {
	if method == auth.MethodOAuth {
		return codeInvalidAuthorization
	}
	return codeInvalidPassword
}

func roleRefusal(denied *auth.RoleError) *refusal {
	r := &refusal{code: codeInvalidAuthorization, reason: denied.Reason}
	if denied.Reason == auth.ReasonRolesOverage {
		r.message = "your token does not hold your groups: they are too many for it (groups overage)"
		r.hint = "Ask the operator of gprxy: the issuer must put app roles into the token, or only the groups that are assigned to the application."
		return r
	}
	if denied.Reason == auth.ReasonAccountNotHeld {
		r.message = fmt.Sprintf("none of your roles gives the account %q", denied.Requested)
		r.hint = "Connect as yourself, or ask for the role in your company's directory and log in again."
		return r
	}
	r.message = "none of your roles is mapped to a service account"
	if len(denied.Roles) == 0 {
		r.hint = "Your token has no roles at all. If the issuer gives them for a scope, log in with it, such as OIDC_SCOPES=\"openid profile email offline_access groups\" gprxy login; " +
			"else ask the operator of gprxy whether they are in the token under another name (ROLES_CLAIM), or for a role in your company's directory."
		return r
	}
	r.hint = "Ask for a role in your company's directory and log in again, or ask the operator of gprxy to map one of yours (ROLE_MAPPING_...)."
	return r
}

// fromPostgreSQL is PostgreSQL's own error with all its fields. It ends the
// connection, whatever it was when PostgreSQL reported it.
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

// refusalReason is the word the log has for it.
func refusalReason(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "postgresql_" + strings.ToLower(refused.Code)
	}
	return toRefusal(err, "").reason
}
