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
	number         // 12, 1.5e3, 0x1F
	other          // an operator's character, punctuation
)

// token is a piece of a text. The pieces put together are the text.
type token struct {
	kind kind
	text string
	open int // of a literal or quoted name: how many bytes before its content
	shut int // and after it; 0 if the text ended within

	// Of a text that comes in pieces, a long literal, quoted name or comment is several tokens.
	resumed bool // there were some before
	partial bool // and there are more to come

	quote quoting // of a literal
}

// content is what stands between the quotes, still with its escapes.
func (t token) content() string { return t.text[t.open : len(t.text)-t.shut] }

// quoting is how a literal or quoted name is written.
type quoting struct {
	mark    byte   // ' or "; 0 for $tag$
	escapes bool   // a backslash escapes, as in E'…'
	asSet   bool   // whether it does is up to standard_conforming_strings
	single  bool   // a doubled quote is no part of it, as in B'…'
	tag     string // $tag$
	point   byte   // what begins an escape in U&'…'
}

// reading says what decides where a literal ends besides its text. See Settings.
type reading struct {
	backslashes bool // standard_conforming_strings is off: \ escapes in '…' too
	oldNumbers  bool // of PostgreSQL before 16: 1_0 is 1 and a name, as 0x1 is
	wide        wide
}

// wide says which bytes of a character may be those of ASCII, such as a backslash: in client_encoding.
type wide byte

const (
	narrow wide = iota // none
	pairs              // the second of two: BIG5, GBK, UHC, GB18030, JOHAB
	sjis               // likewise, but A1 to DF stand alone (pg_sjis_mblen)
)

// step is how many bytes the character at s[i] has, as far as a second may look like ASCII. None of
// these encodings has one below that of the digit 0, such as a quote.
func (w wide) step(s string, i int) int {
	c := s[i]
	if w == narrow || c < 0x80 || w == sjis && c >= 0xa1 && c <= 0xdf || i+1 < len(s) && s[i+1] < '0' {
		return 1
	}
	return 2
}

// lexer gives the tokens of a text, as PostgreSQL's scan.l does.
type lexer struct {
	rest string
	more bool // the text goes on behind rest
	reading

	inside bool    // a token that began before rest goes on there:
	within kind    // what it is,
	quote  quoting // how it is written,
	depth  int     // and how deep the comment is nested

	literal bool    // the token before was a literal in quotes, ...
	before  quoting // ... written so, ...
	broken  bool    // ... and a line break follows it: a quote that comes now continues it
}

// The longest word, number or $tag$ that is looked for in a text that comes in pieces. What is longer
// is taken for one that ends there.
const longestWord = 64 << 10

// next gives the next token, and false at the end, or if the next is not all there yet.
func (l *lexer) next() (token, bool) {
	if l.rest == "" {
		return token{}, false
	}
	var t token
	if l.inside {
		t = l.resume(token{kind: l.within, resumed: true})
	} else {
		t = l.scan()
	}
	if t.text == "" {
		return token{}, false
	}
	l.rest = l.rest[len(t.text):]
	l.inside = t.partial
	switch {
	case t.partial:
	case t.kind == literal && t.quote.mark != 0:
		l.literal, l.before, l.broken = true, t.quote, false
	case t.kind == space:
		l.broken = l.broken || l.literal && strings.ContainsAny(t.text, "\n\r")
	case t.kind == comment && l.depth == toLineEnd:
	default:
		l.literal, l.broken = false, false
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
	case l.more && len(s) < 3 && strings.IndexByte("-/uUeEbBxXnN$", c) >= 0:
		return token{} // what begins here may be several things
	case strings.HasPrefix(s, "--"), strings.HasPrefix(s, "/*"):
		l.depth = 0
		return l.resume(token{kind: comment})
	case c == '\'':
		q := quoting{mark: '\'', escapes: l.backslashes, asSet: true}
		if l.broken {
			q = l.before
		}
		return l.quotes(literal, 1, q)
	case c == '"':
		return l.quotes(quoted, 1, quoting{mark: '"'})
	case c == '$':
		return l.dollar()
	case isWordStart(c):
		return l.word()
	case isDigit(c), c == '.' && len(s) > 1 && isDigit(s[1]):
		if n := numberEnd(s, l.oldNumbers); !l.more || n+2 < len(s) || n >= longestWord {
			return token{kind: number, text: s[:n]}
		}
		return token{}
	}
	return token{kind: other, text: s[:1]}
}

