package refusal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
)

// Whatever an error is, the client reads one of the texts of this package: with a SQLSTATE, a message, and of nothing inside gprxy.
func TestOfGivesNothingInsideAway(t *testing.T) {
	inside := errors.New("dial 10.1.2.3: key file /etc/gprxy/key.pem")
	for name, test := range map[string]struct {
		err          error
		code, reason string
	}{
		"an error of the house":      {inside, CodeInternal, "internal"},
		"a canceled login":           {fmt.Errorf("%w: %w", context.Canceled, inside), CodeCannotConnectNow, "draining"},
		"a login that took too long": {fmt.Errorf("%w: %w", context.DeadlineExceeded, inside), CodeQueryCanceled, "login_timeout"},
		"a pool that is closed":      {fmt.Errorf("%w: %w", pool.ErrClosed, inside), CodeCannotConnectNow, "draining"},
		"a name that cannot be sent": {fmt.Errorf("%w: %w", pool.ErrBadRequest, inside), CodeProtocolViolation, "malformed"},
		"a refusal within another":   {fmt.Errorf("%w: %w", inside, ErrNoUser), CodeInvalidAuthorization, "no_user"},
		"a wrong password": {&AuthFailure{Method: auth.MethodPassword, Reason: "rejected_by_postgresql", Detail: inside.Error()},
			CodeInvalidPassword, "rejected_by_postgresql"},
		"a token that is not genuine": {&AuthFailure{Method: auth.MethodToken, Reason: auth.ReasonExpired, Detail: inside.Error()},
			CodeInvalidPassword, auth.ReasonExpired},
		"a wrong token of OAUTHBEARER": {&AuthFailure{Method: auth.MethodOAuth, Reason: auth.ReasonMalformed, Detail: inside.Error()},
			CodeInvalidAuthorization, auth.ReasonMalformed},
	} {
		r := Of(test.err, "ann")
		if r.Code != test.code || r.Reason != test.reason || r.Message == "" {
			t.Errorf("%s: %+v", name, r)
		}
		if all := r.Message + r.Detail + r.Hint; strings.Contains(all, "10.1.2.3") || strings.Contains(all, "key.pem") {
			t.Errorf("%s: the client reads %s", name, all)
		}
		if got := Response(test.err, "ann"); got.SeverityUnlocalized != "FATAL" || got.Code != test.code || got.Message != r.Message {
			t.Errorf("%s: the message is %+v", name, got)
		}
	}
}

// Only who has a genuine token is told that it has expired.
func TestAnExpiredTokenIsToldToItsOwner(t *testing.T) {
	failure := &AuthFailure{Method: auth.MethodToken, Reason: auth.ReasonExpired, Genuine: true,
		Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if r := Of(failure, "ann"); r.Detail != "It was good until 2026-01-02 03:04:05 UTC." || r.Code != CodeInvalidPassword {
		t.Errorf("%+v", r)
	}
	failure.Method = auth.MethodOAuth
	if r := Of(failure, "ann"); r.Code != CodeInvalidAuthorization {
		t.Errorf("%+v", r)
	}
}

// PostgreSQL's own refusal keeps its words, and ends the connection.
func TestPostgreSQLsErrorKeepsItsFields(t *testing.T) {
	err := fmt.Errorf("acquire: %w", &pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "3D000", Message: "no such " +
		"database", Hint: "h"})
	if r := Response(err, "ann"); r.Code != "3D000" || r.Message != "no such database" || r.Hint != "h" || r.Severity != "FATAL" {
		t.Errorf("%+v", r)
	}
	if got := Reason(err); got != "postgresql_3d000" {
		t.Errorf("reason %q", got)
	}
}
