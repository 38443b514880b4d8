// What the settings mean to the parts of the proxy.

package cmd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/pool"
	"gprxy/session"
	"gprxy/session/relay"
	"gprxy/session/sqltext"
	"gprxy/store"
)

func poolConfig(s settings.Settings, log *slog.Logger) pool.Config {
	return pool.Config{
		Host:           s.DBHost,
		Port:           s.DBPort,
		SSLMode:        s.DBSSLMode,
		SSLRootCert:    s.DBSSLRootCert,
		MaxConns:       s.PoolMaxConns,
		MaxTotal:       s.PoolMaxTotal,
		MaxPerPerson:   s.PoolMaxPerUser,
		AcquireTimeout: s.PoolAcquireTimeout,
		RestartWait:    s.DBRestartWait,
		MaxLifetime:    s.PoolMaxLifetime,
		MaxIdleTime:    s.PoolMaxIdleTime,
		MaxEmptyTime:   s.PoolMaxEmptyTime,

		StatelessExtensions: s.PoolStatelessExtensions,
		Log:                 log,
	}
}

func (p *proxy) handlerConfig(secured *tls.Config, roles *auth.Roles) session.Config {
	s := p.settings
	return session.Config{
		TLS:                  secured,
		RequireTLS:           tlsPolicies[s.RequireTLS],
		Tokens:               p.tokens,
		Roles:                roles,
		ClientAuth:           clientAuths[s.SignOn.ClientAuth],
		OAuth:                session.OAuth{Issuer: s.OIDCIssuer, Scope: strings.Join(s.SignOn.Scopes, " ")},
		Device:               deviceLogin(s, p.secrets.ClientSecret),
		OnExpiry:             expiryPolicies[s.SignOn.OnExpiry],
		ExpiryGrace:          s.SignOn.ExpiryGrace,
		Time:                 session.TimeLimits{Idle: s.IdleTimeout, Session: s.MaxSession, Grace: s.MaxSessionGrace},
		Passwords:            passwordLogin(s),
		Service:              auth.Login{User: s.ServiceUser, Password: s.ServicePassword},
		AccountPassword:      p.secrets.Password,
		Statements:           recordStatements(s.Audit),
		AllowReplication:     s.AllowReplication,
		Pools:                p.pools,
		Events:               p.events,
		LoggedIn:             p.loggedIn(),
		StampSetting:         s.IdentityStamp == settings.StampSetting || s.IdentityStamp == settings.StampBoth,
		StampApplicationName: s.IdentityStamp == settings.StampApplicationName || s.IdentityStamp == settings.StampBoth,
		LoginTimeout:         s.LoginTimeout,
		WaitNotice:           waitNotice,
		PeerTimeout:          peerTimeout,
		Limits: session.Limits{
			Clients:          s.MaxClients,
			Logins:           s.LoginMax,
			LoginsPerAddress: s.LoginMaxPerAddress,
			Failures:         s.LoginMaxFailures,
			FailureMemory:    s.LoginFailureMemory,
		},
		Log: p.log,
	}
}

// deviceLogin lets gprxy run the device grant itself, as a client of the issuer.
func deviceLogin(s settings.Settings, secret func() auth.Secret) session.Device {
	if !s.SignOn.DeviceLogin {
		return session.Device{}
	}
	client := sso.Config{
		Issuer:   s.OIDCIssuer,
		ClientID: s.SignOn.ClientID,
		Audience: s.Audience,
		Scopes:   s.SignOn.Scopes,
	}
	return session.Device{
		Max: s.SignOn.DeviceLoginMax,
		Login: func(ctx context.Context, show func(sso.Prompt) error) (sso.Tokens, error) {
			client := client // as of now: the secret may have been rotated
			client.ClientSecret = secret()
			return sso.LoginDevice(ctx, client, show)
		},
	}
}

var clientAuths = map[string]session.AuthMethod{
	settings.ClientAuthPassword: session.AuthPassword,
	settings.ClientAuthOAuth:    session.AuthOAuth,
}

var expiryPolicies = map[string]session.ExpiryPolicy{
	settings.ExpiryAllow:      session.ExpiryAllow,
	settings.ExpiryDisconnect: session.ExpiryDisconnect,
}

var tlsPolicies = map[string]session.TLSPolicy{
	settings.RequireTLSAuto:   session.TLSOffLoopback,
	settings.RequireTLSAlways: session.TLSAlways,
	settings.RequireTLSNever:  session.TLSNever,
}

func passwordLogin(s settings.Settings) session.PasswordLogin {
	switch {
	case !s.PasswordLogin:
		return session.PasswordOff
	case s.PasswordAccount == settings.AccountSelf:
		return session.PasswordSelf
	default:
		return session.PasswordService
	}
}

func recordStatements(a settings.Audit) relay.Statements {
	record := map[string]relay.RecordStatements{
		settings.StatementsText:   relay.RecordText,
		settings.StatementsParams: relay.RecordParams,
	}
	return relay.Statements{
		Record:  record[a.Statements], // off: nothing
		Strict:  a.Durability == store.DurabilityStrict,
		MaxText: a.MaxText,
		Names:   sqltext.NewNames(a.MaskColumns),
	}
}