// ended gives a token of n bytes, unless more of it may come.
func (l *lexer) ended(k kind, n int) token {
	if l.more && n == len(l.rest) && n < longestWord {
		return token{}
	}
	return token{kind: k, text: l.rest[:n]}
}

// word gives a keyword or name, or the literal or name that it begins: E'…', U&"…".
func (l *lexer) word() token {
	s := l.rest
	n := l.wordEnd(s)
	after := s[n:]
	if n == 1 && after != "" {
		switch s[0] | ' ' {
		case 'e':
			if after[0] == '\'' {
				return l.quotes(literal, 2, quoting{mark: '\'', escapes: true})
			}
		case 'b', 'x':
			if after[0] == '\'' {
				return l.quotes(literal, 2, quoting{mark: '\'', single: true})
			}
		case 'n':
			if after[0] == '\'' {
				return l.quotes(literal, 2, quoting{mark: '\'', escapes: l.backslashes, asSet: true})
			}
		case 'u':
			if strings.HasPrefix(after, "&'") {
				return l.quotes(literal, 3, quoting{mark: '\'', point: '\\'})
			}
			if strings.HasPrefix(after, `&"`) {
				return l.quotes(quoted, 3, quoting{mark: '"'})
			}
		}
	}
	return l.ended(word, n)
}

// quotes gives the literal or name whose content begins at byte at.
func (l *lexer) quotes(k kind, at int, q quoting) token {
	l.quote = q
	return l.resume(token{kind: k, open: at})
}

// resume goes on with a literal, quoted name or comment. t says how much of it has been seen.
func (l *lexer) resume(t token) token {
	s := l.rest
	l.within = t.kind
	end, ended := 0, false
	switch {
	case t.kind == comment:
		end, ended = l.commentEnd(s)
	case l.quote.mark == 0:
		end, ended = l.tagEnd(s, t.open)
	default:
		end, ended = l.quoteEnd(s, t.open)
	}
	if t.kind == literal {
		t.quote = l.quote
	}
	switch {
	case ended && t.kind != comment:
		t.shut = max(1, len(l.quote.tag))
	case !ended && l.more:
		t.partial = true
		if end = wayless(s, end); end <= t.open {
			return token{}
		}
	case !ended:
		end = len(s)
	}
	t.text = s[:end]
	return t
}

// quoteEnd is where what stands in quotes ends, behind them. If that is not there, it is how much
// certainly belongs to it.
func (l *lexer) quoteEnd(s string, i int) (end int, ended bool) {
	q := l.quote
	for i < len(s) {
		n := 1
		switch c := s[i]; {
		case c == q.mark && (q.single || i+1 == len(s) && !l.more || i+1 < len(s) && s[i+1] != q.mark):
			return i + 1, true
		case c == q.mark:
			n = 2
		case c == '\\' && q.escapes:
			n = 2
			if i+1 < len(s) {
				n = 1 + l.wide.step(s, i+1)
			}
		case c >= 0x80:
			n = l.wide.step(s, i)
		}
		if i+n > len(s) {
			return i, false
		}
		i += n
	}
	return i, false
}

// dollar gives $tag$…$tag$, $1, or a lone dollar.
func (l *lexer) dollar() token {
	s := l.rest
	n := 1
	if len(s) > 1 && isDigit(s[1]) {
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		return l.ended(parameter, n)
	}
	if n < len(s) && isWordStart(s[n]) {
		n += l.tagWordEnd(s[n:])
	}
	switch {
	case n >= len(s) && l.more && n < longestWord:
		return token{} // the tag may go on
	case n >= len(s) || s[n] != '$':
		return token{kind: other, text: s[:1]}
	}
	return l.quotes(literal, n+1, quoting{tag: strings.Clone(s[:n+1])})
}

