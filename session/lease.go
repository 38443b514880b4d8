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
	"gprxy/session/socket"
	"gprxy/store"
)

// lease acquires a backend of the account and makes a cancel key for the session.
func (s *session) lease(ctx context.Context) error {
	request := s.poolRequest(auth.Login{User: s.served.account.User, Password: s.accountPassword()})
	request.Person = s.served.identity.Issuer + " " + s.served.identity.User
	request.Announce = s.recordBackend
	if s.asked.replication == pool.NoReplication {
		request.Settings = s.stamp()
	}
	backend, err := s.acquire(ctx, request)
	if s.rotated(&request, err) {
		backend, err = s.acquire(ctx, request)
	}
	if err != nil {
		return s.accountFailure(err)
	}
	s.served.backend = backend
	s.served.key = s.handler.keys.add(s.client.id, s.client.prefix, s.asked.protocol, backend.PID(), backend)
	return nil
}

// accountPassword is the account's password as it is now. A person's own account has the one that was given at the login.
func (s *session) accountPassword() auth.Secret {
	if s.handler.AccountPassword != nil && s.served.account.Rule != rulePasswordSelf {
		if password, known := s.handler.AccountPassword(s.served.account.User); known {
			return password
		}
	}
	return s.served.account.Password
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
	s.client.log.Warn("PostgreSQL refused the password of a service account, which has another one by now: that is tried",
		"service_account", s.served.account.User, "role", s.served.account.Role, "database", s.asked.database)
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
	if s.asked.replication != pool.NoReplication {
		s.note(s.replicationStarted(backend))
	}
	return s.record(ctx)
}

// acquire waits for a backend: not longer than until the client leaves or a drain
// refuses every login, and not in silence.
func (s *session) acquire(ctx context.Context, request pool.Request) (*pool.Lease, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer socket.WhenDone(s.handler.loginsClosed, func() { cancel(refusal.ErrDraining) })()
	request.Tell, request.TellAfter = s.tellWait, s.handler.WaitNotice
	return s.handler.Pools.Acquire(ctx, request)
}

func (s *session) poolRequest(login auth.Login) pool.Request {
	return pool.Request{
		Key:         pool.Key{User: login.User, Database: s.asked.database},
		Password:    login.Password.Reveal(),
		Parameters:  s.backendParameters(),
		Replication: s.asked.replication,
	}
}

// stamp is what tells the backend who the person is. It is set after the
// acquire: as a startup parameter it would tie the backend to the person.
func (s *session) stamp() (settings []pool.Setting) {
	if s.handler.StampSetting {
		settings = append(settings, pool.Setting{Name: "gprxy.user", Value: s.served.identity.User})
	}
	if s.handler.StampApplicationName {
		// First, for PostgreSQL shows 63 bytes of it, and in ASCII, for it shows other characters as question marks.
		name := fmt.Sprintf("[%s]", pool.ASCII(s.served.identity.User))
		if own := s.asked.parameters.Get("application_name"); own != "" {
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
	said := []any{"service_account", s.served.account.User, "role", s.served.account.Role, "rule", s.served.account.Rule, "database",
		s.asked.database, "error", err}
	refused, _ := errors.AsType[*pgconn.PgError](err)
	if refused == nil || refused.Code != refusal.CodeInvalidPassword {
		s.client.log.Error("PostgreSQL refused the login of a service account: every login with it is refused. Check pg_hba.conf, and that "+
			"the role may log in", said...)
		return
	}
	if change, known := s.handler.passwordChanges.of(s.served.account.User); known {
		said = append(said, "changed_by", change.user, "changed_at", change.at.UTC().Format(time.RFC3339), "changed_in_session", change.session)
	}
	s.client.log.Error("PostgreSQL refused gprxy's password for a service account: every login that needs a new connection is refused. "+
		"Give gprxy the present password (the rule's setting, or its file), or set gprxy's again with ALTER ROLE ... PASSWORD", said...)
}
