package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/session/startup"
	"gprxy/store"
)

// Rules by which a login with a password finds its account, for role.mapped.
const (
	rulePasswordService = "password_service"
	rulePasswordSelf    = "password_self"
)

// mayLogIn checks what needs no secret, before one is asked for.
func (s *session) mayLogIn() error {
	if s.handler.loginsClosed.Err() != nil {
		return refusal.ErrDraining
	}
	if s.handler.clients.full() {
		return refusal.ErrTooManyClients
	}
	if err := s.chooseAuth(); err != nil {
		return err
	}
	switch {
	case s.client.secured != "" || !s.needsTLS():
	case s.handler.RequireTLS == TLSAlways:
		return refusal.ErrTLSRequired
	default:
		return refusal.ErrTLSFromOutside
	}
	if err := s.mayReplicate(); err != nil {
		return err
	}
	return checkParameters(s.asked.parameters)
}

func (s *session) needsTLS() bool {
	switch {
	case s.client.unix:
		return false
	case s.handler.RequireTLS == TLSAlways:
		return true
	case s.handler.RequireTLS == TLSNever && s.login.method == AuthPassword:
		return false
	default:
		return !s.client.local
	}
}

// ask asks for what proves who the client is, in the way it wants or the
// settings say, and reads the answer.
func (s *session) ask() (string, error) {
	switch s.login.method {
	case AuthOAuth:
		return s.askToken()
	case AuthDevice:
		return "", nil // the person will be asked, see authenticateDevice
	default:
		return s.askPassword()
	}
}

// askPassword asks for the password, which may be a token, and reads it.
func (s *session) askPassword() (string, error) {
	if err := s.sendAuthentication(&pgproto3.AuthenticationCleartextPassword{}); err != nil {
		return "", err
	}
	body, err := startup.ReadFrame(s.client.conn, 'p', startup.MaxPassword)
	if err != nil {
		return "", err
	}
	if len(body) == 0 || bytes.IndexByte(body, 0) != len(body)-1 {
		return "", refusal.Malformed("invalid password packet size")
	}
	return string(body[:len(body)-1]), nil
}

// authenticate finds out who the client is and which account serves it, and notes
// both for the log: lease records them before a backend hears of the session.
func (s *session) authenticate(ctx context.Context, secret string) error {
	switch {
	case s.login.method == AuthDevice:
		return s.authenticateDevice(ctx)
	case s.login.method == AuthOAuth && secret == "":
		return refusal.ErrTokenDiscovery
	case s.login.method == AuthOAuth:
		return s.throttled(ctx, auth.MethodOAuth, func() error { return s.authenticateOAuth(ctx, secret) })
	case secret == "":
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonEmptyPassword}
	}
	token, meant := auth.TokenIn(secret)
	switch {
	case s.handler.Tokens != nil && meant:
		return s.throttled(ctx, auth.MethodToken, func() error { return s.authenticateToken(ctx, token, auth.MethodToken) })
	case s.handler.Passwords == PasswordOff:
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonPasswordOff}
	default:
		return s.throttled(ctx, auth.MethodPassword, func() error { return s.authenticatePassword(ctx, secret) })
	}
}

// authenticateToken verifies a token that came by method.
func (s *session) authenticateToken(ctx context.Context, token, method string) error {
	identity, err := s.handler.Tokens.Verify(ctx, token)
	if err != nil {
		return tokenFailure(err, method)
	}
	identity.Method = method
	s.served.identity = identity
	if s.served.account, err = s.handler.Roles.For(identity, s.asked.user); err != nil {
		return err
	}
	s.note(s.authSucceeded(), s.roleMapped())
	return nil
}

// authenticatePassword finds the account of whoever has the right password.
func (s *session) authenticatePassword(ctx context.Context, password string) error {
	if err := s.checkPassword(ctx, password); err != nil {
		return err
	}
	s.served.identity = auth.Identity{User: s.asked.user, Method: auth.MethodPassword}
	s.served.account = auth.Account{User: s.handler.Service.User, Password: s.handler.Service.Password, Rule: rulePasswordService}
	if s.handler.Passwords == PasswordSelf {
		s.served.account = auth.Account{User: s.asked.user, Password: auth.Secret(password), Rule: rulePasswordSelf}
	}
	s.note(s.authSucceeded(), s.roleMapped())
	return nil
}

// checkPassword lets PostgreSQL check the password, when it is the client's turn.
// Nothing reaches the database before the log has taken the session down.
func (s *session) checkPassword(ctx context.Context, password string) error {
	done, err := s.handler.checks.Acquire(ctx, s.client.prefix)
	if err != nil {
		return err
	}
	defer done()
	// those who were ahead in line
	if _, refused := s.handler.throttle.Check(s.client.prefix, s.guessedAt(auth.MethodPassword), time.Now()); refused {
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonTooManyFailures}
	}
	if err := s.handler.Pools.Down(); err != nil && s.handler.condenser.Spent(s.client.prefix, time.Now()) {
		return err // the password cannot be checked, and its attempt need not be recorded by itself
	}
	if err := s.record(ctx); err != nil {
		return err
	}
	return passwordFailure(s.handler.Pools.CheckLogin(ctx, s.poolRequest(auth.Login{User: s.asked.user, Password: auth.Secret(password)})))
}

// wantsToken tells whether another token might have been let in.
func wantsToken(err error) bool {
	failure, failed := errors.AsType[*refusal.AuthFailure](err)
	return errors.Is(err, refusal.ErrTokenDiscovery) || failed && failure.Reason != auth.ReasonIssuerUnavailable
}

func tokenFailure(err error, method string) error {
	refused, ok := errors.AsType[*auth.TokenError](err)
	if !ok {
		return fmt.Errorf("verify the token: %w", err)
	}
	return &refusal.AuthFailure{
		Method: method, Reason: refused.Reason, Detail: refused.Detail,
		User: refused.User, Issuer: refused.Issuer, TokenID: refused.TokenID,
		Genuine: refused.Genuine, Expires: refused.Expires,
	}
}

// passwordFailure tells PostgreSQL's refusal of the password (class 28, one
// text for all, so that nobody learns which users exist) from its other
// refusals, which come after the password was found right and pass through.
func passwordFailure(err error) error {
	if errors.Is(err, pool.ErrNoPasswordAsked) {
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: "password_not_checked", Detail: err.Error()}
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !strings.HasPrefix(refused.Code, "28") {
		return err
	}
	return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: "rejected_by_postgresql", Detail: refused.Code}
}

func (s *session) authSucceeded() store.Fact {
	fact := store.AuthSucceeded{
		Method:  s.served.identity.Method,
		User:    s.served.identity.User,
		Issuer:  s.served.identity.Issuer,
		Subject: s.served.identity.Subject,
		Roles:   s.served.identity.Roles,
		TokenID: s.served.identity.TokenID,

		RolesIgnored: s.served.identity.RolesIgnored,
	}
	if s.served.identity.Spelled != s.served.identity.User {
		fact.UserSpelled = s.served.identity.Spelled
	}
	if !s.served.identity.Expires.IsZero() {
		expires := s.served.identity.Expires.UTC().Truncate(time.Second)
		fact.TokenExpires = &expires
	}
	return fact
}

func (s *session) roleMapped() store.Fact {
	return store.RoleMapped{Role: s.served.account.Role, ServiceAccount: s.served.account.User, Rule: s.served.account.Rule}
}
