// The settings of the commands that a person logs in with: which issuer, as which client, and where gprxy is.

package cmd

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/auth/sso"
)

// tokenVariable overrides every login. It has no flag and does not count in .env: it is for programs
// that get a token of their own, such as CI.
const tokenVariable = "GPRXY_TOKEN"

// ssoSettings is what login, logout, whoami, token, connect and tunnel are told.
type ssoSettings struct {
	login    sso.Config // Issuer and ClientID may be empty: the one login there is
	proxyURL string     // the default of --server; "" for none
	proxyVia string     // ".env" if PROXY_URL stands there
	token    auth.Secret
	store    sso.Store
}

// ssoTable returns the rows in the order of docs/cli.md; those that start has too are start's own.
func (s *ssoSettings) table(shared *Settings) []setting {
	rows := []setting{}
	for _, row := range loginSettings() {
		if slices.Contains([]string{"AUTH0_TENANT", "OIDC_ISSUER", "AUDIENCE", "ROLES_CLAIM", "USER_CLAIM"}, row.name) {
			rows = append(rows, forPerson(row, shared))
		}
	}
	into := func(field *string) func(*Settings, *loader, string) *badValue {
		return text(func(*Settings) *string { return field })
	}
	return append(rows,
		setting{name: "OIDC_CLIENT_ID", none: "required to log in",
			meaning: "the client that gprxy is at the issuer: a public one, for native apps; AUTH0_NATIVE_CLIENT_ID is the same",
			parse:   into(&s.login.ClientID)},
		setting{name: "OIDC_CLIENT_SECRET", none: "none", meaning: "only for issuers that give native apps a secret (Google)", secret: true,
			parse: secret(func(*Settings) *auth.Secret { return &s.login.ClientSecret })},
		setting{name: "OIDC_SCOPES", none: "openid profile email offline_access",
			meaning: "the scopes to ask for, such as one for groups: a list with blanks; offline_access is for renewal; OAUTH_SCOPE is the same",
			parse:   scopes(func(*Settings) *[]string { return &s.login.Scopes })},
		setting{name: "OIDC_PROMPT", def: sso.PromptAuto, meaning: "what the issuer is to ask in the browser: login, consent, " +
			"select_account; off for nothing; auto for consent where a login cannot be renewed without",
			parse: func(_ *Settings, _ *loader, t string) *badValue {
				if err := sso.CheckPrompt(t); err != nil {
					return &badValue{err.Error(), sso.PromptInstead}
				}
				s.login.Prompt = t
				return nil
			}},
		setting{name: "CALLBACK_URL", def: sso.DefaultCallbackURL,
			meaning: "where the browser comes back to; several with commas: the first whose port is free; the issuer must allow them for the client",
			parse:   into(&s.login.CallbackURL)},
		setting{name: "CONNECTION_NAME", none: "none", meaning: "which of Auth0's connections to log in with",
			parse: into(&s.login.Connection)},
		setting{name: "PROXY_URL", none: "none", meaning: "where gprxy is when --server does not say: HOST, HOST:PORT, " +
			"postgres://HOST:PORT/DATABASE, or the folder of a Unix socket",
			parse: func(_ *Settings, _ *loader, t string) *badValue {
				if _, err := parseTarget(t); err != nil {
					return &badValue{err.Error(), "set it to HOST:PORT, postgres://HOST:PORT/DATABASE, or the folder of a Unix socket"}
				}
				s.proxyURL = t
				return nil
			}},
	)
}

// forPerson gives a row of start its meaning here.
func forPerson(row setting, shared *Settings) setting {
	parse := row.parse
	row.parse = func(_ *Settings, l *loader, t string) *badValue { return parse(shared, l, t) }
	switch row.name {
	case "OIDC_ISSUER":
		row.none, row.meaning = "required to log in", "the issuer to log in at, as its tokens write it"
	case "AUDIENCE":
		row.none, row.meaning = "none", "whom the token is for: the same as gprxy start has"
	case "ROLES_CLAIM", "USER_CLAIM":
		row.meaning += "; only for what is shown"
	}
	return row
}

// addSSOFlags defines the flags of the named settings.
func addSSOFlags(fs *pflag.FlagSet, names ...string) {
	for _, row := range new(ssoSettings).table(&Settings{}) {
		if row.hasFlag() && slices.Contains(names, row.name) {
			fs.String(row.flag(), row.def, row.meaning)
		}
	}
}

// whichLogin are the settings that tell one login from another; every command but login itself needs
// them only when there are several.
var whichLogin = []string{"AUTH0_TENANT", "OIDC_ISSUER", "AUDIENCE", "OIDC_CLIENT_ID"}

