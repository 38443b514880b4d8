package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/store"
)

// lease acquires a backend of the account and makes a cancel key for the session.
func (s *session) lease(ctx context.Context) error {
	request := s.poolRequest(auth.Login{User: s.account.User, Password: s.accountPassword()})
	request.Person = s.identity.Issuer + " " + s.identity.User
	request.Announce = s.recordBackend
	if s.replication == pool.NoReplication {
		request.Settings = s.stamp()
	}
	backend, err := s.acquire(ctx, request)
	if s.rotated(&request, err) {
		backend, err = s.acquire(ctx, request)
	}
	if err != nil {
		return s.accountFailure(err)
	}
	s.backend = backend
	s.key = s.keys.add(s.id, s.prefix, s.protocol, backend.PID(), backend)
	return nil
}

// accountPassword is the account's password as it is now. A person's own account has the one that was given at the login.
func (s *session) accountPassword() auth.Secret {
	if s.AccountPassword != nil && s.account.Rule != rulePasswordSelf {
		if password, known := s.AccountPassword(s.account.User); known {
			return password
		}
	}
	return s.account.Password
}

// rotated says whether PostgreSQL refused a password that is another one by now, which the request then has.
func (s *session) rotated(request *pool.Request, err error) bool {
	if !refusal.AccountRefused(err) {
		return false
	}
	now := s.accountPassword().Reveal()
	if now == request.Password {
		return false
	}
	s.log.Warn("PostgreSQL refused the password of a service account, which has another one by now: that is tried",
		"service_account", s.account.User, "role", s.account.Role, "database", s.database)
	request.Password = now
	return true
}

// recordBackend records the login, and which backend serves it, before PostgreSQL
// hears of either. The usual login, for which a backend is idle, waits for the
// log once. A backend that proves dead is followed by another session.started.
func (s *session) recordBackend(ctx context.Context, backend *pool.Lease) error {
	if backend == nil {
		return s.record(ctx)
	}
	s.note(store.SessionStarted{
		ServiceAccount: backend.CurrentUser(),
		BackendPID:     backend.PID(),
		Backend:        backend.Backend(),
		WaitMS:         float64(backend.Waited().Microseconds()) / 1000,
		Reused:         backend.Reused(),
	})
	if s.replication != pool.NoReplication {
		s.note(s.replicationStarted(backend))
	}
	return s.record(ctx)
}

// acquire waits for a backend: not longer than until the client leaves or a drain
// shuts the door, and not in silence.
func (s *session) acquire(ctx context.Context, request pool.Request) (*pool.Lease, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer whenDone(s.doorShut, func() { cancel(refusal.ErrDraining) })()
	request.Tell, request.TellAfter = s.tellWait, s.WaitNotice
	return s.Pools.Acquire(ctx, request)
}

func (s *session) poolRequest(login auth.Login) pool.Request {
	return pool.Request{
		Key:         pool.Key{User: login.User, Database: s.database},
		Password:    login.Password.Reveal(),
		Parameters:  s.backendParameters(),
		Replication: s.replication,
	}
}

// stamp is what tells the backend who the person is. It is set after the
// acquire: as a startup parameter it would tie the backend to the person.
func (s *session) stamp() (settings []pool.Setting) {
	if s.StampSetting {
		settings = append(settings, pool.Setting{Name: "gprxy.user", Value: s.identity.User})
	}
	if s.StampApplicationName {
		// First, for PostgreSQL shows 63 bytes of it, and in ASCII, for it shows other characters as question marks.
		name := fmt.Sprintf("[%s]", pool.ASCII(s.identity.User))
		if own := s.parameters.get("application_name"); own != "" {
			name += " " + own
		}
		settings = append(settings, pool.Setting{Name: "application_name", Value: name})
	}
	return settings
}

// accountFailure turns a refused login of a service account into what its user
// may know.
func (s *session) accountFailure(err error) error {
	if !refusal.AccountRefused(err) {
		return err
	}
	s.tellAccountRefused(err)
	return refusal.ErrAccountRefused
}

// tellAccountRefused says in gprxy's log why nobody gets in with a service account, and what to do.
func (s *session) tellAccountRefused(err error) {
	said := []any{"service_account", s.account.User, "role", s.account.Role, "rule", s.account.Rule, "database", s.database, "error", err}
	refused, _ := errors.AsType[*pgconn.PgError](err)
	if refused == nil || refused.Code != refusal.CodeInvalidPassword {
		s.log.Error("PostgreSQL refused the login of a service account: every login with it is refused. Check pg_hba.conf, and that the role may log in", said...)
		return
	}
	if change, known := s.passwordChanges.of(s.account.User); known {
		said = append(said, "changed_by", change.user, "changed_at", change.at.UTC().Format(time.RFC3339), "changed_in_session", change.session)
	}
	s.log.Error("PostgreSQL refused gprxy's password for a service account: every login that needs a new connection is refused. "+
		"Give gprxy the present password (the rule's setting, or its file), or set gprxy's again with ALTER ROLE ... PASSWORD", said...)
}
