package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"gprxy/auth/sso"
)

// What a client of a tunnel reads when the tunnel itself is the reason. Its
// person runs the tunnel, so the reasons are told in full.

// PostgreSQL's class 08 has this for a client that gets no connection.
const codeCannotConnect = "08001"

var (
	errTunnelStopped = &refusal{
		code:    codeAdminShutdown,
		message: "terminating connection because gprxy tunnel was stopped",
		hint:    "Start gprxy tunnel again.",
	}
	errTunnelTimeout = &refusal{
		code:    codeQueryCanceled,
		message: "gprxy tunnel gave up the login: it took too long",
		hint:    "Try again. gprxy's own log may say what it waited for.",
	}
	errTunnelFull = &refusal{
		code:    codeTooManyConnections,
		message: fmt.Sprintf("gprxy tunnel serves %d connections already", maxTunnelled),
		hint:    "Close some of them, or see who else on this machine uses the tunnel.",
	}
	errTunnelLost = &refusal{
		code:    codeConnectionFailure,
		message: "gprxy tunnel lost the connection to gprxy",
		hint:    "Connect again; what was running may or may not have been done.",
	}
	errTunnelFault = &refusal{
		code:    codeInternal,
		message: "a fault in gprxy tunnel ended this connection",
		hint:    "gprxy tunnel has printed the details.",
	}
)

// passedOn is gprxy's refusal of a login. The client has read it as it came.
type passedOn struct{ code, message string }

func (e *passedOn) Error() string { return e.message + " (SQLSTATE " + e.code + ")" }

// readRefusal takes the two fields that a log line needs out of an ErrorResponse.
func readRefusal(body []byte) *passedOn {
	e := &passedOn{}
	for field := range bytes.SplitSeq(body, []byte{0}) {
		switch {
		case len(field) == 0:
		case field[0] == 'C':
			e.code = string(field[1:])
		case field[0] == 'M':
			e.message = string(field[1:])
		}
	}
	return e
}

// tunnelReason prefers why the login was given up over what broke by it.
func tunnelReason(ctx context.Context, err error) error {
	if _, told := errors.AsType[*passedOn](err); told {
		return err
	}
	switch err = explain(ctx, err); {
	case errors.Is(err, context.Canceled):
		return errTunnelStopped
	case errors.Is(err, errLoginTimeout):
		return errTunnelTimeout
	}
	return err
}

// tokenRefusal is for a client that comes while there is no token.
func tokenRefusal(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	r := &refusal{
		code:    codeInvalidAuthorization,
		message: "gprxy tunnel has no token to log in with: " + plain(err),
	}
	_, missing := errors.AsType[*sso.NoLoginError](err)
	_, revoked := errors.AsType[*sso.RevokedError](err)
	_, expired := errors.AsType[*sso.ExpiredError](err)
	_, passing := errors.AsType[*sso.UnreachableError](err)
	switch {
	case missing || revoked || expired:
		r.hint = "Run gprxy login, then connect again."
	case passing:
		r.code, r.hint = codeCannotConnectNow, "Try again in a moment."
	}
	return r // any other error says itself what to do
}

func (t *Tunnel) unreachable(err error) error {
	return &refusal{
		code:    codeCannotConnect,
		message: fmt.Sprintf("gprxy tunnel cannot reach gprxy at %s: %s", t.Address, networkReason(err)),
		hint:    "Check the address (--server, --port), the network (VPN), and that gprxy is running.",
	}
}

func (t *Tunnel) withoutTLS() error {
	return &refusal{
		code:    codeCannotConnect,
		message: fmt.Sprintf("gprxy at %s offers no TLS, so the token was not sent", t.Address),
		hint:    "Ask its operator for a certificate (PROXY_CERT). On your own machine --sslmode prefer does without.",
	}
}

func (t *Tunnel) untrusted(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return t.unreachable(err)
	}
	return &refusal{
		code:    codeCannotConnect,
		message: fmt.Sprintf("the certificate of %s is not trusted, so the token was not sent: %s", t.Address, plain(err)),
		hint:    "Give gprxy tunnel the CA's file with --sslrootcert and the name that stands in the certificate with --server. If this comes as a surprise, somebody may be in between.",
	}
}

func (c *tunnelled) lost(err error) error {
	return &refusal{
		code:    codeConnectionFailure,
		message: fmt.Sprintf("gprxy tunnel lost gprxy at %s during the login: %s", c.Address, networkReason(err)),
		hint:    "Try again in a moment.",
	}
}

func (c *tunnelled) strange(what string) error {
	return &refusal{
		code:    codeProtocolViolation,
		message: fmt.Sprintf("%s sent %s", c.Address, what),
		hint:    "Check that gprxy is what listens there.",
	}
}

func (c *tunnelled) notGprxy(method uint32) error {
	return &refusal{
		code:    codeInvalidAuthorization,
		message: fmt.Sprintf("%s asks for authentication method %d, which a token does not answer", c.Address, method),
		hint:    "This looks like PostgreSQL itself: give gprxy's address with --server and --port.",
	}
}

// networkReason is the heart of a network error: the address stands beside it.
func networkReason(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return plain(err)
}

// plain is an error's text fit for one line of a client: a certificate may hold anything.
func plain(err error) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, err.Error())
}

// turnAway tells a client why there is no connection, and the person who reads
// the tunnel's lines too.
func (c *tunnelled) turnAway(err error) {
	if errors.Is(err, errClientGone) {
		c.log.Debug("left before the login was done")
		return
	}
	if _, told := errors.AsType[*passedOn](err); !told {
		c.tell(err)
	}
	c.log.Warn("turned a client away", "error", err)
}

// tell sends the client its last message.
func (c *tunnelled) tell(err error) {
	message, encodeErr := encode(nil, errorResponse(err, ""))
	if encodeErr != nil {
		c.log.Error("could not tell a client why it is turned away", "error", encodeErr)
		return
	}
	if c.legacy {
		message = fmt.Appendf(nil, "EFATAL:  %s\n\x00", err) // protocol 2 has no fields
	}
	c.near.SetWriteDeadline(time.Now().Add(farewellTimeout))
	if _, err := c.near.Write(message); err != nil {
		c.log.Debug("the client did not wait for its last message", "error", err)
	}
}
