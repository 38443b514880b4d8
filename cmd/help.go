// Help texts, made from the table of commands and the table of settings.

package cmd

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"gprxy/cmd/settings"

	"github.com/spf13/pflag"
)

const helpWidth = 78 // columns, so that help reads well in the smallest usual terminal

// help is `gprxy help [COMMAND]`.
func help(words []string, std IO) error {
	if len(words) == 0 || words[0] == "help" || words[0] == "--help" || words[0] == "-h" {
		fmt.Fprint(std.Out, overview())
		return nil
	}
	cmd, rest, ok := findCommand(words)
	if !ok {
		return unknownCommand(words)
	}
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return unexpectedArgument(cmd, rest[0])
	}
	fmt.Fprint(std.Out, commandHelp(cmd))
	return nil
}

// overview is what `gprxy --help` prints.
func overview() string {
	var b strings.Builder
	b.WriteString("gprxy: a PostgreSQL proxy that knows who is behind every connection\n\n")
	b.WriteString("Usage:\n  gprxy COMMAND [flags]\n\nCommands:\n")
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %s\t%s\n", c.name, c.summary)
	}
	fmt.Fprintf(w, "  help COMMAND\twhat a command does, its flags, and examples\n")
	w.Flush()
	b.WriteString("\nExit codes: 0 done, 1 failed, 2 wrong usage or settings.\n")
	return b.String()
}

// commandHelp is what `gprxy COMMAND --help` prints.
func commandHelp(cmd command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gprxy %s: %s\n\nUsage:\n  gprxy %s [flags]\n", cmd.name, cmd.summary, cmd.name)
	if cmd.about != "" {
		fmt.Fprintf(&b, "\n%s\n", wrap(cmd.about, helpWidth, ""))
	}
	if len(cmd.examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range cmd.examples {
			fmt.Fprintf(&b, "  %s\n      %s\n", e.line, wrap(e.does, helpWidth-6, "      "))
		}
	}
	if cmd.settings {
		b.WriteString("\n" + settingsHelp())
		return b.String()
	}
	fs := newFlagSet(cmd.name)
	cmd.options().flags(fs)
	if fs.HasFlags() {
		b.WriteString("\nFlags:\n" + flagsHelp(fs))
	}
	return b.String()
}

// flagsHelp lists flags with what they take and their default.
func flagsHelp(fs *pflag.FlagSet) string {
	var lines [][2]string
	widest := 0
	fs.VisitAll(func(f *pflag.Flag) {
		takes, usage := pflag.UnquoteUsage(f)
		left := "--" + f.Name
		if f.Value.Type() != "bool" {
			left += " " + takes
			if f.DefValue != "" {
				usage += " [" + f.DefValue + "]"
			}
		}
		widest = max(widest, len(left))
		lines = append(lines, [2]string{left, usage})
	})
	var b strings.Builder
	for _, line := range lines {
		indent := strings.Repeat(" ", widest+5)
		fmt.Fprintf(&b, "  %-*s   %s\n", widest, line[0], wrap(line[1], helpWidth-widest-5, indent))
	}
	return b.String()
}

// settingsHelp lists every setting with its default.
func settingsHelp() string {
	var b strings.Builder
	b.WriteString("Settings, from flags, then the environment, then .env in the working directory\n(NAME_FILE is a file that holds the " +
		"value):\n")
	for _, row := range settings.Table() {
		way := "--" + row.Flag()
		if row.Secret {
			way = row.ShownName() + "_FILE"
		}
		fmt.Fprintf(&b, "  %s, %s [%s]\n", row.ShownName(), way, row.ShownDefault())
		meaning := row.Meaning
		if len(row.Allowed) > 0 {
			meaning += " (" + strings.Join(row.Allowed, ", ") + ")"
		}
		fmt.Fprintf(&b, "      %s\n", wrap(meaning, helpWidth-6, "      "))
	}
	return b.String()
}

// wrap breaks text at spaces into lines of at most width bytes, each but the first indented.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		column := 0
		for _, word := range strings.Fields(paragraph) {
			switch {
			case column > 0 && column+1+len(word) > width:
				b.WriteString("\n" + indent)
				column = 0
			case column > 0:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
	}
	return b.String()
}
