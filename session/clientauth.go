package session

import (
	"fmt"
	"strings"
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
	s.asks = s.ClientAuth
	choice, chosen := takeAuthChoice(s.parameters)
	if !chosen {
		return nil
	}
	method, known := authMethods[choice]
	switch {
	case !known:
		return &refusal{
			code:    codeInvalidParameter,
			reason:  "parameter_denied",
			message: fmt.Sprintf("invalid value for parameter %q: %q", authParameter, choice),
			hint:    "Available values: password, oauth, device.",
		}
	case method == AuthOAuth && s.Tokens == nil:
		return authMethodOff(choice, "OIDC_ISSUER")
	case method == AuthDevice && s.Device.Login == nil:
		return authMethodOff(choice, "DEVICE_LOGIN=on")
	}
	s.asks = method
	return nil
}

func authMethodOff(choice, setting string) error {
	return &refusal{
		code:    codeUnsupported,
		reason:  "auth_method_off",
		message: fmt.Sprintf("gprxy does not offer %s=%s here", authParameter, choice),
		hint:    "Leave it out to log in with a password or token, or ask the operator of gprxy for " + setting + ".",
	}
}

// takeAuthChoice removes the choice from parameters. The last one counts, as for
// all options.
func takeAuthChoice(parameters map[string]string) (choice string, chosen bool) {
	if choice, chosen = parameters[authParameter]; chosen {
		delete(parameters, authParameter)
	}
	options, inOptions := parameters["options"]
	if !inOptions {
		return choice, chosen
	}
	rest, value, found := cutOption(options, authParameter)
	if !found {
		return choice, chosen
	}
	if parameters["options"] = rest; strings.TrimSpace(rest) == "" {
		delete(parameters, "options")
	}
	return value, true
}

// cutOption removes each setting of name ("-c name=value", "-cname=value",
// "--name=value") from an options string and leaves the rest as it was.
func cutOption(options, name string) (rest, value string, found bool) {
	words := splitOptions(options)
	kept, at := "", 0
	for i, word := range words {
		start := word.start
		setting, ok := strings.CutPrefix(word.text, "--")
		if !ok {
			setting, ok = strings.CutPrefix(word.text, "-c")
		}
		if !ok && i > 0 && words[i-1].text == "-c" {
			setting, start = word.text, words[i-1].start
		}
		key, v, assigns := strings.Cut(setting, "=")
		if !assigns || !strings.EqualFold(key, name) {
			continue
		}
		kept += options[at:start]
		at, value, found = word.end, v, true
	}
	return strings.TrimSpace(kept + options[at:]), value, found
}
