// The errors a caller branches on. None of them carries a host name, a password or a parameter value in its text.
package pool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrClosed is returned by every call that needs a backend once Pools.Close has begun.
	ErrClosed = errors.New("the pools are closed")

	// ErrReleased is returned by Lease.Cancel once Release or Discard has begun; nothing was sent.
	ErrReleased = errors.New("the lease has ended")

	// ErrNoPasswordAsked is returned by CheckLogin when PostgreSQL let the user in without asking for the password
	// (pg_hba.conf says trust or peer for the proxy): the password was not checked, so it proves nothing.
	ErrNoPasswordAsked = errors.New("PostgreSQL did not ask for the password")

	// ErrBadRequest is wrapped by errors about requests that can never be served, e.g. a NUL in a name.
	ErrBadRequest = errors.New("impossible request")
)

// LoginError is a *pgconn.PgError by which PostgreSQL refused a backend after it had accepted whose login it is, and what
// it had said until then.
type LoginError struct {
	Err      *pgconn.PgError
	Greeting []Message
}

func (e *LoginError) Error() string { return e.Err.Error() }
func (e *LoginError) Unwrap() error { return e.Err }

// UnreachableError says that PostgreSQL gave no usable answer. Error is fit for clients; Unwrap tells everything,
// the address included, and is for the log.
type UnreachableError struct {
	Err  error
	away bool // nobody is served now, see outage
}

func (e *UnreachableError) Error() string {
	return "PostgreSQL is unreachable: " + plainCause(e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Distrusted says that a server answered which does not prove to be the one that was asked for: no TLS, or a certificate
// that is not trusted.
func (e *UnreachableError) Distrusted() bool { return distrusted(e.Err) }

// TimeoutError says that no backend became free within Config.AcquireTimeout.
type TimeoutError struct {
	Limit   string        // the setting whose limit was reached: POOL_MAX_CONNS or POOL_MAX_TOTAL
	Allowed int           // what that setting allows
	Waited  time.Duration // how long the request waited
}

func (e *TimeoutError) Error() string {
	waited := e.Waited.Round(time.Millisecond)
	switch e.Limit {
	case limitConns:
		return fmt.Sprintf("no backend became free in %s: all %d that %s allows your account in this database are in use",
			waited, e.Allowed, e.Limit)
	case limitTotal:
		return fmt.Sprintf("no backend became free in %s: all %d that %s allows are in use", waited, e.Allowed, e.Limit)
	}
	return fmt.Sprintf("no backend became free in %s: %s is reached", waited, e.Limit)
}

// Timeout makes a TimeoutError a timeout for net.Error-style callers.
func (e *TimeoutError) Timeout() bool { return true }

// plainCause names the kind of failure without the address that net's and pgconn's texts carry.
func plainCause(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errNoTLS):
		return "it does not offer TLS"
	case distrusted(err):
		return "its certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return "connection refused"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "its host name is not known"
	case errors.As(err, &dns):
		return "its host name cannot be looked up"
	case timedOut(err):
		return "no answer in time"
	default:
		return "the connection failed"
	}
}

// connectError turns what pgconn says about a failed connect or a broken connection into this package's errors:
// PostgreSQL's own refusal as it is, the caller's end of patience as ctx.Err(), the rest as unreachable.
func connectError(ctx context.Context, err error) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr
	}
	if old, ok := errors.AsType[*VersionError](err); ok {
		return old
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &UnreachableError{Err: err}
}

// timedOut says whether an error is a limit of time that was reached.
func timedOut(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && netErr.Timeout()
}

// distrusted says whether TLS failed over what the server is, not because it went.
func distrusted(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	return verify || unknown || errors.Is(err, errNoTLS)
}
