// The backslash commands: psql's most used ones, with psql's names.

package prompt

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const helpText = `  STATEMENT;     run it; it may take several lines, \r gives it up
  \d             list tables, views and sequences
  \d NAME        columns, indexes and constraints of a table
  \dt [PATTERN]  list tables; * and ? stand for any letters, SCHEMA.* for a schema
  \l             list databases
  \c DATABASE    connect to another database
  \x [on|off]    one line for each column
  \timing        how long statements take
  \g             run the statement without its semicolon
  \echo TEXT     print a text
  \q             end; so does Ctrl-D
Ctrl-C cancels a running statement, or clears the line.
`

// command does what stands after a backslash.
func (p *prompt) command(ctx context.Context, text string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimRight(strings.TrimSpace(rest), ";")
	if p.restricted != "" && name != "unrestrict" {
		return p.refuse(`backslash commands are restricted; only \unrestrict is allowed`)
	}
	switch name {
	case "q", "quit":
		return errQuit
	case "?":
		fmt.Fprint(p.out, helpText)
	case "g":
		if last, ok := p.split.flush(); ok {
			return p.query(ctx, last.sql)
		}
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
	case "l", "list":
		return p.catalog(ctx, rest, p.listDatabases)
	default:
		return p.refuse(`there is no command \` + name + `; \? lists those there are, psql has more`)
	}
	return nil
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
