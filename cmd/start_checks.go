// What `gprxy start` looks at outside, and only warns about: the world may mend itself.

package cmd

import (
	"context"
	"errors"
	"strings"

	"gprxy/auth"
	"gprxy/cmd/settings"
	"gprxy/pool"
)

// check asks the issuer for its keys, and PostgreSQL whether an account that people are mapped to
// is a superuser. It does not hold up the start.
func (p *proxy) check(ctx context.Context, roles *auth.Roles) {
	ctx, done := context.WithTimeout(ctx, startCheckTimeout)
	p.checks.Go(func() {
		defer done()
		if p.tokens != nil {
			if err := p.tokens.Refresh(ctx); err != nil {
				p.log.Warn("the identity provider's keys cannot be had, logins with a token fail until they can (OIDC_ISSUER)",
					"issuer", p.settings.OIDCIssuer, "error", err)
			}
		}
		for _, login := range p.sharedAccounts(roles) {
			p.checkAccount(ctx, login)
		}
	})
}

// sharedAccounts are the accounts that serve other people than their owner.
func (p *proxy) sharedAccounts(roles *auth.Roles) (logins []auth.Login) {
	for _, account := range roles.Logins() {
		logins = append(logins, auth.Login{User: account.User, Password: account.Password})
	}
	if p.settings.PasswordLogin && p.settings.PasswordAccount == settings.AccountService {
		logins = append(logins, auth.Login{User: p.settings.ServiceUser, Password: p.settings.ServicePassword})
	}
	return logins
}

func (p *proxy) checkAccount(ctx context.Context, login auth.Login) {
	facts, err := p.pools.Account(ctx, pool.Request{
		Key:      pool.Key{User: login.User, Database: "postgres"},
		Password: login.Password.Reveal(),
	})
	_, old := errors.AsType[*pool.VersionError](err)
	switch {
	case old:
		p.log.Error("every login is refused until the database is upgraded", "error", err)
	case err != nil:
		what, remedy := accountTrouble(err, login.User, p.servedBy(login.User))
		p.log.Warn(what, "service_account", login.User, "remedy", remedy, "error", err)
	case facts.Superuser:
		p.log.Warn("a service account that people are mapped to is a superuser: whoever gets it can do anything, also read files and run "+
			"programs on the database's machine",
			"service_account", login.User)
	}
	switch {
	case err == nil && facts.Unknown:
		p.log.Debug("PostgreSQL does not show its pg_hba.conf to a service account: see to it that it lets the account in from this machine "+
			"alone",
			"service_account", login.User)
	case len(facts.Elsewhere) > 0:
		p.log.Warn("a service account can log in to PostgreSQL past gprxy: let pg_hba.conf take it from this machine alone",
			"service_account", login.User, "rules", strings.Join(facts.Elsewhere, "; "))
	}
}
