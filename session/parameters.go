package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

// Names in a startup packet that are no run-time parameters. PostgreSQL knows them
// in small letters only, unlike the names of run-time parameters.
var specialParameters = []string{"user", "database", "options", "replication"}

// deniedPrefix belongs to gprxy: what stands there must not come from a client.
const deniedPrefix = "gprxy."

// checkParameters refuses parameters that no session through gprxy may have.
func checkParameters(parameters map[string]string) error {
	if err := checkReplication(parameters["replication"]); err != nil {
		return err
	}
	for name, value := range parameters {
		if special := strings.ToLower(name); special != name && slices.Contains(specialParameters, special) {
			return unknownParameter(name)
		}
		if name == "options" {
			if denied := deniedOption(value); denied != "" {
				return deniedParameter(denied)
			}
			continue
		}
		if isDenied(name) {
			return deniedParameter(name)
		}
	}
	return nil
}

func checkReplication(value string) error {
	switch strings.ToLower(value) {
	case "", "0", "f", "false", "n", "no", "of", "off":
		return nil
	}
	return &refusal{
		code:    codeUnsupported,
		reason:  "replication",
		message: "replication connections are not served through gprxy",
		hint:    "Connect pg_basebackup, pg_receivewal and logical replication directly to PostgreSQL.",
	}
}

func unknownParameter(name string) error {
	return &refusal{
		code:    codeUndefinedObject,
		reason:  "parameter_unknown",
		message: fmt.Sprintf("unrecognized configuration parameter %q", truncateName(name)),
	}
}

func deniedParameter(name string) error {
	return &refusal{
		code:    codeInsufficientPrivilege,
		reason:  "parameter_denied",
		message: fmt.Sprintf("parameter %q cannot be set at login through gprxy", truncateName(name)),
		hint:    "Leave it out of the connection parameters (PGOPTIONS, options=...).",
	}
}

func isDenied(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, deniedPrefix) {
		return true
	}
	for _, denied := range deniedParameters {
		if name == denied {
			return true
		}
	}
	return false
}

// deniedOption looks for a denied parameter in the command-line options of a
// startup packet and returns its name. PostgreSQL reads them with getopt, where
// -c may stand alone, before its value or behind other letters, and "--" also
// sets a parameter; so everything before a name that could be a flag is skipped
// rather than understood. That may refuse an option nobody writes; it lets no
// denied one through.
func deniedOption(options string) string {
	for _, option := range splitOptions(options) {
		word, _, assigns := strings.Cut(strings.ToLower(option.text), "=")
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

// optionWord is a word of an options string and where it stands in it.
type optionWord struct {
	text       string
	start, end int
}

// splitOptions separates the words of an options string as PostgreSQL's
// pg_split_opts does: white space separates, a backslash takes the next
// character as it is.
func splitOptions(options string) []optionWord {
	var words []optionWord
	var text strings.Builder
	start, escaped := -1, false
	for i := range len(options) {
		c := options[i]
		if !escaped && isSpace(c) {
			if start >= 0 {
				words = append(words, optionWord{text.String(), start, i})
			}
			text.Reset()
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		if escaped = !escaped && c == '\\'; !escaped {
			text.WriteByte(c)
		}
	}
	if start >= 0 {
		words = append(words, optionWord{text.String(), start, len(options)})
	}
	return words
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// backendParameters are the client's wishes as they go to PostgreSQL: what it
// sends to log in is its own affair.
func (s *session) backendParameters() map[string]string {
	parameters := maps.Clone(s.parameters)
	delete(parameters, "user")
	delete(parameters, "database")
	delete(parameters, "replication")
	return parameters
}
