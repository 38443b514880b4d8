package cmd

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/cmd/settings"
	"gprxy/pool"
)

// accountTrouble says for whom logins fail while PostgreSQL answers gprxy so, and what to do. served says whom the account serves.
func accountTrouble(err error, account, served string) (what, remedy string) {
	refused, _ := errors.AsType[*pgconn.PgError](err)
	unreachable, _ := errors.AsType[*pool.UnreachableError](err)
	name := `"` + strings.ReplaceAll(account, `"`, `""`) + `"`
	switch {
	case refused != nil && refused.Code == "28P01":
		return "PostgreSQL refuses gprxy's password for a service account: every login " + served + " will be refused",
			"give gprxy the present password (the setting, or its file), or set gprxy's in PostgreSQL: ALTER ROLE " + name + " PASSWORD '...'"
	case refused != nil && strings.HasPrefix(refused.Code, "28"):
		return "PostgreSQL does not let gprxy in with a service account: every login " + served + " will be refused",
			"let pg_hba.conf take the account from this machine, and the role log in: ALTER ROLE " + name + " LOGIN"
	case unreachable != nil && unreachable.Distrusted():
		return unreachable.Error() + ": every login will be refused",
			"set DB_SSLROOTCERT to the CA of PostgreSQL's certificate and DB_HOST to a name in it, and see to it that PostgreSQL offers TLS " +
				"(DB_SSLMODE)"
	case unreachable != nil:
		return unreachable.Error() + ": every login is refused until it answers", "start PostgreSQL, or correct DB_HOST and DB_PORT"
	}
	return "a service account could not be looked at: logins " + served + " may be refused", "see the error"
}

// servedBy says whom an account serves.
func (p *proxy) servedBy(account string) string {
	var roles []string
	for role, login := range p.settings.Roles.Mapping {
		if login.User == account {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	var served []string
	if len(roles) > 0 {
		served = append(served, "with role "+strings.Join(roles, " or "))
	}
	if p.settings.PasswordLogin && p.settings.PasswordAccount == settings.AccountService && p.settings.ServiceUser == account {
		served = append(served, "with a password")
	}
	return strings.Join(served, " and ")
}
