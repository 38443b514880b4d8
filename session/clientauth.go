package session

import (
	"strings"

	"gprxy/session/refusal"
)

// AuthMethod is what a client is asked for.
type AuthMethod int

// The zero value asks for a password, which may be a token.
const (
	AuthPassword AuthMethod = iota
	AuthOAuth               // a token by SASL OAUTHBEARER
	AuthDevice              // nothing: the person logs in with a browser meanwhile
)

// OAuth is what a client without a token is told with OAUTHBEARER.
type OAuth struct {
	Issuer string // as the tokens write it
	Scope  string // the scopes to ask the issuer for
}

// authParameter is a startup parameter of gprxy's own, by which a client chooses
// what it is asked for. It stands in options, or by itself where a driver lets
// people set any parameter; PostgreSQL never sees it.
const authParameter = "gprxy.auth"

var authMethods = map[string]AuthMethod{"password": AuthPassword, "oauth": AuthOAuth, "device": AuthDevice}

// chooseAuth decides what the client is asked for, and takes its choice out of
// the parameters.
func (s *session) chooseAuth() error {
	s.login.method = s.handler.ClientAuth
	rest, choice, chosen := takeAuthChoice(s.asked.parameters)
	s.asked.parameters = rest
	if !chosen {
		return nil
	}
	method, known := authMethods[choice]
	switch {
	case !known:
		return refusal.UnknownAuthMethod(authParameter, choice)
	case method == AuthOAuth && s.handler.Tokens == nil:
		return refusal.AuthMethodOff(authParameter, choice, "OIDC_ISSUER")
	case method == AuthDevice && s.handler.Device.Login == nil:
		return refusal.AuthMethodOff(authParameter, choice, "DEVICE_LOGIN=on")
	}
	s.login.method = method
	return nil
}

// takeAuthChoice takes the choice out of the parameters. The last one counts, as
// for all options.
func takeAuthChoice(asked parameters) (rest parameters, choice string, chosen bool) {
	choice, chosen = asked.lookup(authParameter)
	rest = asked.without(authParameter)
	options, inOptions := rest.lookup("options")
	if !inOptions {
		return rest, choice, chosen
	}
	others, value, found := cutOption(options, authParameter)
	switch {
	case !found:
		return rest, choice, chosen
	case strings.TrimSpace(others) == "":
		return rest.without("options"), value, true
	default:
		return rest.with("options", others), value, true
	}
}
