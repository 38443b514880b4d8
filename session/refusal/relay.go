package refusal

import "gprxy/store"

// Why a session that was let in is ended by gprxy.
var (
	ErrShutdown = &Error{
		Code:    CodeAdminShutdown,
		Reason:  store.EndShutdown,
		Message: "terminating connection because gprxy is shutting down",
		Hint:    "Connect again in a moment.",
	}
	ErrNotRecorded = &Error{
		Code:    CodeIOError,
		Reason:  "event_log_unavailable",
		Message: "gprxy cannot write its event log, so the statement was not run",
		Hint:    "What your transaction did is rolled back. Ask the operator of gprxy: its log says what to do.",
	}
	ErrTokenExpired = &Error{
		Code:    CodeAdminShutdown,
		Reason:  "token_expired",
		Message: "terminating connection because the token you logged in with has expired",
		Hint:    "Log in again for a fresh token, and connect again.",
	}
	ErrIdleTimeout = &Error{
		Code:    CodeIdleSessionTimeout,
		Reason:  store.EndIdleTimeout,
		Message: "terminating connection because it was idle for longer than gprxy allows (IDLE_TIMEOUT)",
		Hint:    "Connect again.",
	}
	ErrMaxSession = &Error{
		Code:    CodeAdminShutdown,
		Reason:  store.EndMaxSession,
		Message: "terminating connection because it has lasted as long as gprxy allows (MAX_SESSION)",
		Hint:    "Connect again.",
	}
	ErrUnstamped = &Error{
		Code:    CodeInternal,
		Reason:  "identity_stamp",
		Message: "PostgreSQL did not take the mark of who you are again after RESET ALL or DISCARD ALL",
		Hint:    "Connect again. The log of gprxy has the reason.",
	}
	ErrBackendLost = &Error{
		Code:    CodeConnectionFailure,
		Reason:  store.EndBackendGone,
		Message: "gprxy lost the connection to PostgreSQL",
		Hint:    "Connect again; what was running may or may not have been done.",
	}
	// ErrLongName ends a session whose statements can no longer be told apart.
	ErrLongName = &Error{
		Code:    CodeProtocolViolation,
		Reason:  "long_name",
		Message: "the name of a prepared statement or portal is too long to be recorded",
		Hint:    "PostgreSQL keeps 63 bytes of a name. Where statements are not recorded (AUDIT_STATEMENTS=off) gprxy passes on longer ones.",
	}
)
