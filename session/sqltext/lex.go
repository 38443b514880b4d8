package sqltext

import "strings"

// kind is what a token is.
type kind byte

const (
	space     kind = iota
	comment        // -- to the end of the line, or /* nested */
	word           // a keyword or name
	quoted         // "name", also U&"name"
	literal        // '…', E'…', B'…', X'…', N'…', U&'…', $tag$…$tag$
	parameter      // $1
	other          // a number, an operator, punctuation
)

// token is a piece of a text. The pieces put together are the text.
type token struct {
	kind kind
	text string
	open int // of a literal or quoted name: how many bytes before its content
	shut int // and after it; 0 if the text ended within
}

// content is what stands between the quotes, still with its escapes.
func (t token) content() string { return t.text[t.open : len(t.text)-t.shut] }

// lexer gives the tokens of a text.
type lexer struct {
	rest        string
	backslashes bool // standard_conforming_strings is off: \ escapes in '…' too

	escaped bool // the token before was a literal with escapes, ...
	broken  bool // ... and a line break follows it: a quote that comes now continues it
}

// next gives the next token, and false at the end.
func (l *lexer) next() (token, bool) {
	if l.rest == "" {
		return token{}, false
	}
	t := l.scan()
	l.rest = l.rest[len(t.text):]
	switch t.kind {
	case space:
		l.broken = l.broken || l.escaped && strings.ContainsAny(t.text, "\n\r")
	case comment:
	default:
		if t.kind != literal {
			l.escaped = false
		}
		l.broken = false
	}
	return t, true
}

func (l *lexer) scan() token {
	s := l.rest
	c := s[0]
	switch {
	case isSpace(c):
		n := 1
		for n < len(s) && isSpace(s[n]) {
			n++
		}
		return token{kind: space, text: s[:n]}
	case strings.HasPrefix(s, "--"):
		n := strings.IndexAny(s, "\n\r")
		if n < 0 {
			n = len(s)
		}
		return token{kind: comment, text: s[:n]}
	case strings.HasPrefix(s, "/*"):
		return token{kind: comment, text: s[:commentEnd(s)]}
	case c == '\'':
		return l.quote(0, l.backslashes || l.broken)
	case c == '"':
		return quotedName(s, 0)
	case c == '$':
		return dollar(s)
	case isWordStart(c):
		return l.word()
	case isDigit(c):
		return token{kind: other, text: s[:wordEnd(s)]}
	}
	return token{kind: other, text: s[:1]}
}

// word gives a keyword or name, or the literal or name that it begins: E'…', U&"…".
func (l *lexer) word() token {
	s := l.rest
	n := wordEnd(s)
	after := s[n:]
	switch strings.ToLower(s[:n]) {
	case "e":
		if strings.HasPrefix(after, "'") {
			return l.quote(n, true)
		}
	case "b", "x", "n":
		if strings.HasPrefix(after, "'") {
			return l.quote(n, l.backslashes)
		}
	case "u":
		if strings.HasPrefix(after, "&'") {
			return l.quote(n+1, false)
		}
		if strings.HasPrefix(after, `&"`) {
			return quotedName(s, n+1)
		}
	}
	return token{kind: word, text: s[:n]}
}

// quote gives the literal whose quote stands at byte at. A doubled quote is part of it.
func (l *lexer) quote(at int, escapes bool) token {
	s := l.rest
	l.escaped = escapes
	for i := at + 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == '\'' && strings.HasPrefix(s[i+1:], "'"):
			i++
		case s[i] == '\'':
			return token{kind: literal, text: s[:i+1], open: at + 1, shut: 1}
		}
	}
	return token{kind: literal, text: s, open: at + 1}
}

func quotedName(s string, at int) token {
	for i := at + 1; i < len(s); i++ {
		switch {
		case s[i] == '"' && strings.HasPrefix(s[i+1:], `"`):
			i++
		case s[i] == '"':
			return token{kind: quoted, text: s[:i+1], open: at + 1, shut: 1}
		}
	}
	return token{kind: quoted, text: s, open: at + 1}
}

// dollar gives $tag$…$tag$, $1, or a lone dollar.
func dollar(s string) token {
	if len(s) > 1 && isDigit(s[1]) {
		n := 2
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		return token{kind: parameter, text: s[:n]}
	}
	tag := dollarTag(s)
	if tag == "" {
		return token{kind: other, text: s[:1]}
	}
	end := strings.Index(s[len(tag):], tag)
	if end < 0 {
		return token{kind: literal, text: s, open: len(tag)}
	}
	return token{kind: literal, text: s[:len(tag)+end+len(tag)], open: len(tag), shut: len(tag)}
}

// dollarTag gives the $tag$ that s begins with, or "".
func dollarTag(s string) string {
	n := 1
	for n < len(s) && (isWordStart(s[n]) || n > 1 && isDigit(s[n])) {
		n++
	}
	if n == len(s) || s[n] != '$' {
		return ""
	}
	return s[:n+1]
}

// commentEnd is where the comment that s begins with ends: they nest.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s)-1; i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

func wordEnd(s string) int {
	for i := range len(s) {
		if c := s[i]; !isWordStart(c) && !isDigit(c) && c != '$' {
			return i
		}
	}
	return len(s)
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
