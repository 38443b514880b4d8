// The facts that can stand in the log, and the names and fields under which they are stored.

package store

import "time"

// Event is one fact about one session, not yet numbered: the writer gives seq and hash.
type Event struct {
	// Time is when the fact became true; the zero value means "when it was handed over".
	// It is kept to the microsecond.
	Time time.Time
	// Session is the id from NewSessionID, or "" for proxy.* and log.* events.
	Session string
	Fact    Fact
}

// Fact is the payload of an event: one of the structs of this file.
//
// Rules for changing them, since old files must verify and fold for ever: a type's name
// and the names and meaning of its fields never change; new fields are optional
// (omitempty); a fact with another meaning gets another type. event_test.go pins the bytes.
type Fact interface {
	// Type is the name stored in the log, such as "session.started".
	Type() string
	fact()
}

// ProxyStarted opens a run of the proxy.
type ProxyStarted struct {
	Version  string `json:"version"`
	Listen   string `json:"listen"`
	Upstream string `json:"upstream"`
	PID      int    `json:"pid"`

	// Durability is AUDIT_DURABILITY if statements are recorded: DurabilityAsync or DurabilityStrict.
	Durability string `json:"audit_durability,omitempty"`
}

// How soon statements are durable.
const (
	DurabilityAsync  = "async"  // within AsyncWindow
	DurabilityStrict = "strict" // before they run
)

// AsyncWindow is within what time a statement that nobody waits for is in the file.
const AsyncWindow = 50 * time.Millisecond

// ProxyStopped closes a run of the proxy; a run without it was killed.
type ProxyStopped struct {
	Reason string `json:"reason"`
}

// SessionConnected says that a client's startup packet was accepted.
type SessionConnected struct {
	Client          string `json:"client"` // ip:port, or [local] over a Unix socket
	RequestedUser   string `json:"requested_user"`
	Database        string `json:"database"`
	ApplicationName string `json:"application_name,omitempty"`
	TLS             string `json:"tls,omitempty"`  // "" or for example "TLSv1.3"
	Protocol        string `json:"protocol"`       // for example "3.0"
	Via             string `json:"via,omitempty"`  // ip:port of the proxy that passed the connection on
	Peer            *Peer  `json:"peer,omitempty"` // over a Unix socket, where the kernel says who it is
}

// Peer is the process that opened the other end of a Unix socket. It proves nobody's identity to gprxy.
type Peer struct {
	UID  uint32 `json:"uid"`
	PID  int32  `json:"pid"`            // at that moment
	User string `json:"user,omitempty"` // the operating system's name for the uid, if it has one
}

// AuthSucceeded says that the client proved to be User.
type AuthSucceeded struct {
	Method       string     `json:"method"`
	User         string     `json:"user"`
	Issuer       string     `json:"issuer,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	Roles        []string   `json:"roles,omitempty"`
	TokenID      string     `json:"token_id,omitempty"`
	TokenExpires *time.Time `json:"token_expires,omitempty"`
	// RolesIgnored is how many entries of the roles claim could not be a mapped role.
	RolesIgnored int `json:"roles_ignored,omitempty"`
	// UserSpelled is User as the token spells it, where that differs.
	UserSpelled string `json:"user_spelled,omitempty"`
}

// AuthFailed says that the client did not prove who it is. User is set only when a
// correctly signed token named it.
type AuthFailed struct {
	Method  string `json:"method"`
	User    string `json:"user,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	TokenID string `json:"token_id,omitempty"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail,omitempty"`
}

// RoleMapped says which service account a person's role leads to, and by which rule.
type RoleMapped struct {
	Role           string `json:"role"`
	ServiceAccount string `json:"service_account"`
	Rule           string `json:"rule"`
}

// RoleDenied says that a known person has no role that leads to an account.
type RoleDenied struct {
	Roles         []string `json:"roles,omitempty"`
	RequestedUser string   `json:"requested_user"`
	Reason        string   `json:"reason"`
}

// SessionStarted says that a backend serves the session. ServiceAccount is that
// backend's current_user.
type SessionStarted struct {
	ServiceAccount string  `json:"service_account"`
	BackendPID     uint32  `json:"backend_pid"`
	Backend        string  `json:"backend"`
	WaitMS         float64 `json:"wait_ms"`
	Reused         bool    `json:"reused"`
}

// ReplicationStarted says that the session is not for statements but for the stream of
// changes: of one database (logical), or of the whole server (physical).
type ReplicationStarted struct {
	Kind           string `json:"kind"`
	ServiceAccount string `json:"service_account"`
	BackendPID     uint32 `json:"backend_pid"`
}

// AccountAltered says that the session changed a role of PostgreSQL's with ALTER ROLE or ALTER USER, such as the password of
// the very account that serves it: who knows that can log in past gprxy, and gprxy cannot any more.
type AccountAltered struct {
	Account        string   `json:"account,omitempty"` // whose; "" if the text was not seen
	ServiceAccount string   `json:"service_account"`   // that served the session
	What           []string `json:"what"`              // AlteredPassword and others of these
	// Tag is the command tag with which PostgreSQL said that it was done: ALTER ROLE, or DO for code whose text holds it,
	// which need not have run all of it.
	Tag string `json:"tag"`
}

// What was altered of a role.
const (
	AlteredPassword        = "password"
	AlteredLogin           = "login" // LOGIN or NOLOGIN
	AlteredValidUntil      = "valid_until"
	AlteredName            = "name"
	AlteredConnectionLimit = "connection_limit"
	AlteredSettings        = "settings" // SET or RESET
	AlteredRights          = "rights"   // SUPERUSER, CREATEDB and their like
	AlteredUnknown         = "unknown"
)

// SessionRefused says that the client was turned away before it could run anything.
type SessionRefused struct {
	SQLState string `json:"sqlstate"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
}

