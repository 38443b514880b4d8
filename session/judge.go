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

// unjudged are the reasons for which nobody looked at what the client proves
// itself with.
var unjudged = []string{refusal.ReasonEmptyPassword, refusal.ReasonPasswordOff, refusal.ReasonTooManyFailures, auth.ReasonIssuerUnavailable}

// judged tells whether somebody looked, and refused it, for what is not just the same again.
func judged(err error) bool {
	failure, failed := errors.AsType[*refusal.AuthFailure](err)
	return failed && !failure.Often && !slices.Contains(unjudged, failure.Reason)
}

// foundGood tells whether somebody looked and found it good, even if the login
// failed for something else.
func foundGood(err error) bool {
	_, noRole := errors.AsType[*auth.RoleError](err)
	_, later := errors.AsType[*pool.LoginError](err)
	return err == nil || noRole || later
}

// judge lets look decide, unless too many failures came before: then the client
// gets, after as long a wait, the same answer as for a wrong password.
func (s *session) judge(ctx context.Context, method string, look func() error) error {
	wait, refused := s.handler.throttle.Check(s.client.prefix, s.guessedAt(method), time.Now())
	if err := s.holdBack(ctx, wait); err != nil {
		return err
	}
	if refused {
		return &refusal.AuthFailure{Method: method, Reason: refusal.ReasonTooManyFailures}
	}
	err := look()
	failure, failed := errors.AsType[*refusal.AuthFailure](err)
	switch {
	case failed && failure.Genuine:
		return s.judgeGenuine(ctx, failure)
	case judged(err), s.facts.begun && errors.Is(err, refusal.ErrClientGone): // it has cost a look and a record
		s.handler.throttle.Failed(s.client.prefix, s.guessedAt(method), time.Now())
	case foundGood(err):
		s.handler.throttle.Succeeded(s.client.prefix, s.guessedAt(method))
	}
	return err
}

// judgeGenuine counts a token that its issuer made, but that does not hold here, on the person it names,
// and on nobody's wish: it was no guess, and whoever else asks for the same user at that address has no part
// in it. A program that comes with it over and over is slowed; an expired one locks nobody out, not even its
// person, who is told what is wrong.
func (s *session) judgeGenuine(ctx context.Context, failure *refusal.AuthFailure) error {
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

// holdBack waits. Who is made to wait holds its place for nobody.
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
