package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/session/startup"
)

// Device is login with a browser for clients that know nothing of it.
type Device struct {
	// Login runs the device grant (RFC 8628): show tells the person what to do,
	// then Login waits until it is done. nil: such logins are off.
	Login func(ctx context.Context, show func(sso.Prompt) error) (sso.Tokens, error)
	Max   int // how many people may be waited for at once
}

// authenticateDevice asks the issuer for a code, shows it to the client, and goes
// on with the token that the person's login brings.
//
// libpq shows notices only after AuthenticationOk, so that is sent first. It
// admits to nothing: no backend hears of the session, and no statement is heard,
// before the login stands in the log as always.
func (s *session) authenticateDevice(ctx context.Context) error {
	leave, ok := s.handler.devices.Enter(s.client.prefix, s.handler.Device.Max, time.Now())
	if !ok {
		return refusal.ErrDeviceLogins
	}
	defer leave()
	s.login.slot.Release() // it has one of another kind
	if err := s.handler.Events.Healthy(); err != nil {
		return err // nobody will be let in: spare the person the way
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := socket.WhenDone(s.handler.draining, func() { cancel(refusal.ErrDraining) }) // a person may take minutes
	defer stop()
	tokens, err := s.handler.Device.Login(ctx, s.showPrompt)
	if err != nil {
		err = startup.Reason(ctx, err)
		if unsuited(err) {
			s.client.log.Error("login with a browser does not work with this identity provider (DEVICE_LOGIN)", "error", err)
		}
		return deviceFailure(err)
	}
	return s.authenticateToken(ctx, tokens.Password().Reveal(), auth.MethodDevice)
}

// showPrompt sends the address and the code, and lets the login take as long as
// the code lives.
func (s *session) showPrompt(p sso.Prompt) error {
	s.moveDeadline(p.Expires)
	hint := fmt.Sprintf("Approve it only if you are connecting yourself just now. gprxy waits until %s.", p.Expires.UTC().Format("15:04 UTC"))
	if p.CompleteURL != "" {
		hint = "Or open " + p.CompleteURL + " which has the code already. " + hint
	}
	return s.welcome(fmt.Sprintf("open %s and enter the code %s to log in", p.URL, p.UserCode), hint)
}

// unsuited tells whether only the operator can mend it: the issuer has no device grant, or not for gprxy as its
// client, or a setting is wrong.
func unsuited(err error) bool {
	_, unsupported := errors.AsType[*sso.UnsupportedError](err)
	_, wrong := errors.AsType[*sso.ConfigError](err)
	return unsupported || wrong
}

func deviceFailure(err error) error {
	if unsuited(err) {
		return refusal.ErrDeviceUnsuited
	}
	if denied, ok := errors.AsType[*sso.DeniedError](err); ok {
		reason := refusal.ReasonDenied
		switch denied.Code {
		case "timeout", "expired_token", "invalid_grant":
			reason = refusal.ReasonCodeExpired
		}
		return &refusal.AuthFailure{Method: auth.MethodDevice, Reason: reason, Detail: denied.Error()}
	}
	if _, ok := errors.AsType[*sso.UnreachableError](err); ok {
		return &refusal.AuthFailure{Method: auth.MethodDevice, Reason: auth.ReasonIssuerUnavailable}
	}
	if errors.Is(err, refusal.ErrLoginTimeout) {
		return &refusal.AuthFailure{Method: auth.MethodDevice, Reason: refusal.ReasonCodeExpired}
	}
	return fmt.Errorf("log in with a browser: %w", err)
}
