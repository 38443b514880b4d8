// The table of subcommands: what `gprxy` can do.

package cmd

import (
	"context"
	"strings"

	"github.com/spf13/pflag"
)

// command is one row of the table. Help, suggestions and docs are made from it.
type command struct {
	name     string // as typed; nested ones with a space: "audit verify"
	summary  string // one line without end stop
	about    string // what a person needs to know before using it; "" for nothing
	examples []example
	settings bool // its flags are the settings, which help lists as a table of their own
	options  func() options
}

type example struct{ line, does string }

// options is what every command looks like from outside. Each call gets fresh ones.
type options interface {
	// flags defines the command's flags; parsing fills the options.
	flags(fs *pflag.FlagSet)
	// validate completes the options. A *usageError or *settings.Error ends in exit code 2.
	validate(c *call) error
	// run does the work and returns when it is done or ctx has ended.
	run(ctx context.Context, c *call) error
}

// call is one invocation of a command.
type call struct {
	IO
	Environment
	command command
	set     *pflag.FlagSet // parsed
	line    []string       // the words after the command as typed
}

// commands returns the table in the order of the overview.
func commands() []command {
	return []command{
		startCommand(),
		loginCommand(),
		logoutCommand(),
		whoamiCommand(),
		tokenCommand(),
		connectCommand(),
		tunnelCommand(),
		sessionsCommand(),
		auditCommand(),
		auditReportCommand(),
		auditExportCommand(),
		auditVerifyCommand(),
		auditPruneCommand(),
		auditKeyCommand(),
		versionCommand(),
	}
}

// findCommand takes the longest command name off the front of words and returns the rest.
func findCommand(words []string) (command, []string, bool) {
	var found command
	rest, ok := words, false
	for _, c := range commands() {
		name := strings.Fields(c.name)
		if len(name) <= len(words) && strings.Join(words[:len(name)], " ") == c.name && len(name) > len(words)-len(rest) {
			found, rest, ok = c, words[len(name):], true
		}
	}
	return found, rest, ok
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return append(names, "help")
}
