// Cutting a text into statements, by the lexical rules of PostgreSQL's manual, chapter "SQL Syntax".

package prompt

import (
	"errors"
	"iter"
	"slices"
	"strings"
)

// maxStatement is how much of a statement is held; PostgreSQL itself takes less than 1 GB.
const maxStatement = 256 << 20

var errTooLong = errors.New("a statement is longer than 256 MB")

// item is a statement, or a backslash command with all that follows it on its line.
type item struct {
	sql     string // with its semicolon
	command string // without the backslash
	line    int    // of the input, where it begins; from 1
}

// splitter takes lines and gives statements. The zero value is at the beginning of an input.
type splitter struct {
	backslashes bool // standard_conforming_strings is off: \ escapes in '…' too

	text   strings.Builder // the statement so far, without the space before it
	tokens bool            // text holds more than comments
	number int             // lines seen
	begun  int             // the line text begins on

	within    byte   // ' or " or $ or * for a comment, else 0
	escapes   bool   // within ': a backslash hides the next character
	tag       string // within $: the whole $tag$
	comments  int    // within *: how deep
	parens    int
	routine   []string // the first words of the statement, lower case, at most four
	blocks    int      // BEGIN ATOMIC … END and CASE … END around us
	continued joint
}

// joint is whether a quote that comes now would continue the E'…' before it: after a line break it does.
type joint byte

const (
	apart joint = iota
	sameLine
	nextLine
)

// line takes the next line, without its line break, and yields what it completes. What the caller does
// with an item happens before the rest of the line is looked at.
func (s *splitter) line(line string) iter.Seq[item] {
	return func(yield func(item) bool) {
		s.number++
		for rest := line; rest != ""; {
			var whole *item
			rest, whole = s.step(rest)
			if whole != nil && !yield(*whole) {
				return
			}
		}
		if s.text.Len() > 0 {
			s.text.WriteByte('\n')
		}
		if s.continued == sameLine {
			s.continued = nextLine
		}
	}
}

// sign is what psql's prompt shows for the state: = before a statement, - within, or what is open.
func (s *splitter) sign() byte {
	switch {
	case s.within != 0:
		return s.within
	case s.parens > 0:
		return '('
	case s.text.Len() > 0:
		return '-'
	}
	return '='
}

// flush returns the statement that has no semicolon yet, and forgets it.
func (s *splitter) flush() (item, bool) {
	rest, ok := item{sql: s.text.String(), line: s.begun}, s.tokens
	s.reset()
	return rest, ok
}

// reset forgets the statement so far.
func (s *splitter) reset() {
	*s = splitter{backslashes: s.backslashes, number: s.number}
}

// step takes one token, or what there is of it on this line.
func (s *splitter) step(rest string) (string, *item) {
	switch s.within {
	case '\'', '"':
		return s.take(rest, s.quoted(rest)), nil
	case '$':
		return s.take(rest, s.dollarQuoted(rest)), nil
	case '*':
		return s.take(rest, s.comment(rest)), nil
	}
	c := rest[0]
	switch {
	case isSpace(c):
		if s.text.Len() == 0 {
			return rest[1:], nil
		}
		return s.take(rest, 1), nil
	case c == '\\':
		return "", &item{command: rest[1:], line: s.number}
	case strings.HasPrefix(rest, "--"):
		return s.take(rest, len(rest)), nil
	case strings.HasPrefix(rest, "/*"):
		s.within, s.comments = '*', 1
		return s.take(rest, 2), nil
	}
	return s.token(rest)
}

// take moves n bytes into the statement.
func (s *splitter) take(rest string, n int) string {
	if s.text.Len() == 0 {
		s.begun = s.number
	}
	s.text.WriteString(rest[:n])
	return rest[n:]
}

