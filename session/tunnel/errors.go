package tunnel

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
	"gprxy/session/refusal"
	"gprxy/session/startup"
)

// What a client of a tunnel reads when the tunnel itself is the reason. Its
// person runs the tunnel, so the reasons are told in full.

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
	switch err = startup.Reason(ctx, err); {
	case errors.Is(err, context.Canceled):
		return refusal.ErrTunnelStopped
	case errors.Is(err, refusal.ErrLoginTimeout):
		return refusal.ErrTunnelTimeout
	}
	return err
}

// noToken is for a client that comes while there is no token.
func noToken(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	_, missing := errors.AsType[*sso.NoLoginError](err)
	_, revoked := errors.AsType[*sso.RevokedError](err)
	_, expired := errors.AsType[*sso.ExpiredError](err)
	_, passing := errors.AsType[*sso.UnreachableError](err)
	return refusal.NoToken(plain(err), missing || revoked || expired, passing)
}

func (t *Tunnel) unreachable(err error) error {
	return refusal.Unreachable(t.config.Address, networkReason(err))
}

func (t *Tunnel) untrusted(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return t.unreachable(err)
	}
	return refusal.Untrusted(t.config.Address, plain(err))
}

func (c *client) lost(err error) error {
	return refusal.LostDuringLogin(c.tunnel.config.Address, networkReason(err))
}

func (c *client) strange(what string) error { return refusal.Strange(c.tunnel.config.Address, what) }

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

// refuse tells a client why there is no connection, and the person who reads
// the tunnel's lines too.
func (c *client) refuse(err error) {
	if errors.Is(err, refusal.ErrClientGone) {
		c.log.Debug("left before the login was done")
		return
	}
	if _, told := errors.AsType[*passedOn](err); !told {
		c.tell(err)
	}
	c.log.Warn("turned a client away", "error", err)
}

// tell sends the client its last message.
func (c *client) tell(err error) {
	message, encodeErr := refusal.Response(err, "").Encode(nil)
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
