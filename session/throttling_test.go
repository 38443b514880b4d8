package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
)

// judging is a session whose failures are remembered.
func judging(most int) *session {
	s := &session{handler: &Handler{throttle: admission.NewThrottle(most, time.Hour)}, asked: asked{user: "alice"},
		login: login{slot: &admission.Slot{}}}
	s.client.prefix = from("192.0.2.1")
	return s
}

// failed is how many failures of the session's user count.
func (s *session) failed() (level float64, good bool) {
	return s.handler.throttle.Failures(s.client.prefix, s.guessedAt(auth.MethodPassword), time.Now())
}

// What counts as a guess is what somebody looked at and refused; what forgives is what somebody
// found good. All else does neither.
func TestWhatCountsAsAGuess(t *testing.T) {
	failure := func(reason string) error {
		return fmt.Errorf("log in: %w", &refusal.AuthFailure{Method: auth.MethodPassword, Reason: reason})
	}
	const counts, forgives, neither = 3, 0, 2 // failures after two before
	for _, test := range []struct {
		name     string
		ended    error
		recorded bool
		want     float64
	}{
		{"a wrong password", failure("rejected_by_postgresql"), true, counts},
		{"a forged token", failure(auth.ReasonBadSignature), false, counts},
		{"an empty password", failure(refusal.ReasonEmptyPassword), false, neither},
		{"passwords are off", failure(refusal.ReasonPasswordOff), false, neither},
		{"nobody looked", failure(refusal.ReasonTooManyFailures), true, neither},
		{"the issuer is away", failure(auth.ReasonIssuerUnavailable), false, neither},
		{"the client left while it was looked at", refusal.ErrClientGone, true, counts},
		{"the client left before", refusal.ErrClientGone, false, neither},
		{"a fault", errors.New("the log is full"), true, neither},
		{"a good login", nil, true, forgives},
		{"a person without a role", fmt.Errorf("log in: %w", &auth.RoleError{}), false, forgives},
		{"a login that PostgreSQL refused after the password", fmt.Errorf("log in: %w", &pool.LoginError{}), true, forgives},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := judging(100)
			s.facts.begun = test.recorded
			for range 2 {
				s.handler.throttle.Failed(s.client.prefix, s.guessedAt(auth.MethodPassword), time.Now())
			}
			if err := s.throttled(t.Context(), auth.MethodPassword, func() error { return test.ended }); err != test.ended {
				t.Errorf("the login ended with %v", err)
			}
			level, good := s.failed()
			if level = float64(int(level + 0.5)); level != test.want || good != (test.want == forgives) {
				t.Errorf("%v failures count (forgiven: %v), want %v", level, good, test.want)
			}
		})
	}
}

// Who leaves while it is made to wait is not looked at, nor is one with too many failures.
func TestNobodyLooksAtOnce(t *testing.T) {
	s := judging(4)
	for range 4 {
		s.handler.throttle.Failed(s.client.prefix, s.guessedAt(auth.MethodPassword), time.Now())
	}
	gone, leave := context.WithCancelCause(t.Context())
	leave(refusal.ErrClientGone)
	look := func() error { t.Error("somebody looked"); return nil }
	for range 20 { // for the wait and the end of ctx are chosen between at random
		if err := s.throttled(gone, auth.MethodPassword, look); !errors.Is(err, refusal.ErrClientGone) {
			t.Fatalf("the login of a client that left ended with %v", err)
		}
	}
	err := s.throttled(t.Context(), auth.MethodPassword, look)
	if failure, ok := errors.AsType[*refusal.AuthFailure](err); !ok || failure.Reason != refusal.ReasonTooManyFailures {
		t.Errorf("the login ended with %v", err)
	}
}

// Once the door is shut nobody is asked for a secret any more.
func TestNobodyIsAskedInADrain(t *testing.T) {
	shut, done := context.WithCancel(t.Context())
	done()
	s := &session{handler: &Handler{loginsClosed: shut}}
	if err := s.mayLogIn(); !errors.Is(err, refusal.ErrDraining) {
		t.Errorf("the client may log in: %v", err)
	}
}

// authenticatesWith is what authenticate says of a secret, or that PostgreSQL was asked: there is none here.
func (s *session) authenticatesWith(ctx context.Context, secret string) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("PostgreSQL was asked")
		}
	}()
	return s.authenticate(ctx, secret)
}

func TestSecretsThatNobodyLooksAt(t *testing.T) {
	for _, test := range []struct {
		name      string
		passwords PasswordLogin
		secret    string
		reason    string
	}{
		{"an empty password", PasswordService, "", refusal.ReasonEmptyPassword},
		{"an empty password, for the own account", PasswordSelf, "", refusal.ReasonEmptyPassword},
		{"a password where they are off", PasswordOff, "right", refusal.ReasonPasswordOff},
		{"a token where none are taken and passwords are off", PasswordOff, "eyJhbGciOiJub25lIn0.e30.x", refusal.ReasonPasswordOff},
	} {
		s := judging(100)
		s.handler.checks, s.handler.Passwords = admission.NewFairQueue(1), test.passwords
		err := s.authenticatesWith(t.Context(), test.secret)
		if failure, ok := errors.AsType[*refusal.AuthFailure](err); !ok || failure.Reason != test.reason {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	s := judging(100)
	s.handler.checks, s.handler.Passwords = admission.NewFairQueue(0), PasswordService // all turns are others'
	gone, leave := context.WithCancelCause(t.Context())
	leave(refusal.ErrClientGone)
	if err := s.authenticatesWith(gone, "right"); !errors.Is(err, refusal.ErrClientGone) {
		t.Errorf("a client that left in line: %v", err)
	}
}

// What PostgreSQL says of a password is told from what it says later, and a server that asks for
// none says nothing of it.
func TestWhatPostgreSQLSaysOfAPassword(t *testing.T) {
	later := &pgconn.PgError{Code: "3D000"}
	for _, test := range []struct {
		said   error
		reason string // "": it passes through
	}{
		{nil, ""},
		{&pgconn.PgError{Code: "28P01"}, "rejected_by_postgresql"},
		{&pgconn.PgError{Code: "28000"}, "rejected_by_postgresql"},
		{later, ""},
		{fmt.Errorf("check a login: %w", pool.ErrNoPasswordAsked), "password_not_checked"},
	} {
		err := passwordFailure(test.said)
		failure, failed := errors.AsType[*refusal.AuthFailure](err)
		if failed != (test.reason != "") || failed && failure.Reason != test.reason || !failed && err != test.said {
			t.Errorf("%v: %v", test.said, err)
		}
	}
}

// A client is sent for another token only if another might do.
func TestWhoIsSentForAToken(t *testing.T) {
	for _, test := range []struct {
		why   error
		wants bool
	}{
		{refusal.ErrTokenDiscovery, true},
		{&refusal.AuthFailure{Reason: auth.ReasonExpired}, true},
		{&refusal.AuthFailure{Reason: auth.ReasonIssuerUnavailable}, false},
		{&auth.RoleError{}, false},
		{refusal.ErrDraining, false},
	} {
		if got := wantsToken(test.why); got != test.wants {
			t.Errorf("%v: %v", test.why, got)
		}
	}
}
