// Run: from the words typed to an exit code.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"

	"github.com/spf13/pflag"
)

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run does what args ask for and returns the exit code: 0 done, 1 failed, 2 wrong usage or settings.
// It returns once ctx has ended and the command has cleaned up; a command that was interrupted before
// it was done has failed. Nothing is left running.
func Run(ctx context.Context, args []string, std IO, env Environment) int {
	out := &stickyWriter{to: std.Out}
	std.Out = out
	err := dispatch(ctx, args, std, env)
	if err == nil {
		err = out.err
	}
	return report(ctx, err, std)
}

// stickyWriter remembers the first failed write, so that commands may print without looking at each error.
type stickyWriter struct {
	to  io.Writer
	err error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(p)
	w.err = err
	return n, err
}

func dispatch(ctx context.Context, args []string, std IO, env Environment) error {
	switch {
	case len(args) == 0:
		fmt.Fprint(std.Err, overview())
		return errNoCommand
	case args[0] == "--help" || args[0] == "-h":
		fmt.Fprint(std.Out, overview())
		return nil
	case args[0] == "help":
		return help(args[1:], std)
	case args[0] == "--version":
		args = []string{"version"}
	case strings.HasPrefix(args[0], "-"):
		return usagef("gprxy --help", "%s stands before the command; flags come after it", args[0])
	}
	cmd, rest, ok := findCommand(args)
	if !ok {
		return unknownCommand(args)
	}
	return invoke(ctx, cmd, rest, std, env)
}

// invoke parses the flags of a command and carries it out.
func invoke(ctx context.Context, cmd command, args []string, std IO, env Environment) error {
	opts := cmd.options()
	fs := newFlagSet(cmd.name)
	opts.flags(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(std.Out, commandHelp(cmd))
			return nil
		}
		return flagProblem(cmd, fs, err)
	}
	if taker, ok := opts.(argumentTaker); ok && fs.ArgsLenAtDash() == 0 {
		taker.takeArguments(fs.Args())
	} else if fs.NArg() > 0 {
		return unexpectedArgument(cmd, fs.Arg(0))
	}
	c := &call{IO: std, Environment: env, command: cmd, set: fs, line: args}
	if err := opts.validate(c); err != nil {
		return err
	}
	return opts.run(ctx, c)
}

// argumentTaker is a command that hands what stands after -- on to another program.
type argumentTaker interface{ takeArguments(words []string) }

func newFlagSet(name string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {} // report and commandHelp print
	return fs
}

// report tells what went wrong, once, and picks the exit code.
func report(ctx context.Context, err error, std IO) int {
	var usage *usageError
	var code exitCode
	var settings *settings.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errNoCommand):
		return exitUsage
	case errors.Is(err, syscall.EPIPE):
		return exitDone // the reader, such as head, has seen enough
	case errors.As(err, &usage):
		fmt.Fprintf(std.Err, "gprxy: %s\n", usage.message)
		fmt.Fprintf(std.Err, "Try: %s\n", usage.instead)
		return exitUsage
	case errors.As(err, &settings):
		where := "gprxy start --help"
		if settings.Command != "" {
			where = "gprxy " + settings.Command + " --help"
		}
		fmt.Fprintf(std.Err, "gprxy: %s\n\nEvery setting: %s\n", terminal.PrintableLines(settings.Error()), where)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(std.Err, "gprxy: interrupted")
		return exitFailed
	}
	fmt.Fprintf(std.Err, "gprxy: %s\n", terminal.PrintableLines(err.Error()))
	return exitFailed
}
