package startup

import "strings"

// AuthParameter is a startup parameter of gprxy's own, by which a client chooses
// what it is asked for. It stands in options, or by itself where a driver lets
// people set any parameter; PostgreSQL never sees it.
const AuthParameter = "gprxy.auth"

// TakeAuthChoice takes the choice out of the parameters. The last one counts, as
// for all options.
func TakeAuthChoice(asked Parameters) (rest Parameters, choice string, chosen bool) {
	choice, chosen = asked.Lookup(AuthParameter)
	rest = asked.Without(AuthParameter)
	options, inOptions := rest.Lookup("options")
	if !inOptions {
		return rest, choice, chosen
	}
	others, value, found := CutOption(options, AuthParameter)
	switch {
	case !found:
		return rest, choice, chosen
	case strings.TrimSpace(others) == "":
		return rest.Without("options"), value, true
	default:
		return rest.With("options", others), value, true
	}
}