// loadSSO reads and checks the settings. The error is a *SettingsError.
func loadSSO(c *call) (*ssoSettings, error) {
	l := gather(Sources{Environment: c.Environment})
	s, shared := &ssoSettings{}, &Settings{}
	s.login.Port = -1
	s.login.Now = c.Now
	for _, row := range s.table(shared) {
		if f := c.set.Lookup(row.flag()); f != nil && f.Changed {
			l.layers[0].values[row.name] = f.Value.String()
		}
		l.fill(shared, row)
	}
	s.takeAlias(l)
	s.login.Issuer, s.login.Audience = shared.OIDCIssuer, shared.Audience
	s.login.RolesClaim, s.login.UserClaim = shared.RolesClaim, shared.UserClaim
	s.token = auth.Secret(c.variable(tokenVariable))
	if token, meant := auth.TokenIn(s.token.Reveal()); meant {
		s.token = auth.Secret(token) // without what stands around it
	}
	s.store = sso.Store{Path: filepath.Join(c.home(), ".gprxy", "credentials")}
	s.login.Habits = sso.HabitsBeside(s.store.Path)
	checkSSO(s, l, c)
	for _, p := range l.dotenv.problems {
		l.warn("%s %s", p.Variable, p.Wrong)
	}
	c.warn(l.warnings...)
	if len(l.problems) > 0 {
		return nil, &SettingsError{Problems: l.problems, Command: c.command.name}
	}
	s.tellOrigin(l, c)
	return s, nil
}

const maxNotedValue = 200 // bytes of a setting that a note repeats

func cutText(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// tellOrigin says that a .env of the working directory chooses where people log in, or which login is used. The folder may be
// somebody else's, and a page that asks for a company password must not come from there unnoticed.
func (s *ssoSettings) tellOrigin(l *loader, c *call) {
	if s.token != "" {
		return // no login is chosen
	}
	var chosen []string
	for _, name := range append(slices.Clone(whichLogin), "AUTH0_NATIVE_CLIENT_ID", "CONNECTION_NAME", "OIDC_SCOPES", "OAUTH_SCOPE") {
		if value, ok := l.fromDotenv(name); ok {
			chosen = append(chosen, name+"="+cutText(value, maxNotedValue))
		}
	}
	if len(chosen) > 0 {
		c.note("%s chooses the login: %s", filepath.Join(c.Dir, ".env"), strings.Join(chosen, ", "))
	}
}

// takeAlias lets AUTH0_NATIVE_CLIENT_ID stand in for OIDC_CLIENT_ID, and OAUTH_SCOPE for OIDC_SCOPES.
func (s *ssoSettings) takeAlias(l *loader) {
	old := Settings{}
	l.fill(&old, setting{name: "OAUTH_SCOPE", parse: scopes(func(s *Settings) *[]string { return &s.SignOn.oldScopes })})
	switch {
	case len(s.login.Scopes) == 0:
		s.login.Scopes = old.SignOn.oldScopes
	case len(old.SignOn.oldScopes) > 0 && !slices.Equal(s.login.Scopes, old.SignOn.oldScopes):
		l.problem("OIDC_SCOPES", "and OAUTH_SCOPE differ", "set OIDC_SCOPES alone: OAUTH_SCOPE is its older name")
	}
	id, ok := l.lookup(setting{name: "AUTH0_NATIVE_CLIENT_ID"}, "AUTH0_NATIVE_CLIENT_ID")
	switch {
	case !ok:
	case s.login.ClientID == "":
		s.login.ClientID = id.text
	case s.login.ClientID != id.text:
		l.problem("OIDC_CLIENT_ID", "and AUTH0_NATIVE_CLIENT_ID differ", "set only one of the two")
	}
}

func checkSSO(s *ssoSettings, l *loader, c *call) {
	if l.tenantIssuer != "" && s.login.Issuer != l.tenantIssuer {
		l.problem("AUTH0_TENANT", "stands for "+l.tenantIssuer+", but OIDC_ISSUER is "+s.login.Issuer, "set only one of the two")
	}
	if c.home() == "" && s.token == "" {
		l.problem("HOME", "is not set, so there is no place for a login", "set HOME, or GPRXY_TOKEN to a token")
	}
	if s.token != "" && !auth.LooksLikeToken(s.token.Reveal()) {
		l.problem(tokenVariable, whyNoToken(s.token), "set it to an access token of your issuer, or unset it to use gprxy login")
	}
	if s.proxyURL != "" && l.layers[1].values["PROXY_URL"] == "" {
		s.proxyVia = ".env"
	}
}

// whyNoToken says what a text is that was to be a token.
func whyNoToken(text auth.Secret) string {
	_, meant := auth.TokenIn(text.Reveal())
	switch dots := strings.Count(text.Reveal(), "."); {
	case meant && dots == 4:
		return "is an encrypted token (a JWE: five parts), which only whoever it was made for can read"
	case meant && dots < 2:
		return "is only the beginning of a token (a JWT: three parts with dots between)"
	default:
		return "is no token (a JWT: three parts with dots between)"
	}
}

// tokens are what to log in to gprxy with: GPRXY_TOKEN, else the login of the file, renewed if needed.
func (s *ssoSettings) tokens(ctx context.Context) (sso.Tokens, error) {
	if s.token == "" {
		return s.store.Valid(ctx, s.login)
	}
	return s.givenToken()
}
