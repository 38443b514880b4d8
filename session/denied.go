// What a client may not ask for in its startup packet.

package session

import (
	"slices"
	"strings"

	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/session/startup"
)

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
func checkParameters(asked startup.Parameters) error {
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
func (s *session) backendParameters() startup.Parameters {
	asked := s.asked.parameters.Without("user", "database")
	if s.asked.replication == pool.NoReplication {
		asked = asked.Without("replication") // off in one of many ways
	}
	return asked
}

// deniedOption looks for a denied parameter in them and returns its name.
// PostgreSQL reads them with getopt, where -c may stand alone, before its value
// or behind other letters, and "--" also sets a parameter; so everything before a
// name that could be a flag is skipped rather than understood. That may refuse an
// option nobody writes; it lets no denied one through.
func deniedOption(options string) string {
	for _, option := range startup.SplitOptions(options) {
		word, _, assigns := strings.Cut(strings.ToLower(option.Text), "=")
		if !assigns {
			continue
		}
		name := strings.ReplaceAll(word, "-", "_")
		for _, denied := range deniedParameters {
			if before, ok := strings.CutSuffix(name, denied); ok && flagsOnly(before) {
				return denied
			}
		}
		if at := strings.Index(name, deniedPrefix); at >= 0 && flagsOnly(name[:at]) {
			return name[at:]
		}
	}
	return ""
}

// flagsOnly: nothing, or something that begins like a flag and has no dot (a
// parameter of an extension has one).
func flagsOnly(before string) bool {
	return before == "" || before[0] == '_' && !strings.Contains(before, ".")
}
