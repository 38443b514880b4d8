// What PostgreSQL decides at a login is asked again each time an idle backend is handed over.
package pool

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// errRevoked says that PostgreSQL would not open this backend now, or that it does not say that it would.
var errRevoked = errors.New("PostgreSQL would not open this backend again")

// admissionSQL is one column: whether PostgreSQL would let the account in now. It knows no way to ask that, so this repeats
// its checks (src/backend/utils/init): the role must still have the name it logs in by and may log in (miscinit.c,
// InitializeSessionUserId); its password, if one was asked for, is still valid (libpq/crypt.c, get_role_password); the
// database allows connections, and the role may connect to it (postinit.c, CheckMyDatabase). A superuser is exempt from the
// last alone, as has_database_privilege knows. What only matters to one more connection is not asked: limits, pg_hba.conf, the
// password itself. An answer that is wrongly no, as for a directory's password past the role's VALID UNTIL, costs a new
// backend, for which PostgreSQL decides.
//
// The role is the one that logged in, whatever "role" among the session's parameters makes of current_user. Its name is
// compared byte by byte: names are in no certain encoding. %x is the name in hex, %t whether VALID UNTIL counts.
const admissionSQL = `EXISTS (
	SELECT FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
	WHERE r.rolname OPERATOR(pg_catalog.=) session_user
	AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
	AND pg_catalog.convert_to(r.rolname::pg_catalog.text, pg_catalog.getdatabaseencoding())
		OPERATOR(pg_catalog.=) pg_catalog.decode('%x'::pg_catalog.text, 'hex')
	AND r.rolcanlogin
	AND (NOT %t OR r.rolvaliduntil IS NULL OR r.rolvaliduntil OPERATOR(pg_catalog.>=) pg_catalog.clock_timestamp())
	AND d.datallowconn
	AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'))`

// maxName is how much of a longer name PostgreSQL takes at a login (backend_startup.c, ProcessStartupPacket).
const maxName = 63

// admission is the column for a backend of that account.
func (b *backend) admission(account string) string {
	return fmt.Sprintf(admissionSQL, account[:min(len(account), maxName)], b.observer.asked)
}

// revoked says whether an idle backend was not to be had because of what PostgreSQL would decide now. An error that does not
// end the backend counts too, such as one about a role that has been dropped: a new backend shows what it is.
func revoked(err error) bool {
	if errors.Is(err, errRevoked) {
		return true
	}
	_, refused := errors.AsType[*pgconn.PgError](err)
	return refused && !lost(err)
}

// retire closes the idle backends of an account, and those in use when they are given back. One is opened next, and
// PostgreSQL says itself what is wrong.
func (p *Pools) retire(a *account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range a.subpools {
		b.pool.Reset()
	}
	p.config.Log.Info("PostgreSQL would not let an account in again: its idle connections are closed", "user", a.key.User,
		"database", a.key.Database)
}
