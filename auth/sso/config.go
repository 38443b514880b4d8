// What a login needs to know, and which settings cannot work.

package sso

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gprxy/auth"
)

// DefaultCallbackURL is where the browser comes back to when no setting says so.
const DefaultCallbackURL = "http://localhost:8085/callback"

// maxCallbacks is how many addresses CALLBACK_URL may list.
const maxCallbacks = 20

// DefaultScopes are asked for when Config names none. offline_access, which asks
// for a refresh token, is left out where the issuer does not know it (Google).
func DefaultScopes() []string { return []string{"openid", "profile", "email", "offline_access"} }

// Config is how to log in at one issuer. Issuer and ClientID are required.
type Config struct {
	Issuer       string           // OIDC_ISSUER, exactly as the issuer writes it
	ClientID     string           // OIDC_CLIENT_ID
	ClientSecret auth.Secret      // empty for a public client; Google wants its "secret" even from programs that cannot keep one
	Audience     string           // AUDIENCE: whom the access token is to be for; may be empty
	Connection   string           // CONNECTION_NAME: which of Auth0's connections to log in with; may be empty
	CallbackURL  string           // one or several with commas, the first with a free port is used; empty: DefaultCallbackURL
	Port         int              // of the callback; -1: as in CallbackURL, 0: any free one
	Scopes       []string         // OIDC_SCOPES; openid is asked for even if it is not among them; empty: DefaultScopes
	Prompt       string           // OIDC_PROMPT, in a browser: PromptAuto, PromptOff, or words of OpenID Connect; empty: PromptAuto
	Habits       Habits           // what earlier logins have learned of issuers
	RolesClaim   string           // as the proxy's ROLES_CLAIM; only for what Tokens.Roles shows
	UserClaim    string           // as the proxy's USER_CLAIM; only for what Tokens.User shows
	HTTP         *http.Client     // nil: an own one with limits; redirects are never followed
	Now          func() time.Time // nil: time.Now

	// Busy is told of each address of CallbackURL that another program listens on, while others are left; may be nil.
	Busy func(*PortError)
	// Paste asks the person for the address that the browser ended at, for a browser that cannot come back to this
	// machine. problem says what was wrong with the last one; "" the first time. It is called after show, until an answer has
	// come one way or the other, returns when ctx ends, and an error of its own ends the asking, not the login. May be nil.
	Paste func(ctx context.Context, problem string) (string, error)
}

// complete checks the settings that every flow needs and fills in defaults.
func (c Config) complete() (Config, error) {
	if c.Issuer == "" {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: "is not set",
			Instead: "set it (or AUTH0_TENANT) to your company's issuer, such as https://login.example.com"}
	}
	if u, err := checkAddress(c.Issuer); err != nil {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: shown(c.Issuer) + " cannot be used: " + err.Error(),
			Instead: "set it to exactly what the issuer calls itself"}
	} else if u.RawQuery != "" || u.ForceQuery {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: shown(c.Issuer) + " has a query",
			Instead: "set it to exactly what the issuer calls itself"}
	}
	if c.ClientID == "" {
		return c, &ConfigError{Setting: "OIDC_CLIENT_ID", Wrong: "is not set",
			Instead: "set it (or AUTH0_NATIVE_CLIENT_ID) to the id of the native client that the issuer has for gprxy"}
	}
	for _, scope := range c.Scopes {
		if !isScope(scope) {
			return c, &ConfigError{Setting: "OIDC_SCOPES", Wrong: "has " + shown(scope) + ", which is no scope",
				Instead: "set it to words with blanks between, such as: " +
					strings.Join(DefaultScopes(), " ") + " groups"}
		}
	}
	if len(c.Scopes) > 0 && !slices.Contains(c.Scopes, "openid") { // without it the issuer does not say who has logged in
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if err := CheckPrompt(c.Prompt); err != nil {
		return c, &ConfigError{Setting: "OIDC_PROMPT", Wrong: err.Error(), Instead: PromptInstead}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.HTTP = limited(c.HTTP)
	return c, nil
}

// redirects are the addresses of CallbackURL, checked (RFC 8252 section 7.3), with Port in them: then it is
// the first alone. Port "0" in a result means any free one.
func (c Config) redirects() ([]*url.URL, error) {
	if c.CallbackURL == "" {
		c.CallbackURL = DefaultCallbackURL
	}
	if c.Port > 65535 || c.Port < -1 {
		return nil, &ConfigError{Setting: "--port", Wrong: "is not a port", Instead: "give one of 1 to 65535, or 0 for any free one"}
	}
	addresses := strings.Split(c.CallbackURL, ",")
	if len(addresses) > maxCallbacks {
		return nil, &ConfigError{Setting: "CALLBACK_URL", Wrong: fmt.Sprintf("lists more than %d addresses", maxCallbacks), Instead: "list fewer"}
	}
	if c.Port >= 0 {
		addresses = addresses[:1]
	}
	var list []*url.URL
	for _, address := range addresses {
		u, err := c.redirect(strings.TrimSpace(address))
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

func (c Config) redirect(address string) (*url.URL, error) {
	wrong := func(what, instead string) (*url.URL, error) {
		return nil, &ConfigError{Setting: "CALLBACK_URL", Wrong: shown(address) + " " + what, Instead: instead}
	}
	const example = "set it to an address such as " + DefaultCallbackURL + ", or to several with commas"
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http":
		return wrong("is not an http:// address", example)
	case !isLoopback(u.Hostname()):
		return wrong("is not on this machine", example+": the browser must come back to this very machine")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return wrong("has a user, a query or a fragment", example)
	}
	port := u.Port()
	if c.Port >= 0 {
		port = itoa(c.Port)
	}
	if port == "" {
		return wrong("has no port", example+", or choose one with --port (0: any free one)")
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u, nil
}

// checkAddress accepts https anywhere and plain http on loopback only.
func checkAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || !isPrintable(address) {
		return nil, errors.New("it is not an address such as https://login.example.com")
	}
	if u.User != nil || strings.Contains(address, "#") {
		return nil, errors.New("it must not contain a user or a fragment")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("it must begin with https:// (http:// only on loopback)")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withoutCancel is ctx for what must not be torn in two by Ctrl-C, with a limit of its own.
func withoutCancel(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
