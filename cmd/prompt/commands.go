// The backslash commands: psql's most used ones, with psql's names.

package prompt

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"
)

const helpText = `  STATEMENT;     run it; it may take several lines, \r gives it up
  \d             list tables, views and sequences
  \d NAME        columns, indexes and constraints of a table
  \dt [PATTERN]  list tables; * and ? stand for any letters, SCHEMA.* for a schema
  \dn [PATTERN]  list schemas
  \du [PATTERN]  list roles
  \df [PATTERN]  list functions
  \l [PATTERN]   list databases
  \c DATABASE    connect to another database
  \x [on|off]    one line for each column
  \timing        how long statements take
  \g             run the statement without its semicolon, or the last one again
  \gx            the same, with one line for each column
  \i FILE        run the statements and commands of a file, up to its first error
  \copy WHAT from FILE   copy a file of this machine into a table
  \copy WHAT to FILE     copy a table or (query) into such a file; stdin and stdout
                 are this prompt's own
  \echo TEXT     print a text
  \q             end; so do quit, exit and Ctrl-D
Results that are longer than the screen go through PSQL_PAGER or PAGER.
Ctrl-C cancels a running statement, or clears the line.
`

// command does what stands after a backslash.
func (p *prompt) command(ctx context.Context, text string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(strings.TrimRight(strings.TrimSpace(rest), ";"))
	if p.restricted != "" && name != "unrestrict" {
		return p.refuse(`backslash commands are restricted; only \unrestrict is allowed`)
	}
	switch name {
	case "q", "quit":
		return errQuit
	case "?":
		return p.paged(func(out *bufio.Writer) error {
			_, err := out.WriteString(helpText)
			return err
		})
	case "g", "gx":
		return p.runBuffer(ctx, name == "gx", rest)
	case "i", "include":
		return p.include(ctx, rest)
	case "copy":
		return p.copyFile(ctx, rest)
	case "r", "reset":
		p.split.reset()
		fmt.Fprintln(p.out, "Query buffer reset (cleared).")
	case "x":
		return p.toggle(&p.expanded, "Expanded display", rest)
	case "timing":
		return p.toggle(&p.timing, "Timing", rest)
	case "echo":
		fmt.Fprintln(p.out, safe(strings.Trim(rest, "'")))
	case "c", "connect":
		return p.reconnect(ctx, rest)
	case "set":
		return p.set(rest)
	case "restrict", "unrestrict":
		return p.restrict(name, rest)
	case "d":
		return p.catalog(ctx, rest, p.describe)
	case "dt":
		return p.catalog(ctx, rest, p.listTables)
	case "dn":
		return p.catalog(ctx, rest, p.listSchemas)
	case "du":
		return p.catalog(ctx, rest, p.listRoles)
	case "df":
		return p.catalog(ctx, rest, p.listFunctions)
	case "l", "list":
		return p.catalog(ctx, rest, p.listDatabases)
	default:
		return p.refuse(`there is no command \` + name + `; \? lists those there are, psql has more`)
	}
	return nil
}

// runBuffer is \g and \gx: the statement typed so far, or, as in psql, the last one again.
func (p *prompt) runBuffer(ctx context.Context, once bool, rest string) error {
	if rest != "" {
		return p.refuse(`\g and \gx take nothing behind them here; \copy (QUERY) to FILE writes a file`)
	}
	sql := p.last
	if typed, ok := p.split.flush(); ok {
		sql = typed.sql
	}
	switch {
	case sql == "":
		return nil
	case strings.IndexByte(sql, 0) >= 0:
		return p.refuse("a statement holds a NUL byte")
	}
	return p.exchange(ctx, &exchange{prompt: p, sql: sql, once: once})
}

// word takes the lines that a person types in place of a command, as psql does: help, and quit or exit. Within a statement they
// belong to it, and how to get out of it is told.
func (p *prompt) word(line string) (done bool, err error) {
	word := strings.TrimRight(strings.TrimSpace(line), "; \t")
	if word != "help" && word != "quit" && word != "exit" {
		return false, nil
	}
	switch state := p.split.sign(); {
	case state == '\'' || state == '"' || state == '$' || state == '*':
		fmt.Fprintln(p.Err, "A quote or comment is open. Press Ctrl-C to clear the statement.")
		return false, nil
	case state != '=':
		fmt.Fprintln(p.Err, `Use \? for help, \q to end, or press Ctrl-C to clear the statement.`)
		return false, nil
	case word == "help":
		fmt.Fprintln(p.out, `This is gprxy's own prompt. Type a statement and end it with a semicolon, \? for the commands there are, or \q to end.`)
		p.remember()
		return true, p.out.Flush()
	}
	p.remember()
	return true, errQuit
}

func (p *prompt) toggle(what *bool, title, to string) error {
	switch to {
	case "":
		*what = !*what
	case "on", "off":
		*what = to == "on"
	default:
		return p.refuse(fmt.Sprintf(`%s can be "on" or "off", not %q`, title, to))
	}
	fmt.Fprintf(p.out, "%s is %s.\n", title, map[bool]string{true: "on", false: "off"}[*what])
	return nil
}

// set takes the one variable of psql that scripts for it must set: here it is always on.
func (p *prompt) set(rest string) error {
	words := strings.Fields(rest)
	if len(words) > 0 && words[0] == "ON_ERROR_STOP" {
		if len(words) == 1 || strings.Contains(" on 1 true yes ", " "+strings.ToLower(words[1])+" ") {
			return nil
		}
		return p.refuse("a script always stops at its first error; only psql goes on")
	}
	return p.refuse(`this prompt has no variables; only psql has`)
}

// restrict is how a dump made by pg_dump keeps its data from being taken for commands.
func (p *prompt) restrict(name, key string) error {
	switch {
	case key == "":
		return p.refuse(`\` + name + ` needs a key`)
	case name == "restrict":
		p.restricted = key
	case p.restricted != key:
		return p.refuse(`\unrestrict needs the key that \restrict was given`)
	default:
		p.restricted = ""
	}
	return nil
}

// reconnect is \c: the old connection stays until the new one is there.
func (p *prompt) reconnect(ctx context.Context, rest string) error {
	words, ok := names(rest)
	if !ok || len(words) > 1 {
		return p.refuse(`\c takes the name of a database`)
	}
	database := p.database
	if len(words) == 1 && words[0] != "-" {
		database = words[0]
	}
	if err := p.connect(ctx, database); err != nil {
		p.complain(err.Error())
		if p.conn != nil {
			fmt.Fprintln(p.Err, "The connection to "+safe(p.database)+" is kept.")
		}
		return errFailed
	}
	fmt.Fprintf(p.out, "You are now connected to database %q.\n", safe(p.database))
	return nil
}

// names splits at spaces, except in double quotes, in which "" is a quote.
func names(text string) ([]string, bool) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] != '"' {
			word, rest, _ := strings.Cut(text, " ")
			words, text = append(words, word), rest
			continue
		}
		word, rest, ok := quotedName(text)
		if !ok {
			return nil, false
		}
		words, text = append(words, word), rest
	}
	return words, true
}

// quotedName takes the "name" off the front of text.
func quotedName(text string) (name, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i+1:], `"`):
			b.WriteByte('"')
			i++
		default:
			return b.String(), text[i+1:], true
		}
	}
	return "", "", false
}

// catalog runs a command that asks the server's catalog.
func (p *prompt) catalog(ctx context.Context, pattern string, work func(context.Context, namePattern) error) error {
	parsed, ok := parsePattern(pattern)
	if !ok {
		return p.refuse(fmt.Sprintf("%q is no name", pattern))
	}
	if err := p.online(ctx); err != nil {
		return err
	}
	began := time.Now()
	return p.finish(p.watched(ctx, func(ctx context.Context) error { return work(ctx, parsed) }), began)
}
