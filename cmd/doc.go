// Package cmd is gprxy's command line: the table of subcommands, their settings, and what they print.
//
// A command is one small file and always has the same four parts: its options, its flags, a validate
// step that ends in exit code 2, and run. The help texts, the suggestions for a mistyped name and the
// settings in docs/cli.md all come from the same two tables: commands (command.go) and settings.Table
// (settings/table.go).
package cmd
