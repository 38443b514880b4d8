// The settings of the commands that a person logs in with: which issuer, as which client, and where gprxy is.

package settings

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/auth/sso"
)

// TokenVariable overrides every login. It has no flag and does not count in .env: it is for programs
// that get a token of their own, such as CI.
const TokenVariable = "GPRXY_TOKEN"

// Person is what login, logout, whoami, token, connect and tunnel are told.
type Person struct {
	Login    sso.Config  // Issuer and ClientID may be empty: the one login there is
	ProxyURL string      // the default of --server; "" for none
	ProxyVia string      // ".env" if PROXY_URL stands there
	Token    auth.Secret // GPRXY_TOKEN, without what stands around it
	Chosen   string      // which settings in .env choose the login, for a note; "" for none
}

// PersonSources is where LoadPerson looks.
type PersonSources struct {
	Sources
	Command  string             // whose flags count and whose settings they are
	CheckURL func(string) error // whether PROXY_URL is an address of gprxy
}

// table returns the rows in the order of docs/cli.md; those that start has too are start's own.
func (s *Person) table(shared *Settings, checkURL func(string) error) []Row {
	rows := []Row{}
	for _, row := range loginSettings() {
		if slices.Contains([]string{"AUTH0_TENANT", "OIDC_ISSUER", "AUDIENCE", "ROLES_CLAIM", "USER_CLAIM"}, row.Name) {
			rows = append(rows, forPerson(row, shared))
		}
	}
	into := func(field *string) func(*Settings, *loader, string) *badValue {
		return text(func(*Settings) *string { return field })
	}
	return append(rows,
		Row{Name: "OIDC_CLIENT_ID", None: "required to log in",
			Meaning: "the client that gprxy is at the issuer: a public one, for native apps; AUTH0_NATIVE_CLIENT_ID is the same",
			parse:   into(&s.Login.ClientID)},
		Row{Name: "OIDC_CLIENT_SECRET", None: "none", Meaning: "only for issuers that give native apps a secret (Google)", Secret: true,
			parse: secret(func(*Settings) *auth.Secret { return &s.Login.ClientSecret })},
		Row{Name: "OIDC_SCOPES", None: "openid profile email offline_access",
			Meaning: "the scopes to ask for, such as one for groups: a list with blanks; offline_access is for renewal; OAUTH_SCOPE is the same",
			parse:   scopes(func(*Settings) *[]string { return &s.Login.Scopes })},
		Row{Name: "OIDC_PROMPT", Default: sso.PromptAuto, Meaning: "what the issuer is to ask in the browser: login, consent, " +
			"select_account; off for nothing; auto for consent where a login cannot be renewed without",
			parse: func(_ *Settings, _ *loader, t string) *badValue {
				if err := sso.CheckPrompt(t); err != nil {
					return &badValue{err.Error(), sso.PromptInstead}
				}
				s.Login.Prompt = t
				return nil
			}},
		Row{Name: "CALLBACK_URL", Default: sso.DefaultCallbackURL,
			Meaning: "where the browser comes back to; several with commas: the first whose port is free; the issuer must allow them for the client",
			parse:   into(&s.Login.CallbackURL)},
		Row{Name: "CONNECTION_NAME", None: "none", Meaning: "which of Auth0's connections to log in with",
			parse: into(&s.Login.Connection)},
		Row{Name: "PROXY_URL", None: "none", Meaning: "where gprxy is when --server does not say: HOST, HOST:PORT, " +
			"postgres://HOST:PORT/DATABASE, or the folder of a Unix socket",
			parse: func(_ *Settings, _ *loader, t string) *badValue {
				if err := checkURL(t); err != nil {
					return &badValue{err.Error(), "set it to HOST:PORT, postgres://HOST:PORT/DATABASE, or the folder of a Unix socket"}
				}
				s.ProxyURL = t
				return nil
			}},
	)
}

// forPerson gives a row of start its meaning here.
func forPerson(row Row, shared *Settings) Row {
	parse := row.parse
	row.parse = func(_ *Settings, l *loader, t string) *badValue { return parse(shared, l, t) }
	switch row.Name {
	case "OIDC_ISSUER":
		row.None, row.Meaning = "required to log in", "the issuer to log in at, as its tokens write it"
	case "AUDIENCE":
		row.None, row.Meaning = "none", "whom the token is for: the same as gprxy start has"
	case "ROLES_CLAIM", "USER_CLAIM":
		row.Meaning += "; only for what is shown"
	}
	return row
}

// PersonTable returns the rows in the order of docs/cli.md; those that start has too are start's own.
func PersonTable() []Row { return new(Person).table(&Settings{}, nil) }

