package session

import (
	"gprxy/session/refusal"
	"gprxy/session/startup"
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

var authMethods = map[string]AuthMethod{"password": AuthPassword, "oauth": AuthOAuth, "device": AuthDevice}

// chooseAuth decides what the client is asked for, and takes its choice out of
// the parameters.
func (s *session) chooseAuth() error {
	s.login.method = s.handler.ClientAuth
	rest, choice, chosen := startup.TakeAuthChoice(s.asked.parameters)
	s.asked.parameters = rest
	if !chosen {
		return nil
	}
	method, known := authMethods[choice]
	switch {
	case !known:
		return refusal.UnknownAuthMethod(startup.AuthParameter, choice)
	case method == AuthOAuth && s.handler.Tokens == nil:
		return refusal.AuthMethodOff(startup.AuthParameter, choice, "OIDC_ISSUER")
	case method == AuthDevice && s.handler.Device.Login == nil:
		return refusal.AuthMethodOff(startup.AuthParameter, choice, "DEVICE_LOGIN=on")
	}
	s.login.method = method
	return nil
}