func (s *splitter) token(rest string) (string, *item) {
	joined := s.continued
	s.tokens, s.continued = true, apart
	c := rest[0]
	switch {
	case c == '\'':
		s.within, s.escapes = '\'', s.backslashes || joined == nextLine
	case c == '"':
		s.within = '"'
	case c == '$':
		if s.tag = dollarTag(rest); s.tag != "" {
			s.within = '$'
			return s.take(rest, len(s.tag)), nil
		}
	case c == '(':
		s.parens++
	case c == ')':
		s.parens = max(0, s.parens-1)
	case c == ';' && s.parens == 0 && s.blocks == 0:
		rest = s.take(rest, 1)
		whole, _ := s.flush()
		return rest, &whole
	case isWordStart(c):
		return s.word(rest), nil
	case isDigit(c):
		return s.take(rest, wordEnd(rest)), nil
	}
	return s.take(rest, 1), nil
}

// word takes a keyword or name, and with e or E the quote that follows.
func (s *splitter) word(rest string) string {
	n := wordEnd(rest)
	word := rest[:n]
	if strings.EqualFold(word, "e") && strings.HasPrefix(rest[n:], "'") {
		s.within, s.escapes = '\'', true
		return s.take(rest, n+1)
	}
	if s.parens == 0 {
		s.nest(strings.ToLower(word))
	}
	return s.take(rest, n)
}

// nest counts the blocks of a routine's body in standard SQL, whose semicolons end no statement.
func (s *splitter) nest(word string) {
	if len(s.routine) < 4 {
		s.routine = append(s.routine, word)
	}
	r := slices.Clone(s.routine)
	if len(r) > 2 && r[1] == "or" && r[2] == "replace" {
		r = slices.Delete(r, 1, 3)
	}
	if len(r) < 2 || r[0] != "create" || (r[1] != "function" && r[1] != "procedure") {
		return
	}
	switch {
	case word == "begin", word == "case" && s.blocks > 0:
		s.blocks++
	case word == "end" && s.blocks > 0:
		s.blocks--
	}
}

// quoted returns how many bytes belong to the open quote. A doubled quote closes and opens again,
// which comes to the same.
func (s *splitter) quoted(rest string) int {
	for i := 0; i < len(rest); i++ {
		switch {
		case s.within == '\'' && s.escapes && rest[i] == '\\':
			i++
		case rest[i] == s.within && s.escapes && strings.HasPrefix(rest[i+1:], "'"):
			i++ // the next half must not be taken for a quote without escapes
		case rest[i] == s.within:
			if s.within == '\'' && s.escapes {
				s.continued = sameLine
			}
			s.within, s.escapes = 0, false
			return i + 1
		}
	}
	return len(rest)
}

func (s *splitter) dollarQuoted(rest string) int {
	at := strings.Index(rest, s.tag)
	if at < 0 {
		return len(rest)
	}
	s.within = 0
	return at + len(s.tag)
}

// comment takes a /* comment */, which nests.
func (s *splitter) comment(rest string) int {
	for i := 0; i < len(rest)-1; i++ {
		switch rest[i : i+2] {
		case "/*":
			s.comments++
			i++
		case "*/":
			s.comments--
			i++
			if s.comments == 0 {
				s.within = 0
				return i + 1
			}
		}
	}
	return len(rest)
}

// dollarTag returns the $tag$ that rest begins with, or "": $1 is a parameter.
func dollarTag(rest string) string {
	end := strings.IndexByte(rest[1:], '$') + 1
	if end == 0 {
		return ""
	}
	name := rest[1:end]
	if name != "" && !isWordStart(name[0]) || strings.ContainsFunc(name,
		func(r rune) bool { return r < 0x80 && !isWordStart(byte(r)) && !isDigit(byte(r)) }) {
		return ""
	}
	return rest[:end+1]
}

func wordEnd(rest string) int {
	for i := range len(rest) {
		if c := rest[i]; !isWordStart(c) && !isDigit(c) && c != '$' {
			return i
		}
	}
	return len(rest)
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
