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
	"gprxy/store"
)

// Rules by which a login with a password finds its account, for role.mapped.
const (
	rulePasswordService = "password_service"
	rulePasswordSelf    = "password_self"
)

// mayLogIn checks what needs no secret, before one is asked for.
func (s *session) mayLogIn() error {
	if s.doorShut.Err() != nil {
		return refusal.ErrDraining
	}
	if s.clients.full() {
		return refusal.ErrTooManyClients
	}
	if err := s.chooseAuth(); err != nil {
		return err
	}
	switch {
	case s.secured != "" || !s.needsTLS():
	case s.RequireTLS == TLSAlways:
		return refusal.ErrTLSRequired
	default:
		return refusal.ErrTLSFromOutside
	}
	if err := s.mayReplicate(); err != nil {
		return err
	}
	return checkParameters(s.parameters)
}

func (s *session) needsTLS() bool {
	switch {
	case s.unix:
		return false
	case s.RequireTLS == TLSAlways:
		return true
	case s.RequireTLS == TLSNever && s.asks == AuthPassword:
		return false
	default:
		return !s.local
	}
}

// ask asks for what proves who the client is, in the way it wants or the
// settings say, and reads the answer.
func (s *session) ask() (string, error) {
	switch s.asks {
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
	body, err := readFrame(s.conn, 'p', maxPasswordBody)
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
	case s.asks == AuthDevice:
		return s.authenticateDevice(ctx)
	case s.asks == AuthOAuth && secret == "":
		return refusal.ErrTokenDiscovery
	case s.asks == AuthOAuth:
		return s.judge(ctx, auth.MethodOAuth, func() error { return s.authenticateOAuth(ctx, secret) })
	case secret == "":
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonEmptyPassword}
	}
	token, meant := auth.TokenIn(secret)
	switch {
	case s.Tokens != nil && meant:
		return s.judge(ctx, auth.MethodToken, func() error { return s.authenticateToken(ctx, token, auth.MethodToken) })
	case s.Passwords == PasswordOff:
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonPasswordOff}
	default:
		return s.judge(ctx, auth.MethodPassword, func() error { return s.authenticatePassword(ctx, secret) })
	}
}

// authenticateToken verifies a token that came by method.
func (s *session) authenticateToken(ctx context.Context, token, method string) error {
	identity, err := s.Tokens.Verify(ctx, token)
	if err != nil {
		return tokenFailure(err, method)
	}
	identity.Method = method
	s.identity = identity
	if s.account, err = s.Roles.For(identity, s.user); err != nil {
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
	s.identity = auth.Identity{User: s.user, Method: auth.MethodPassword}
	s.account = auth.Account{User: s.Service.User, Password: s.Service.Password, Rule: rulePasswordService}
	if s.Passwords == PasswordSelf {
		s.account = auth.Account{User: s.user, Password: auth.Secret(password), Rule: rulePasswordSelf}
	}
	s.note(s.authSucceeded(), s.roleMapped())
	return nil
}

// checkPassword lets PostgreSQL judge the password, when it is the client's turn.
// Nothing reaches the database before the log has taken the session down.
func (s *session) checkPassword(ctx context.Context, password string) error {
	done, err := s.checks.Acquire(ctx, s.prefix)
	if err != nil {
		return err
	}
	defer done()
	if _, refused := s.throttle.Check(s.prefix, s.guessedAt(auth.MethodPassword), time.Now()); refused { // those who were ahead in line
		return &refusal.AuthFailure{Method: auth.MethodPassword, Reason: refusal.ReasonTooManyFailures}
	}
	if err := s.Pools.Down(); err != nil && s.condenser.Spent(s.prefix, time.Now()) {
		return err // nobody can judge the password, and its attempt need not be recorded by itself
	}
	if err := s.record(ctx); err != nil {
		return err
	}
	return passwordFailure(s.Pools.CheckLogin(ctx, s.poolRequest(auth.Login{User: s.user, Password: auth.Secret(password)})))
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
		Method:  s.identity.Method,
		User:    s.identity.User,
		Issuer:  s.identity.Issuer,
		Subject: s.identity.Subject,
		Roles:   s.identity.Roles,
		TokenID: s.identity.TokenID,

		RolesIgnored: s.identity.RolesIgnored,
	}
	if s.identity.Spelled != s.identity.User {
		fact.UserSpelled = s.identity.Spelled
	}
	if !s.identity.Expires.IsZero() {
		expires := s.identity.Expires.UTC().Truncate(time.Second)
		fact.TokenExpires = &expires
	}
	return fact
}

func (s *session) roleMapped() store.Fact {
	return store.RoleMapped{Role: s.account.Role, ServiceAccount: s.account.User, Rule: s.account.Rule}
}
