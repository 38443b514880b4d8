// What a login needs to know, and which settings cannot work.

package sso

import (
	"context"
	"errors"
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
	CallbackURL  string           // empty: DefaultCallbackURL
	Port         int              // of the callback; -1: as in CallbackURL, 0: any free one
	Scopes       []string         // empty: DefaultScopes; must contain openid
	RolesClaim   string           // as the proxy's ROLES_CLAIM; only for what Tokens.Roles shows
	UserClaim    string           // as the proxy's USER_CLAIM; only for what Tokens.User shows
	HTTP         *http.Client     // nil: an own one with limits; redirects are never followed
	Now          func() time.Time // nil: time.Now
}

// complete checks the settings that every flow needs and fills in defaults.
func (c Config) complete() (Config, error) {
	if c.Issuer == "" {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: "is not set", Instead: "set it (or AUTH0_TENANT) to your company's issuer, such as https://login.example.com"}
	}
	if u, err := checkAddress(c.Issuer); err != nil {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: shown(c.Issuer) + " cannot be used: " + err.Error(), Instead: "set it to exactly what the issuer calls itself"}
	} else if u.RawQuery != "" || u.ForceQuery {
		return c, &ConfigError{Setting: "OIDC_ISSUER", Wrong: shown(c.Issuer) + " has a query", Instead: "set it to exactly what the issuer calls itself"}
	}
	if c.ClientID == "" {
		return c, &ConfigError{Setting: "OIDC_CLIENT_ID", Wrong: "is not set", Instead: "set it (or AUTH0_NATIVE_CLIENT_ID) to the id of the native client that the issuer has for gprxy"}
	}
	if len(c.Scopes) > 0 && !slices.Contains(c.Scopes, "openid") {
		return c, &ConfigError{Setting: "scopes", Wrong: "lack openid", Instead: "add it: without it the issuer does not say who has logged in"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.HTTP = limited(c.HTTP)
	return c, nil
}

// redirect checks CallbackURL (RFC 8252 section 7.3) and puts Port into it. Port
// "0" in the result means any free one.
func (c Config) redirect() (*url.URL, error) {
	if c.CallbackURL == "" {
		c.CallbackURL = DefaultCallbackURL
	}
	wrong := func(what, instead string) (*url.URL, error) {
		return nil, &ConfigError{Setting: "CALLBACK_URL", Wrong: shown(c.CallbackURL) + " " + what, Instead: instead}
	}
	const example = "set it to an address such as " + DefaultCallbackURL
	u, err := url.Parse(c.CallbackURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http":
		return wrong("is not an http:// address", example)
	case !isLoopback(u.Hostname()):
		return wrong("is not on this machine", example+": the browser must come back to this very machine")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(c.CallbackURL, "#"):
		return wrong("has a user, a query or a fragment", example)
	case c.Port > 65535 || c.Port < -1:
		return nil, &ConfigError{Setting: "--port", Wrong: "is not a port", Instead: "give one of 1 to 65535, or 0 for any free one"}
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
