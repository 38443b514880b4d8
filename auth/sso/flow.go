// What the flows have in common: the issuer, discovered; the client; what is asked for.

package sso

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// flow is one conversation with one issuer. Whoever opens it closes it.
type flow struct {
	config Config // complete
	issuer metadata
	oauth  oauth2.Config
	ids    *auth.Verifier // of ID tokens
	access *auth.Verifier // of access tokens, for what is shown of them; nil without an audience
}

// openFlow checks the settings and asks the issuer for its endpoints.
func openFlow(ctx context.Context, c Config) (*flow, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	m, err := discover(ctx, c)
	if err != nil {
		return nil, err
	}
	if m.Token == "" {
		return nil, &UnsupportedError{Issuer: c.Issuer, What: "token endpoint", Instead: "check OIDC_ISSUER"}
	}
	f := &flow{config: c, issuer: m}
	f.oauth = oauth2.Config{
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret.Reveal(),
		Scopes:       f.scopes(),
		Endpoint: oauth2.Endpoint{
			AuthURL:       m.Authorization,
			TokenURL:      m.Token,
			DeviceAuthURL: m.Device,
			AuthStyle:     oauth2.AuthStyleInParams, // a public client has nothing else; probing would use a code twice
		},
	}
	if f.ids, err = f.verifier(c.ClientID); err != nil {
		return nil, err
	}
	if c.Audience != "" {
		if f.access, err = f.verifier(c.Audience); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *flow) verifier(audience string) (*auth.Verifier, error) {
	return auth.NewVerifier(auth.VerifierConfig{
		Issuer: f.config.Issuer, Audience: audience,
		RolesClaim: f.config.RolesClaim, UserClaim: f.config.UserClaim,
		HTTP: f.config.HTTP, Now: f.config.Now,
	})
}

func (f *flow) close() {
	f.ids.Close()
	if f.access != nil {
		f.access.Close()
	}
	f.config.HTTP.CloseIdleConnections()
}

// context is ctx with the client that x/oauth2 is to use.
func (f *flow) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, f.config.HTTP)
}

// scopes leaves out of the default what the issuer says it does not know: Google
// refuses a login that asks for offline_access. Entra takes the audience as a scope, and gives
// a token for its own services if no scope is one of an API's.
func (f *flow) scopes() []string {
	scopes := slices.Clone(f.config.Scopes)
	if len(scopes) == 0 {
		scopes = DefaultScopes()
		if known := f.issuer.Scopes; len(known) > 0 {
			scopes = slices.DeleteFunc(scopes, func(s string) bool { return s != "openid" && !slices.Contains(known, s) })
		}
	}
	ofAnAPI := func(scope string) bool { return strings.Contains(scope, "/") }
	if f.config.Audience != "" && isEntra(f.config.Issuer) && !slices.ContainsFunc(scopes, ofAnAPI) {
		scopes = append(scopes, f.config.Audience+"/.default")
	}
	return scopes
}

// ReadScopes takes a list of scopes apart, which has blanks between them, as the standard writes it, or commas.
// The error says what is wrong, to follow the setting's name.
func ReadScopes(text string) ([]string, error) {
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	for _, scope := range list {
		if !isScope(scope) {
			return nil, errors.New("has " + shown(scope) + ", which is no scope")
		}
	}
	if len(list) > maxScopes {
		return nil, fmt.Errorf("has more than %d scopes", maxScopes)
	}
	return list, nil
}

const maxScopes = 100

// isScope reports whether a text is a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && len(s) <= maxShown && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// audience says whom the tokens are to be for: in Auth0's words, and in those of RFC 8707 section 2.
func (f *flow) audience() []oauth2.AuthCodeOption {
	if f.config.Audience == "" {
		return nil
	}
	return append(f.resource(), oauth2.SetAuthURLParam("audience", f.config.Audience))
}

// resource is RFC 8707's part alone, for the token endpoint. Entra refuses a
// request that has it (AADSTS901002).
func (f *flow) resource() []oauth2.AuthCodeOption {
	u, err := url.Parse(f.config.Audience)
	if err != nil || !u.IsAbs() || strings.Contains(f.config.Audience, "#") || isEntra(f.config.Issuer) {
		return nil
	}
	return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("resource", f.config.Audience)}
}

func isEntra(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return slices.Contains([]string{"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}, host) ||
		strings.HasSuffix(host, ".ciamlogin.com")
}
