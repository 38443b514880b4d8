// A session as the log tells it, folded from its events without clock or I/O.

package store

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"time"
)

// The states of a session as people see them.
const (
	StateActive  = "active"  // a backend serves it
	StateEnded   = "ended"   // over, in whatever way, without a refusal
	StateRefused = "refused" // turned away before it could run anything
	StateAborted = "aborted" // the proxy died under it
)

// stateConnecting is a session that is still logging in; no list shows it.
const stateConnecting = "connecting"

// Session is one row of the sessions projection. The zero value of a field means absent.
type Session struct {
	Session         string
	State           string
	Started         time.Time // when the startup packet was accepted
	Ended           time.Time // zero while it lasts
	User            string    // the person, once proved; in a refused session also whom a correctly signed token named
	RequestedUser   string
	AuthMethod      string
	Roles           []string
	Role            string
	ServiceAccount  string // from the mapping; from session.started on the backend's current_user
	Database        string
	Client          string
	ApplicationName string
	TLS             string
	BackendPID      uint32

	// Figures of the end; unknown (null in JSON) unless State is StateEnded.
	Statements, Rows, Errors, BytesIn, BytesOut int64

	EndReason string
	Doubt     string // why gprxy could not follow it to its end

	seq int64 // of the session.connected that began it; 0: no such session
}

// apply folds one event of the session into s. Only session.connected begins a session,
// and nothing changes one that is over: a late cancel, or the end that follows a refusal.
func apply(s Session, seq int64, at time.Time, f Fact) Session {
	if c, ok := f.(SessionConnected); ok && s.seq == 0 {
		return connected(s.Session, seq, at, c)
	}
	if s.seq == 0 || s.over() {
		return s
	}
	switch f := f.(type) {
	case AuthSucceeded:
		s.AuthMethod, s.User, s.Roles = f.Method, f.User, f.Roles
	case AuthFailed:
		s.AuthMethod, s.User = f.Method, f.User
	case RoleMapped:
		s.Role, s.ServiceAccount = f.Role, f.ServiceAccount
	case SessionStarted:
		s.State, s.ServiceAccount, s.BackendPID = StateActive, f.ServiceAccount, f.BackendPID
	case SessionRefused:
		s.State, s.Ended, s.EndReason = StateRefused, at, f.Reason
	case SessionEnded:
		s = ended(s, at, f)
	}
	return s
}

func connected(id string, seq int64, at time.Time, f SessionConnected) Session {
	return Session{
		Session:         id,
		State:           stateConnecting,
		Started:         at,
		RequestedUser:   f.RequestedUser,
		Database:        f.Database,
		Client:          f.Client,
		ApplicationName: f.ApplicationName,
		TLS:             f.TLS,
		seq:             seq,
	}
}

func ended(s Session, at time.Time, f SessionEnded) Session {
	s.State, s.Ended, s.EndReason = StateEnded, at, f.Reason
	if f.Reason == EndAborted {
		s.State = StateAborted
		return s
	}
	s.Statements, s.Rows, s.Errors = f.Statements, f.Rows, f.Errors
	s.BytesIn, s.BytesOut, s.Doubt = f.BytesIn, f.BytesOut, f.Doubt
	return s
}

// over reports whether the session has its last state.
func (s Session) over() bool {
	return s.State != "" && s.State != stateConnecting && s.State != StateActive
}

// MarshalJSON gives the object of `gprxy sessions --json`: absent values are null.
func (s Session) MarshalJSON() ([]byte, error) {
	counted := s.State == StateEnded
	return json.Marshal(struct {
		Session         string   `json:"session"`
		State           string   `json:"state"`
		Started         *string  `json:"started"`
		Ended           *string  `json:"ended"`
		User            *string  `json:"user"`
		RequestedUser   *string  `json:"requested_user"`
		AuthMethod      *string  `json:"auth_method"`
		Roles           []string `json:"roles"`
		Role            *string  `json:"role"`
		ServiceAccount  *string  `json:"service_account"`
		Database        *string  `json:"database"`
		Client          *string  `json:"client"`
		ApplicationName *string  `json:"application_name"`
		TLS             *string  `json:"tls"`
		BackendPID      *uint32  `json:"backend_pid"`
		Statements      *int64   `json:"statements"`
		Rows            *int64   `json:"rows"`
		Errors          *int64   `json:"errors"`
		BytesIn         *int64   `json:"bytes_in"`
		BytesOut        *int64   `json:"bytes_out"`
		EndReason       *string  `json:"end_reason"`
		Doubt           *string  `json:"doubt"`
	}{
		s.Session, s.State, jsonTime(s.Started), jsonTime(s.Ended), orNull(s.User), orNull(s.RequestedUser),
		orNull(s.AuthMethod), s.Roles, orNull(s.Role), orNull(s.ServiceAccount), orNull(s.Database),
		orNull(s.Client), orNull(s.ApplicationName), orNull(s.TLS), orNull(s.BackendPID),
		countIf(counted, s.Statements), countIf(counted, s.Rows), countIf(counted, s.Errors),
		countIf(counted, s.BytesIn), countIf(counted, s.BytesOut), orNull(s.EndReason), orNull(s.Doubt),
	})
}

// TimeFormat is how the log shows times: UTC, RFC 3339, microseconds.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

func jsonTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(TimeFormat))
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func countIf(known bool, n int64) *int64 {
	if !known {
		return nil
	}
	return &n
}

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewSessionID gives a new id: 16 characters of lowercase Crockford base32 that hold 48 bits
// of milliseconds and 32 random bits. Ids sort by time; they are names, not secrets.
func NewSessionID(now time.Time) string {
	var b [14]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	rand.Read(b[8:12]) // never fails (crypto/rand)
	return crockford.EncodeToString(b[2:12])
}
