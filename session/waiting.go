package session

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/session/startup"
)

// tellWait tells a client that waits for a backend. Its events so far are durable, for
// it is called after recordBackend only: the client has authenticated, and is as far as
// AuthenticationOk, without which libpq shows no notice.
func (s *session) tellWait(w pool.Wait) {
	if !s.wantsNotices() {
		return
	}
	message, hint := s.describeWait(w)
	s.client.log.Debug("a client is told that it waits", "user", s.served.identity.User, "message", message)
	s.client.conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
	defer s.client.conn.SetWriteDeadline(s.login.deadline)
	if err := s.welcome(message, hint); err != nil {
		s.client.log.Debug("the client did not hear that it waits", "error", err)
	}
}

func (s *session) describeWait(w pool.Wait) (message, hint string) {
	until := fmt.Sprintf("The login is given up in %s (POOL_ACQUIRE_TIMEOUT).", w.Left.Round(time.Second))
	const look = " On gprxy's machine, gprxy sessions --active%s shows who has them."
	switch {
	case w.Limit == "" && w.Cause == nil:
		return "waiting for PostgreSQL, which takes long to accept the connection", until
	case w.Limit == "":
		return "waiting for PostgreSQL: " + causeText(w.Cause), "The login goes on by itself. " + until
	case w.Limit == "POOL_MAX_TOTAL":
		return fmt.Sprintf("waiting for a connection to PostgreSQL: all %d are in use (%s), %s", w.Allowed, w.Limit, logins(w.Waiting)),
			until + fmt.Sprintf(look, "")
	default:
		return fmt.Sprintf("waiting for a connection to PostgreSQL: all %d of %s %s are in use (%s), %s",
				w.Allowed, s.served.account.User, s.purpose(), w.Limit, logins(w.Waiting)),
			until + fmt.Sprintf(look, " --service-account "+s.served.account.User)
	}
}

// purpose is what the pool is for: physical replication is in no database.
func (s *session) purpose() string {
	if s.asked.database == "" {
		return "for physical replication"
	}
	return fmt.Sprintf("to database %q", s.asked.database)
}

func logins(n int) string {
	if n == 1 {
		return "1 login waits"
	}
	return fmt.Sprintf("%d logins wait", n)
}

// causeText is what a client may read of a cause.
func causeText(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Message
	}
	return err.Error()
}

// welcome sends AuthenticationOk ahead of the greeting, for a notice's sake. It
// admits to nothing: no backend is taken, and no statement heard.
func (s *session) welcome(message, hint string) error {
	begin, err := s.appendGreeting(s.asked.negotiated, nil)
	if err != nil {
		return err
	}
	s.asked.negotiated = nil
	begin, err = encode(begin, &pgproto3.NoticeResponse{
		Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000", Message: message, Hint: hint,
	})
	if err != nil {
		return err
	}
	_, err = s.client.conn.Write(begin)
	return refusal.ClientLeft(err)
}

// wantsNotices obeys client_min_messages.
func (s *session) wantsNotices() bool {
	_, least, _ := startup.CutOption(s.asked.parameters.Get("options"), "client_min_messages")
	if named := s.asked.parameters.Get("client_min_messages"); named != "" {
		least = named // the later word counts: PostgreSQL takes options first
	}
	switch strings.ToLower(least) {
	case "warning", "error", "fatal", "panic":
		return false
	}
	return true
}
