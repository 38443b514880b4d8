package session

import (
	"bytes"
	"slices"
	"strings"

	"gprxy/pool"
	"gprxy/session/refusal"
)

// parameters are the names and values of a StartupMessage, in the client's own
// order and spelling: PostgreSQL takes run-time parameters one after the other,
// complains of the first that is wrong, and of a name that comes twice the last
// value counts.
type parameters []pool.Parameter

// parseParameters reads the pairs of a StartupMessage. With an error it returns
// those PostgreSQL would have seen before it noticed (ProcessStartupPacket).
func parseParameters(body []byte) (all parameters, err error) {
	wrong := refusal.Malformed("invalid startup packet layout: expected terminator as last byte")
	for len(body) > 0 && body[0] != 0 {
		name, rest, _ := bytes.Cut(body, []byte{0})
		if len(rest) == 0 {
			break // PostgreSQL takes any last byte for the terminator
		}
		value, rest, _ := bytes.Cut(rest, []byte{0}) // without its end nothing follows, which is no terminator
		all = append(all, pool.Parameter{Name: string(name), Value: string(value)})
		body = rest
	}
	if len(body) != 1 {
		return all, wrong
	}
	return all, nil
}

// get returns the value that counts, "" if there is none.
func (p parameters) get(name string) string {
	value, _ := p.lookup(name)
	return value
}

func (p parameters) lookup(name string) (value string, found bool) {
	for _, parameter := range slices.Backward(p) {
		if parameter.Name == name {
			return parameter.Value, true
		}
	}
	return "", false
}

// without leaves all parameters of these names out. p stays as it is.
func (p parameters) without(names ...string) parameters {
	return slices.DeleteFunc(slices.Clone(p), func(parameter pool.Parameter) bool {
		return slices.Contains(names, parameter.Name)
	})
}

// with gives name this value alone, in front of all others. p stays as it is.
func (p parameters) with(name, value string) parameters {
	return append(parameters{{Name: name, Value: value}}, p.without(name)...)
}

// Startup parameters a client may not set. They would change who the session
// is, or load code into the backend of a service account.
var deniedParameters = []string{
	"role",
	"session_authorization",
	"session_preload_libraries",
	"local_preload_libraries",
	"shared_preload_libraries",
}

// deniedPrefix belongs to gprxy: what stands there must not come from a client.
const deniedPrefix = "gprxy."

// checkParameters refuses parameters that no session through gprxy may have.
// Whether there are such parameters, and whether the values fit, PostgreSQL says.
func checkParameters(asked parameters) error {
	for _, parameter := range asked {
		denied := ""
		switch {
		case parameter.Name == "options":
			denied = deniedOption(parameter.Value)
		case isDenied(parameter.Name):
			denied = parameter.Name
		}
		if denied != "" {
			return refusal.Parameter(truncateName(denied))
		}
	}
	return nil
}

// isDenied: names are compared without regard to case, as PostgreSQL does.
func isDenied(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, deniedPrefix) || slices.Contains(deniedParameters, name)
}

// backendParameters are what the client asks for as it goes to PostgreSQL: what it
// sends to log in is its own affair.
func (s *session) backendParameters() parameters {
	asked := s.asked.parameters.without("user", "database")
	if s.asked.replication == pool.NoReplication {
		asked = asked.without("replication") // off in one of many ways
	}
	return asked
}
