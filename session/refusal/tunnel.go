package refusal

import "fmt"

// What a client of gprxy tunnel reads when the tunnel itself is the reason. Its
// person runs the tunnel, so the reasons are told in full.
var (
	ErrTunnelStopped = &Error{
		Code:    CodeAdminShutdown,
		Message: "terminating connection because gprxy tunnel was stopped",
		Hint:    "Start gprxy tunnel again.",
	}
	ErrTunnelTimeout = &Error{
		Code:    CodeQueryCanceled,
		Message: "gprxy tunnel gave up the login: it took too long",
		Hint:    "Try again. gprxy's own log may say what it waited for.",
	}
	ErrTunnelLost = &Error{
		Code:    CodeConnectionFailure,
		Message: "gprxy tunnel lost the connection to gprxy",
		Hint:    "Connect again; what was running may or may not have been done.",
	}
	ErrTunnelFault = &Error{
		Code:    CodeInternal,
		Message: "a fault in gprxy tunnel ended this connection",
		Hint:    "gprxy tunnel has printed the details.",
	}
)

// TunnelFull refuses a connection beyond the most that a tunnel serves.
func TunnelFull(most int) *Error {
	return &Error{
		Code:    CodeTooManyConnections,
		Message: fmt.Sprintf("gprxy tunnel serves %d connections already", most),
		Hint:    "Close some of them, or see who else on this machine uses the tunnel.",
	}
}

// NoToken is for a client that comes while there is no token. A login mends it, or, if it is passing, time; why any other error
// says itself what to do.
func NoToken(why string, login, passing bool) *Error {
	r := &Error{Code: CodeInvalidAuthorization, Message: "gprxy tunnel has no token to log in with: " + why}
	switch {
	case login:
		r.Hint = "Run gprxy login, then connect again."
	case passing:
		r.Code, r.Hint = CodeCannotConnectNow, "Try again in a moment."
	}
	return r
}

// Unreachable says that there is no way to gprxy.
func Unreachable(address, why string) *Error {
	return &Error{
		Code:    CodeCannotConnect,
		Message: fmt.Sprintf("gprxy tunnel cannot reach gprxy at %s: %s", address, why),
		Hint:    "Check the address (--server, --port), the network (VPN), and that gprxy is running.",
	}
}

// WithoutTLS says that a token would have had to be sent in clear.
func WithoutTLS(address string) *Error {
	return &Error{
		Code:    CodeCannotConnect,
		Message: fmt.Sprintf("gprxy at %s offers no TLS, so the token was not sent", address),
		Hint:    "Ask its operator for a certificate (PROXY_CERT). On your own machine --sslmode prefer does without.",
	}
}

// Untrusted says that the certificate at the address is not trusted.
func Untrusted(address, why string) *Error {
	return &Error{
		Code:    CodeCannotConnect,
		Message: fmt.Sprintf("the certificate of %s is not trusted, so the token was not sent: %s", address, why),
		Hint: "Give gprxy tunnel the CA's file with --sslrootcert and the name that stands in the certificate with --server. If this " +
			"comes as a surprise, somebody may be in between.",
	}
}

// LostDuringLogin says that gprxy went away before the login was done.
func LostDuringLogin(address, why string) *Error {
	return &Error{
		Code:    CodeConnectionFailure,
		Message: fmt.Sprintf("gprxy tunnel lost gprxy at %s during the login: %s", address, why),
		Hint:    "Try again in a moment.",
	}
}

// Strange says that what answers at the address does not speak the protocol; what names what it sent.
func Strange(address, what string) *Error {
	return &Error{
		Code:    CodeProtocolViolation,
		Message: fmt.Sprintf("%s sent %s", address, what),
		Hint:    "Check that gprxy is what listens there.",
	}
}

// NotGprxy says that what answers at the address wants another proof than gprxy does.
func NotGprxy(address string, method uint32) *Error {
	return &Error{
		Code:    CodeInvalidAuthorization,
		Message: fmt.Sprintf("%s asks for authentication method %d, which a token does not answer", address, method),
		Hint:    "This looks like PostgreSQL itself: give gprxy's address with --server and --port.",
	}
}
