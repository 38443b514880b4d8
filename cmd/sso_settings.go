// The settings of the commands that a person logs in with: which issuer, as which client, and where gprxy is.

package cmd

import (
	"context"
	"path/filepath"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/cmd/settings"
)

// ssoSettings is what login, logout, whoami, token, connect and tunnel are told.
type ssoSettings struct {
	login    sso.Config // Issuer and ClientID may be empty: the one login there is
	proxyURL string     // the default of --server; "" for none
	proxyVia string     // ".env" if PROXY_URL stands there
	token    auth.Secret
	store    sso.Store
}

// loadSSO reads and checks the settings. The error is a *settings.Error.
func loadSSO(c *call) (*ssoSettings, error) {
	p, warnings, err := settings.LoadPerson(settings.PersonSources{
		Sources:  c.sources(),
		Command:  c.command.name,
		CheckURL: func(text string) error { _, err := parseTarget(text); return err },
	})
	c.warn(warnings...)
	if err != nil {
		return nil, err
	}
	if p.Chosen != "" {
		c.note("%s chooses the login: %s", filepath.Join(c.Dir, ".env"), p.Chosen)
	}
	s := &ssoSettings{login: p.Login, proxyURL: p.ProxyURL, proxyVia: p.ProxyVia, token: p.Token}
	s.login.Now = c.Now
	s.store = sso.Store{Path: filepath.Join(c.home(), ".gprxy", "credentials")}
	s.login.Habits = sso.HabitsBeside(s.store.Path)
	return s, nil
}

// sources is where this call's settings come from.
func (c *call) sources() settings.Sources {
	return settings.Sources{Flags: c.set, Variables: c.Variables, Dir: c.Dir}
}

// tokens are what to log in to gprxy with: GPRXY_TOKEN, else the login of the file, renewed if needed.
func (s *ssoSettings) tokens(ctx context.Context) (sso.Tokens, error) {
	if s.token == "" {
		return s.store.Valid(ctx, s.login)
	}
	return s.givenToken()
}
