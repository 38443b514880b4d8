package refusal

import (
	"fmt"
	"time"

	"gprxy/auth"
	"gprxy/store"
)

// Why somebody is not let in who was understood.

// Reasons of auth.failed and session.refused that others look for.
const (
	ReasonEmptyPassword   = "empty_password"
	ReasonPasswordOff     = "password_login_off"
	ReasonTooManyFailures = "too_many_failures"
	ReasonDenied          = "denied"
	ReasonCodeExpired     = "code_expired"
	ReasonDeviceUnsuited  = "device_unsuited"
)

var (
	ErrLoginTimeout = &Error{
		Code:    CodeQueryCanceled,
		Reason:  "login_timeout",
		Message: "canceling authentication due to timeout",
		Hint:    "The login took longer than gprxy's LOGIN_TIMEOUT allows.",
	}
	ErrDraining = &Error{
		Code:    CodeCannotConnectNow,
		Reason:  "draining",
		Message: "gprxy is shutting down",
		Hint:    "Connect again in a moment.",
	}
	ErrTLSRequired    = tlsRequired("gprxy accepts logins only over TLS")
	ErrTLSFromOutside = tlsRequired("gprxy accepts a login from another machine only over TLS")
	// ErrTokenDiscovery is no failure: a client without a token has been told
	// where to get one.
	ErrTokenDiscovery = &Error{
		Code:    CodeInvalidAuthorization,
		Reason:  store.EndTokenDiscovery,
		Message: "no token was sent",
		Hint:    "Log in at the identity provider, and connect again with the token.",
	}
	// ErrNoPassword is none either: some clients say goodbye when they are asked
	// for a password, and come back with one.
	ErrNoPassword = &Error{
		Code:    CodeProtocolViolation,
		Reason:  store.EndLeftBeforeLogin,
		Message: "expected password response, got message type 88",
	}
	ErrTooManyClients = &Error{
		Code:    CodeTooManyConnections,
		Reason:  "too_many_clients",
		Message: "sorry, too many clients already",
		Hint: "gprxy serves no more than MAX_CLIENTS at once. Close sessions that are not used, try again later, or ask the operator for " +
			"a larger MAX_CLIENTS.",
	}
	ErrTooManyLogins = &Error{
		Code:    CodeTooManyConnections,
		Reason:  "too_many_logins",
		Message: "sorry, too many clients are logging in already",
		Hint:    "Try again in a moment; if it stays so, ask the operator of gprxy to look at LOGIN_MAX and LOGIN_MAX_PER_ADDRESS.",
	}
	ErrSlotTaken = &Error{
		Code:    CodeTooManyConnections,
		Reason:  "place_taken",
		Message: "sorry, too many clients are logging in already, and this login was not finished in time",
		Hint:    ErrTooManyLogins.Hint,
	}
	ErrDeviceLogins = &Error{
		Code:    CodeTooManyConnections,
		Reason:  "device_logins",
		Message: "too many people are logging in with a browser just now",
		Hint:    "Try again in a minute, or log in with a token.",
	}
	ErrDeviceUnsuited = &Error{
		Code:    CodeUnsupported,
		Reason:  ReasonDeviceUnsuited,
		Message: "logins with a browser do not work with the identity provider of this gprxy",
		Hint: "Log in with gprxy login and connect with gprxy connect, or give a token as the password. The operator of gprxy finds the " +
			"reason in its log.",
	}
	ErrReplication = &Error{
		Code:    CodeUnsupported,
		Reason:  "replication",
		Message: "replication connections are not served through gprxy",
		Hint:    "Ask the operator of gprxy for ALLOW_REPLICATION=on, or connect directly to PostgreSQL.",
	}
	// ErrAccountRefused is what the user of a service account may know of its refused login: the operator's password is not
	// theirs to mend.
	ErrAccountRefused = &Error{
		Code:    CodeInternal,
		Reason:  "service_account_refused",
		Message: "gprxy could not log in to PostgreSQL with your service account",
		Hint:    "Ask the operator of gprxy: its log has the reason.",
	}
	errNobodyRecorded = &Error{
		Code:    CodeIOError,
		Reason:  "event_log_unavailable",
		Message: "gprxy cannot write its event log, so nobody is let in",
		Hint:    "Ask the operator of gprxy: its log says what to do.",
	}
)

func tlsRequired(message string) *Error {
	return &Error{Code: CodeInvalidAuthorization, Reason: "tls_required", Message: message, Hint: "Connect with sslmode=require or stronger."}
}

// UnknownAuthMethod refuses a choice of gprxy.auth, the parameter, that is none.
func UnknownAuthMethod(parameter, choice string) *Error {
	return &Error{
		Code:    CodeInvalidParameter,
		Reason:  "parameter_denied",
		Message: fmt.Sprintf("invalid value for parameter %q: %q", parameter, choice),
		Hint:    "Available values: password, oauth, device.",
	}
}