// AddPersonFlags defines the flags of the named settings.
func AddPersonFlags(fs *pflag.FlagSet, names ...string) {
	for _, row := range PersonTable() {
		if row.HasFlag() && slices.Contains(names, row.Name) {
			fs.String(row.Flag(), row.Default, row.Meaning)
		}
	}
}

// WhichLogin are the settings that tell one login from another; every command but login itself needs
// them only when there are several.
var WhichLogin = []string{"AUTH0_TENANT", "OIDC_ISSUER", "AUDIENCE", "OIDC_CLIENT_ID"}

// LoadPerson reads and checks the settings. The warnings come back in any case; the error is an *Error.
func LoadPerson(src PersonSources) (Person, []string, error) {
	l := gather(Sources{Variables: src.Variables, Dir: src.Dir})
	s, shared := Person{}, &Settings{}
	for _, row := range s.table(shared, src.CheckURL) {
		if f := src.Flags.Lookup(row.Flag()); f != nil && f.Changed {
			l.layers[0].values[row.Name] = f.Value.String()
		}
		l.fill(shared, row)
	}
	s.takeAlias(l)
	s.Login.Port = -1
	s.Login.Issuer, s.Login.Audience = shared.OIDCIssuer, shared.Audience
	s.Login.RolesClaim, s.Login.UserClaim = shared.RolesClaim, shared.UserClaim
	s.Token = auth.Secret(l.environ[TokenVariable])
	if token, meant := auth.TokenIn(s.Token.Reveal()); meant {
		s.Token = auth.Secret(token)
	}
	s.check(l)
	for _, p := range l.dotenv.problems {
		l.warn("%s %s", p.Variable, p.Wrong)
	}
	if len(l.problems) > 0 {
		return Person{}, l.warnings, &Error{Problems: l.problems, Command: src.Command}
	}
	s.Chosen = s.chosen(l)
	return s, l.warnings, nil
}

const maxNotedValue = 200 // bytes of a setting that a note repeats

func cutText(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// chosen says which settings of a .env in the working directory choose where people log in, or which login is used. The folder
// may be somebody else's, and a page that asks for a company password must not come from there unnoticed.
func (s *Person) chosen(l *loader) string {
	if s.Token != "" {
		return "" // no login is chosen
	}
	var chosen []string
	for _, name := range append(slices.Clone(WhichLogin), "AUTH0_NATIVE_CLIENT_ID", "CONNECTION_NAME", "OIDC_SCOPES", "OAUTH_SCOPE") {
		if value, ok := l.fromDotenv(name); ok {
			chosen = append(chosen, name+"="+cutText(value, maxNotedValue))
		}
	}
	return strings.Join(chosen, ", ")
}

// takeAlias lets AUTH0_NATIVE_CLIENT_ID stand in for OIDC_CLIENT_ID, and OAUTH_SCOPE for OIDC_SCOPES.
func (s *Person) takeAlias(l *loader) {
	old := Settings{}
	l.fill(&old, Row{Name: "OAUTH_SCOPE", parse: scopes(func(s *Settings) *[]string { return &s.SignOn.oldScopes })})
	switch {
	case len(s.Login.Scopes) == 0:
		s.Login.Scopes = old.SignOn.oldScopes
	case len(old.SignOn.oldScopes) > 0 && !slices.Equal(s.Login.Scopes, old.SignOn.oldScopes):
		l.problem("OIDC_SCOPES", "and OAUTH_SCOPE differ", "set OIDC_SCOPES alone: OAUTH_SCOPE is its older name")
	}
	id, ok := l.lookup(Row{Name: "AUTH0_NATIVE_CLIENT_ID"}, "AUTH0_NATIVE_CLIENT_ID")
	switch {
	case !ok:
	case s.Login.ClientID == "":
		s.Login.ClientID = id.text
	case s.Login.ClientID != id.text:
		l.problem("OIDC_CLIENT_ID", "and AUTH0_NATIVE_CLIENT_ID differ", "set only one of the two")
	}
}

func (s *Person) check(l *loader) {
	if l.tenantIssuer != "" && s.Login.Issuer != l.tenantIssuer {
		l.problem("AUTH0_TENANT", "stands for "+l.tenantIssuer+", but OIDC_ISSUER is "+s.Login.Issuer, "set only one of the two")
	}
	if l.home() == "" && s.Token == "" {
		l.problem("HOME", "is not set, so there is no place for a login", "set HOME, or GPRXY_TOKEN to a token")
	}
	if s.Token != "" && !auth.LooksLikeToken(s.Token.Reveal()) {
		l.problem(TokenVariable, whyNoToken(s.Token), "set it to an access token of your issuer, or unset it to use gprxy login")
	}
	if s.ProxyURL != "" && l.layers[1].values["PROXY_URL"] == "" {
		s.ProxyVia = ".env"
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