// tagEnd is where $tag$…$tag$ ends.
func (l *lexer) tagEnd(s string, from int) (end int, ended bool) {
	tag := l.quote.tag
	if at := strings.Index(s[from:], tag); at >= 0 {
		return from + at + len(tag), true
	}
	return max(from, len(s)-len(tag)+1), false
}

// commentEnd is where the comment ends, or how much certainly belongs to it. Those of the second kind nest.
func (l *lexer) commentEnd(s string) (end int, ended bool) {
	if l.depth == 0 && strings.HasPrefix(s, "--") {
		l.depth = toLineEnd
	}
	if l.depth == toLineEnd {
		if n := strings.IndexAny(s, "\n\r"); n >= 0 {
			return n, true
		}
		return len(s) - 1, false // so that the end is not without a byte
	}
	i := 0
	for i < len(s)-1 {
		switch s[i : i+2] {
		case "/*":
			l.depth++
			i += 2
		case "*/":
			l.depth--
			i += 2
			if l.depth == 0 {
				return i, true
			}
		default:
			i++
		}
	}
	return i, false
}

// toLineEnd is the depth of a comment that ends with its line.
const toLineEnd = -1

// numberEnd is where the number ends that s begins with. PostgreSQL 13 and 14 let a word, a literal or
// a parameter follow at once: 1E'…' is 1 and E'…', 1$a$…$a$ is 1 and a literal; 15 and later refuse it.
func numberEnd(s string, old bool) int {
	if n := basedEnd(s); n > 0 && !old {
		return n
	}
	n := digitsEnd(s, 0, isDigit, old)
	if n < len(s) && s[n] == '.' && !strings.HasPrefix(s[n:], "..") {
		n = digitsEnd(s, n+1, isDigit, old)
	}
	if n < len(s) && s[n]|' ' == 'e' {
		at := n + 1
		if at < len(s) && (s[at] == '+' || s[at] == '-') {
			at++
		}
		if at < len(s) && isDigit(s[at]) {
			n = digitsEnd(s, at, isDigit, old)
		}
	}
	return n
}

// basedEnd is where a number in another base ends, 0x1F or 0b1; 0 if s does not begin with one.
func basedEnd(s string) int {
	if len(s) < 3 || s[0] != '0' {
		return 0
	}
	digits := isDigit
	switch s[1] | ' ' {
	case 'x':
		digits = isHexDigit
	case 'o', 'b':
	default:
		return 0
	}
	if !digits(s[2]) {
		return 0
	}
	return digitsEnd(s, 2, digits, false)
}

func digitsEnd(s string, n int, digit func(byte) bool, old bool) int {
	for n < len(s) && (digit(s[n]) || !old && s[n] == '_' && n+1 < len(s) && digit(s[n+1])) {
		n++
	}
	return n
}

func (l *lexer) wordEnd(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 0x80 && l.wide != narrow:
			i += l.wide.step(s, i) - 1
		case !isWordStart(c) && !isDigit(c) && c != '$':
			return i
		}
	}
	return len(s)
}

// tagWordEnd is wordEnd of a tag, in which there is no dollar.
func (l *lexer) tagWordEnd(s string) int {
	if at := strings.IndexByte(s, '$'); at >= 0 {
		s = s[:at]
	}
	return l.wordEnd(s)
}

// switchTo goes on in another reading, which has made no difference yet.
func (l *lexer) switchTo(r reading) {
	l.reading = r
	for _, q := range []*quoting{&l.quote, &l.before} {
		q.escapes = q.escapes && !q.asSet || q.asSet && r.backslashes
	}
}

// The longest run of backslashes, or of bytes beyond ASCII, that is kept together.
const longestRun = 4 << 10

// wayless is where s, up to end, ends so that no reading has it end within an escape or a character:
// before a run of backslashes or of bytes beyond ASCII.
func wayless(s string, end int) int {
	at := end
	for at > 0 && end-at < longestRun && (s[at-1] >= 0x80 || s[at-1] == '\\') {
		at--
	}
	if end-at == longestRun {
		return end
	}
	return at
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHexDigit(c byte) bool { return isDigit(c) || c|' ' >= 'a' && c|' ' <= 'f' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