// AuthMethodOff refuses a choice that setting would allow.
func AuthMethodOff(parameter, choice, setting string) *Error {
	return &Error{
		Code:    CodeUnsupported,
		Reason:  "auth_method_off",
		Message: fmt.Sprintf("gprxy does not offer %s=%s here", parameter, choice),
		Hint:    "Leave it out to log in with a password or token, or ask the operator of gprxy for " + setting + ".",
	}
}

// AuthFailure is a login that did not prove who it is. Clients learn nothing
// of the reason; the log has it.
type AuthFailure struct {
	Method, Reason, Detail string // Reason is one of auth's or of those above
	User, Issuer, TokenID  string // that the token names
	Genuine                bool   // the issuer made the token, so the client may hear what is wrong with it
	Expires                time.Time
	Often                  bool // as before, many times: it need not be recorded by itself
}

func (f *AuthFailure) Error() string {
	return fmt.Sprintf("authentication by %s failed: %s", f.Method, f.Reason)
}

// refusal is one text for every reason but three. When the issuer cannot be
// reached, no token whatever would help. When password logins are off, no password
// would. And who has a token that is genuine, and for gprxy, learns nothing new from
// hearing that it has expired.
func (f *AuthFailure) refusal(user string) *Error {
	switch {
	case f.Reason == ReasonPasswordOff:
		return &Error{
			Code:    CodeInvalidAuthorization,
			Reason:  f.Reason,
			Message: "this gprxy takes tokens only: logins with a database password are off",
			Hint:    "Log in with your company's login (gprxy login, then gprxy connect), or give a token as the password.",
		}
	case f.Genuine && f.Reason == auth.ReasonExpired:
		return &Error{
			Code:    f.expiredCode(),
			Reason:  f.Reason,
			Message: "the token has expired",
			Detail:  "It was good until " + f.Expires.UTC().Format("2006-01-02 15:04:05 UTC") + ".",
			Hint:    "Log in again for a fresh token (gprxy login), and connect with that.",
		}
	case f.Reason == auth.ReasonIssuerUnavailable:
		return &Error{
			Code:    CodeCannotConnectNow,
			Reason:  f.Reason,
			Message: "gprxy cannot verify tokens now: the identity provider does not answer",
			Hint:    "Try again in a moment; if it stays so, tell the operator of gprxy.",
		}
	case f.Method == auth.MethodOAuth:
		return &Error{
			Code:    CodeInvalidAuthorization,
			Reason:  f.Reason,
			Message: fmt.Sprintf("OAuth bearer authentication failed for user %q", user),
			Hint:    "Log in again for a fresh token; after several failed logins, wait a minute. The reason stands in gprxy's event log.",
		}
	}
	return &Error{
		Code:    CodeInvalidPassword,
		Reason:  f.Reason,
		Message: fmt.Sprintf("password authentication failed for user %q", user),
		Hint: "Check the password, or log in again for a fresh token; after several failed logins, wait a minute. The reason stands in " +
			"gprxy's event log.",
	}
}

// expiredCode is what the method's other refusals have: clients act on it.
func (f *AuthFailure) expiredCode() string {
	if f.Method == auth.MethodOAuth {
		return CodeInvalidAuthorization
	}
	return CodeInvalidPassword
}

// noAccount is for a person who was believed, and whose roles give no account.
func noAccount(denied *auth.RoleError) *Error {
	r := &Error{Code: CodeInvalidAuthorization, Reason: denied.Reason}
	switch {
	case denied.Reason == auth.ReasonRolesOverage:
		r.Message = "your token does not hold your groups: they are too many for it (groups overage)"
		r.Hint = "Ask the operator of gprxy: the issuer must put app roles into the token, or only the groups that are assigned to the " +
			"application."
	case denied.Reason == auth.ReasonAccountNotHeld:
		r.Message = fmt.Sprintf("none of your roles gives the account %q", denied.Requested)
		r.Hint = "Connect as yourself, or ask for the role in your company's directory and log in again."
	case len(denied.Roles) == 0:
		r.Message = "none of your roles is mapped to a service account"
		r.Hint = "Your token has no roles at all. If the issuer gives them for a scope, log in with it, such as OIDC_SCOPES=\"openid " +
			"profile email offline_access groups\" gprxy login; " +
			"else ask the operator of gprxy whether they are in the token under another name (ROLES_CLAIM), or for a role in your company's " +
			"directory."
	default:
		r.Message = "none of your roles is mapped to a service account"
		r.Hint = "Ask for a role in your company's directory and log in again, or ask the operator of gprxy to map one of yours " +
			"(ROLE_MAPPING_...)."
	}
	return r
}