// CancelForwarded says that a cancel request with a valid key reached the backend.
type CancelForwarded struct {
	Client     string `json:"client"`
	BackendPID uint32 `json:"backend_pid"`
}

// CancelRejected says that a cancel request was not handed on: its key opens nothing, or its session has ended, or PostgreSQL
// could not be reached.
type CancelRejected struct {
	Client     string `json:"client"`
	BackendPID uint32 `json:"backend_pid"`
	Reason     string `json:"reason"`
}

// SessionEnded says that the session is over. After a crash the next start writes it
// with reason EndAborted and no figures.
type SessionEnded struct {
	Reason     string  `json:"reason"`
	DurationMS float64 `json:"duration_ms"`
	Statements int64   `json:"statements"`
	Errors     int64   `json:"errors"`
	Rows       int64   `json:"rows"`
	BytesIn    int64   `json:"bytes_in"`
	BytesOut   int64   `json:"bytes_out"`

	// Doubt is why gprxy could not follow the session to its end: what its statements led to is not
	// known from then on, and its backend was closed. "" is the usual case, no doubt.
	Doubt string `json:"doubt,omitempty"`
}

// LogRead says that somebody read the log through the CLI.
type LogRead struct {
	OSUser  string `json:"os_user"`
	Command string `json:"command"`
	Filter  string `json:"filter,omitempty"`
}

// LogPruned says that among the events FirstSeq..LastSeq those from before Before were given up; Events
// is how many. Digests of them are left.
type LogPruned struct {
	By       string    `json:"by"`
	Before   time.Time `json:"before"`
	FirstSeq int64     `json:"first_seq"`
	LastSeq  int64     `json:"last_seq"`
	Events   int64     `json:"events,omitempty"`
}

// LogGap says that events of a time may be missing, or were late.
type LogGap struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"` // GapKilled or GapUnwritable
	// Of GapKilled: the sessions that were open, any of which may lack statements, and of what time.
	Sessions int64 `json:"sessions,omitempty"`
	WindowMS int64 `json:"window_ms,omitempty"`
	// Of GapUnwritable: the events for which memory had no room. The others were kept and written late.
	Lost int64 `json:"lost,omitempty"`
}

// The reasons of a LogGap.
const (
	// GapKilled: the proxy was killed at some moment, and statements that ended within WindowMS before it
	// may be missing. Since is the last event of that proxy, Until the next start.
	GapKilled = "killed"
	// GapUnwritable: the log could not be written. Logins were refused.
	GapUnwritable = "unwritable"
)

// LogCheckpointed says that the head of the chain was signed and handed out.
type LogCheckpointed struct {
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
	KeyID string `json:"key_id"`
}

// LogCondensed says that Count facts of type Of were not recorded one by one, because strangers
// caused so many between First and Last. "connection.refused" stands for connections that were
// turned away before their startup packet, which are no events by themselves.
type LogCondensed struct {
	Of     string    `json:"of"`
	Reason string    `json:"reason"`
	Client string    `json:"client,omitempty"` // address, or IPv6 network; "": several, or unknown
	Count  int64     `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

func (ProxyStarted) Type() string       { return "proxy.started" }
func (ProxyStopped) Type() string       { return "proxy.stopped" }
func (SessionConnected) Type() string   { return "session.connected" }
func (AuthSucceeded) Type() string      { return "auth.succeeded" }
func (AuthFailed) Type() string         { return "auth.failed" }
func (RoleMapped) Type() string         { return "role.mapped" }
func (RoleDenied) Type() string         { return "role.denied" }
func (SessionStarted) Type() string     { return "session.started" }
func (ReplicationStarted) Type() string { return "replication.started" }
func (AccountAltered) Type() string     { return "account.altered" }
func (SessionRefused) Type() string     { return "session.refused" }
func (CancelForwarded) Type() string    { return "cancel.forwarded" }
func (CancelRejected) Type() string     { return "cancel.rejected" }
func (SessionEnded) Type() string       { return "session.ended" }
func (LogRead) Type() string            { return "log.read" }
func (LogPruned) Type() string          { return "log.pruned" }
func (LogGap) Type() string             { return "log.gap" }
func (LogCheckpointed) Type() string    { return "log.checkpointed" }
func (LogCondensed) Type() string       { return "log.condensed" }

func (ProxyStarted) fact()       {}
func (ProxyStopped) fact()       {}
func (SessionConnected) fact()   {}
func (AuthSucceeded) fact()      {}
func (AuthFailed) fact()         {}
func (RoleMapped) fact()         {}
func (RoleDenied) fact()         {}
func (SessionStarted) fact()     {}
func (ReplicationStarted) fact() {}
func (AccountAltered) fact()     {}
func (SessionRefused) fact()     {}
func (CancelForwarded) fact()    {}
func (CancelRejected) fact()     {}
func (SessionEnded) fact()       {}
func (LogRead) fact()            {}
func (LogPruned) fact()          {}
func (LogGap) fact()             {}
func (LogCheckpointed) fact()    {}
func (LogCondensed) fact()       {}
