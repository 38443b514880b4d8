// Usage errors: each says what to type instead.

package cmd

import (
	"errors"
	"fmt"
	"strings"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"

	"github.com/spf13/pflag"
)

// usageError is a command line that cannot be meant; it ends in exit code 2.
type usageError struct {
	message string
	instead string // what to type
}

func (e *usageError) Error() string { return e.message }

// errNoCommand is bare `gprxy`: the overview was shown, yet nothing was done.
var errNoCommand = errors.New("no command")

func usagef(instead, format string, args ...any) error {
	return &usageError{message: terminal.Printable(fmt.Sprintf(format, args...)), instead: instead}
}

// wrongValue is a flag whose text cannot be understood.
func wrongValue(flag, text, instead string) error {
	return usagef(instead, "--%s %s is not understood", flag, quoted(text))
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

func unknownCommand(args []string) error {
	var words []string
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			break
		}
		words = append(words, a)
	}
	if len(words) > 2 {
		words = words[:2]
	}
	for n := len(words); n > 0; n-- {
		if near := nearestCommand(strings.Join(words[:n], " "), commandNames()); near != "" {
			return usagef("gprxy "+near, "there is no command %s", quoted(words[0]))
		}
	}
	return usagef("gprxy --help", "there is no command %s", quoted(words[0]))
}

// unexpectedArgument is a word where only flags may stand; often the second half of a command.
func unexpectedArgument(cmd command, word string) error {
	var nested []string
	for _, c := range commands() {
		if rest, ok := strings.CutPrefix(c.name, cmd.name+" "); ok {
			nested = append(nested, rest)
		}
	}
	if near := nearestCommand(word, nested); near != "" {
		return usagef("gprxy "+cmd.name+" "+near, "gprxy %s takes no argument %s", cmd.name, quoted(word))
	}
	return usagef("gprxy "+cmd.name+" --help", "gprxy %s takes no argument %s", cmd.name, quoted(word))
}

// flagProblem turns pflag's errors into ours.
func flagProblem(cmd command, fs *pflag.FlagSet, err error) error {
	instead := "gprxy " + cmd.name + " --help"
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, fs, unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		name := missing.GetSpecifiedName()
		return usagef(instead, "%s%s needs a value", strings.Repeat("-", min(2, len(name))), name)
	case errors.As(err, &wrong):
		var bad *badFlag
		if errors.As(err, &bad) {
			instead = bad.instead
		}
		return wrongValue(wrong.GetFlag().Name, wrong.GetValue(), instead)
	}
	return usagef(instead, "%s", err.Error())
}

func unknownFlag(cmd command, fs *pflag.FlagSet, name string) error {
	if cmd.settings {
		for _, row := range settings.Table() {
			if row.Secret && (row.Flag() == name || row.Prefix && strings.HasPrefix(name, row.Flag())) {
				return usagef("set "+row.ShownName()+" or "+row.ShownName()+"_FILE in the environment or in .env",
					"--%s does not exist: a command line is no place for a password", name)
			}
		}
	}
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearestCommand(name, append(names, "help")); near != "" {
		return usagef("gprxy "+cmd.name+" --"+near, "gprxy %s has no flag --%s", cmd.name, name)
	}
	dashes := "--"
	if len(name) == 1 {
		dashes = "-"
	}
	return usagef("gprxy "+cmd.name+" --help", "gprxy %s has no flag %s%s", cmd.name, dashes, name)
}

// badFlag is what a flag's own parser says; instead tells what to type.
type badFlag struct{ instead string }

func (e *badFlag) Error() string { return e.instead }
