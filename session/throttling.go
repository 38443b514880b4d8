// Throttling: who guesses waits, and is refused after too many failures, whatever it comes with then.

package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
)

// unverified are the reasons of refusals before which what the client proves itself with was not verified.
var unverified = []string{refusal.ReasonEmptyPassword, refusal.ReasonPasswordOff, refusal.ReasonTooManyFailures,
	auth.ReasonIssuerUnavailable}

// verifiedBad tells whether a password or token was verified and found bad, and is not just the same one again.
func verifiedBad(err error) bool {
	failure, failed := errors.AsType[*refusal.AuthFailure](err)
	return failed && !failure.Often && !slices.Contains(unverified, failure.Reason)
}

// verifiedGood tells whether it was found good, even if the login failed for something else.
func verifiedGood(err error) bool {
	_, noRole := errors.AsType[*auth.RoleError](err)
	_, later := errors.AsType[*pool.LoginError](err)
	return err == nil || noRole || later
}

// throttled lets verify decide, unless too many failures came before: then the client gets, after as long a wait, the same
// answer as for a wrong password.
func (s *session) throttled(ctx context.Context, method string, verify func() error) error {
	wait, refused := s.handler.throttle.Check(s.client.prefix, s.guessedAt(method), time.Now())
	if err := s.holdBack(ctx, wait); err != nil {
		return err
	}
	if refused {
		return &refusal.AuthFailure{Method: method, Reason: refusal.ReasonTooManyFailures}
	}
	err := verify()
	failure, failed := errors.AsType[*refusal.AuthFailure](err)
	switch {
	case failed && failure.Genuine:
		return s.genuineToken(ctx, failure)
	case verifiedBad(err), s.facts.begun && errors.Is(err, refusal.ErrClientGone): // it has cost a verification and a record
		s.handler.throttle.Failed(s.client.prefix, s.guessedAt(method), time.Now())
	case verifiedGood(err):
		s.handler.throttle.Succeeded(s.client.prefix, s.guessedAt(method))
	}
	return err
}

// genuineToken counts a token that its issuer made, but that does not hold here, on the person it names, and not on the user
// that was asked for: it was no guess, and another client that asks for the same user at that address has no part in it. A
// program that comes with it over and over is slowed; an expired one locks nobody out, not even its person, who reads what is
// wrong.
func (s *session) genuineToken(ctx context.Context, failure *refusal.AuthFailure) error {
	whose := failure.Reason + " token of " + failure.Issuer + " " + failure.User
	if !s.handler.throttle.Repeated(s.client.prefix, whose, time.Now()) {
		return failure
	}
	if err := s.holdBack(ctx, admission.LongestWait); err != nil {
		return err
	}
	if failure.Often = failure.Reason == auth.ReasonExpired; failure.Often {
		return failure
	}
	return &refusal.AuthFailure{Method: failure.Method, Reason: refusal.ReasonTooManyFailures}
}

// guessedAt is whose failures the login counts among. Anybody with a token may name any
// user, so a good one must not clear the guesses at that user's password.
func (s *session) guessedAt(method string) string {
	if method != auth.MethodPassword {
		method = "token"
	}
	return method + " of " + s.asked.user
}

// holdBack waits. The login's slot may be given to another client meanwhile.
func (s *session) holdBack(ctx context.Context, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	s.login.slot.Unpin()
	defer s.login.slot.Pin()
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
