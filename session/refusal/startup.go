package refusal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// What is wrong with what a client sends before its login is done.

// ErrClientGone says that there is nobody to tell anything.
var ErrClientGone = errors.New("the client is gone")

// ClientLeft tells from the error of a read or write a client that went away from one that took too long. It returns nil for nil.
func ClientLeft(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrLoginTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrClientGone
	default:
		return fmt.Errorf("%w: %w", ErrClientGone, err)
	}
}

// ReasonHandshake is of a TLS handshake that failed.
const ReasonHandshake = "tls_handshake"

const reasonMalformed = "malformed"

// Malformed refuses what no client of the protocol sends.
func Malformed(message string) *Error {
	return &Error{Code: CodeProtocolViolation, Reason: reasonMalformed, Message: message}
}

// Unintelligible is what PostgreSQL tells its log alone (COMMERROR), and closes: who sends such bytes does not
// speak the protocol, and would take an answer for something else.
func Unintelligible(message string) *Error {
	return &Error{Code: CodeProtocolViolation, Reason: reasonMalformed, Message: message, Silent: true}
}

// StartupLength refuses the length of a startup packet, and knows one thing that often stands in its place: the beginning of a
// header of the PROXY protocol. Then it speaks; PostgreSQL, which never does, has no such header.
func StartupLength(head string) *Error {
	bad := Unintelligible("invalid length of startup packet")
	if head == "PROX" || head == "\r\n\r\n" {
		bad.Silent = false
		bad.Message = "this connection begins with a PROXY protocol header, and gprxy does not expect one from its address"
		bad.Hint = "A load balancer sends it whose address is not in gprxy's TRUSTED_PROXIES: add it there, or turn the header off in the " +
			"load balancer."
	}
	return bad
}

// ProxyHeader refuses the connection of a proxy in front of gprxy whose header is missing or wrong.
func ProxyHeader(why error) *Error {
	return &Error{
		Code:    CodeProtocolViolation,
		Reason:  "proxy_header",
		Message: why.Error(),
		Hint:    "The address that this connection comes from is in gprxy's TRUSTED_PROXIES, so it must begin with a PROXY protocol header.",
	}
}

// Handshake has a reason of its own, because people look for it: their client does not trust the certificate.
func Handshake(err error) *Error {
	return &Error{Code: CodeProtocolViolation, Reason: ReasonHandshake, Message: "the TLS handshake failed: " +
		"" + explainHandshake(err), Silent: true}
}

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

// UnencryptedData is what PostgreSQL says where something stands behind a request
// that has not been answered.
func UnencryptedData(request string) *Error {
	r := Malformed("received unencrypted data after " + request)
	r.Detail = "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."
	return r
}

// UnsupportedProtocol refuses a version of the protocol, as the startup packet has it.
func UnsupportedProtocol(version uint32) *Error {
	return &Error{
		Code:    CodeUnsupported,
		Reason:  "unsupported_protocol",
		Message: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", version>>16, version&0xffff),
		Legacy:  version != 0 && version>>16 < 3,
	}
}

// ErrNoUser refuses a startup packet that names no user.
var ErrNoUser = &Error{
	Code:    CodeInvalidAuthorization,
	Reason:  "no_user",
	Message: "no PostgreSQL user name specified in startup packet",
}

// InvalidReplication refuses a value of the parameter replication.
func InvalidReplication(value string) *Error {
	return &Error{
		Code:    CodeInvalidParameter,
		Reason:  reasonMalformed,
		Message: fmt.Sprintf("invalid value for parameter %q: %q", "replication", value),
		Hint:    `Valid values are: "false", 0, "true", 1, "database".`,
	}
}

// Parameter refuses a startup parameter that would change what gprxy or PostgreSQL must be sure of.
func Parameter(name string) *Error {
	return &Error{
		Code:    CodeInsufficientPrivilege,
		Reason:  "parameter_denied",
		Message: fmt.Sprintf("parameter %q cannot be set at login through gprxy", name),
		Hint:    "Leave it out of the connection parameters (PGOPTIONS, options=...).",
	}
}

// MalformedOAuth refuses an OAUTHBEARER message, in PostgreSQL's words.
func MalformedOAuth(detail string) *Error {
	r := Malformed("malformed OAUTHBEARER message")
	r.Detail = detail
	return r
}

// ErrAuthorizationIdentity refuses an OAUTHBEARER message that asks for another identity than the token's.
var ErrAuthorizationIdentity = &Error{
	Code:    CodeUnsupported,
	Reason:  reasonMalformed,
	Message: "client uses authorization identity, but it is not supported",
}
