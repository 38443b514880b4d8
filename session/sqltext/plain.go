package sqltext

import "strings"

// Literals that are no SQL, as far as can be seen: connection strings, JSON, URLs, a piece of a text that is put together
// elsewhere. Something may still run what stands in one. So what is masked in it is never "the rest", but the least that the
// secret can be: one word, or what stands between two quotes, and nothing that commands or calls.

// plainText is such a literal, as far as it has come.
type plainText struct {
	held string // decoded, and not said yet
	raws []byte // how many bytes of the literal each of its bytes stands for; nil: one

	begun  bool
	pieces bool // it comes in pieces
	format format
	goesOn bool // it goes on with what the literal before holds, which ended with the name of a secret
	starts bool // and the value of that is still to come
	shell  bool // it is a command of the shell
	words  bool // it is one itself, but too long to see whether it can be run: its long words are hidden

	within  ending // the secret under way
	running bool   // there is one

	// Of what is held:
	lexer   *lexer // reads it as SQL, up to where values were looked for
	paren   int    // where its last closing parenthesis stands; -1: nowhere
	harmful int    // up to here values are one word at most
	members int    // up to here the strings of a JSON value are secret, each by itself,
	behind  int    // and from here on they have not been looked at
	failed  int    // where the last word ended that may do something
}

// format is what the literal begins like.
type format byte

const (
	noFormat         format = iota
	connectionString        // name=value …: no statement begins so
	jsonDocument            // { or [: neither does one so
)

// formatOf looks at the beginning of a literal.
func formatOf(s string) format {
	s = strings.TrimLeft(s, " \t\r\n\f\v")
	if s == "" {
		return noFormat
	}
	if s[0] == '{' || s[0] == '[' {
		return jsonDocument
	}
	n := 0
	for n < len(s) && n < longestName && (isWordStart(s[n]) || isDigit(s[n]) || n > 0 && s[n] == ' ') {
		n++
	}
	if n > 0 && n < len(s) && s[n] == '=' && !strings.HasPrefix(s[n:], "=>") && !strings.Contains(strings.TrimRight(s[:n], " "), " ") {
		return connectionString
	}
	return noFormat
}

// shellWord is where what is secret ends, from at on, at the latest at to: in a command of the shell before what makes the word
// more than its letters. Between quotes that is little.
func (p *plainText) shellWord(s string, at, to int) int {
	if !p.shell {
		return to
	}
	active := "`$;|&<>(){}[]*?~!\\\"'# \t\n"
	if at > 0 && s[at-1] == '\'' {
		active = "'"
	} else if at > 0 && s[at-1] == '"' {
		active = "`$\\!\""
	}
	if n := strings.IndexAny(s[at:to], active); n >= 0 {
		return at + n
	}
	return to
}

// wordEnd is where a word ends, as far as it can be one token of SQL, or one with operators in it. A backslash is none.
func wordEnd(s string, i int) int {
	for i < len(s) && !isSpace(s[i]) && strings.IndexByte(`"';,()}&`, s[i]) < 0 && !isRemark(s[i:]) {
		i++
	}
	return i
}

// isRemark tells whether a comment begins or ends here. One with -- is not meant: it holds all that is left of a word.
func isRemark(s string) bool { return strings.HasPrefix(s, "/*") || strings.HasPrefix(s, "*/") }

const (
	// overlap is how much of a literal that comes in pieces is looked at again with the next: a secret may stand in both.
	overlap = 256

	// longWord is how long a word of a long value has to be to be hidden: names are shorter.
	longWord = 40
)

// plain hides what is secret in a literal that is no SQL. Of what more is to follow, it keeps back what a
// secret may begin in.
func (r *reader) plain(content string, last bool) {
	p := &r.text
	s, raws := decode(content, r.quoting, r.wide)
	if p.raws != nil || raws != nil {
		p.raws = append(ones(p.raws, len(p.held)), ones(raws, len(s))...)
	}
	p.held += s
	p.pieces = p.pieces || !last
	if !p.begun && p.held != "" {
		p.begun, p.format = true, formatOf(p.held)
	}
	p.paren, p.harmful, p.failed, p.members, p.behind = strings.LastIndexByte(p.held, ')'), 0, 0, 0, 0
	at := 0
	say := func(to int, h hiding) {
		r.emitPlain(to-at, h)
		at = to
	}
	s = p.held
	hide := func(to int, e ending) {
		if n := p.shellWord(s, at, to); n < to {
			say(n, hidden)
			say(to, shown)
			return
		}
		if !last && to == len(s) {
			p.within, p.running = e, true
			to -= min(len(s)-at, trailingWord(s))
		}
		say(to, hidden)
	}
	if p.running {
		p.running = false
		to, e := p.within.of(s, 0)
		if p.within != (ending{}) && commands.in(s[:to]) {
			e, to = ending{}, wordEnd(s, 0)
		}
		hide(to, e)
	}
	limit := len(s)
	if !last {
		limit = max(at, limit-overlap)
	}
	for !p.running {
		v := p.next(r.names, s, at, last)
		if v.open && last {
			r.frame().expectRest(p.format)
		}
		r.statement.all = r.statement.all || v.elsewhere
		if v.from < 0 || v.from >= limit {
			break
		}
		say(v.from, shown)
		hide(v.to, v.ending)
	}
	if !p.running && at < limit {
		say(limit, shown)
	}
	p.held = s[at:]
}

// trailingWord is how long the word is that s ends with, up to what a command may have: more of it may come.
func trailingWord(s string) int {
	n := 0
	for n < len(s) && n < longestName && isWordStart(s[len(s)-1-n]) {
		n++
	}
	return n
}

// emitPlain says of the next n bytes of what the literal means what becomes of them.
func (r *reader) emitPlain(n int, h hiding) {
	raw := n
	if p := &r.text; p.raws != nil {
		raw = 0
		for _, b := range p.raws[:n] {
			raw += int(b)
		}
		p.raws = p.raws[n:]
	}
	r.emit(raw, value, h)
}

// valueAt is where a secret stands. from is -1 if there is none.
type valueAt struct {
	from, to int
	ending   ending

	open      bool // the name of one stands at the end, and its value would come next
	elsewhere bool // a secret is put into it from elsewhere
}

// next finds the next secret that begins at byte at of s or behind it.
func (p *plainText) next(names *Names, s string, at int, last bool) (v valueAt) {
	if p.words {
		return longWordIn(s, at)
	}
	if v = p.member(s, at, last); v.from >= 0 {
		return v
	}
	at = max(at, p.members)
	if p.starts && s != "" {
		p.starts = false
		if v = p.value(s, 0, last); v.from >= 0 {
			return v
		}
	}
	var open, elsewhere bool
	v.from = -1
	for at = names.suspect(s, at); at >= 0 && v.from < 0; at = names.suspect(s, at+1) {
		from, url := names.valueBehind(s, at)
		switch {
		case from < 0:
		case from == len(s):
			open = true
		case url:
			if to := from + strings.LastIndexByte(firstWord(s[from:]), '@'); to > from && p.isHarmless(s, from, to, true) {
				v = valueAt{from: from, to: to}
			}
		case isPlaceholder(s[from:]):
			elsewhere = true
		default:
			v = p.value(s, from, last)
		}
	}
	v.open, v.elsewhere = open, elsewhere
	return v
}

// wordsIn calls hide for each secret in s as if it were a literal that is no SQL.
func (n *Names) wordsIn(s string, hide func(from, to int)) {
	p := plainText{goesOn: true, paren: strings.LastIndexByte(s, ')')}
	for v := p.next(n, s, 0, true); v.from >= 0; v = p.next(n, s, v.to, true) {
		hide(v.from, v.to)
	}
}

// isPlaceholder tells whether s begins with $1, or with %s, %I, %L, %1$L or the like of format().
func isPlaceholder(s string) bool {
	switch {
	case len(s) < 2:
		return false
	case s[0] == '$':
		return isDigit(s[1])
	case s[0] != '%':
		return false
	}
	i := 1
	for i < len(s) && i < 12 && (isDigit(s[i]) || s[i] == '$' || s[i] == '-' || s[i] == '*') {
		i++
	}
	return i < len(s) && strings.IndexByte("sIL", s[i]) >= 0 && (i+1 == len(s) || !isWordStart(s[i+1]) && !isDigit(s[i+1]))
}

// longWordIn finds the first long word.
func longWordIn(s string, at int) valueAt {
	for at < len(s) {
		to := wordEnd(s, at)
		if to-at >= longWord {
			return valueAt{from: at, to: to}
		}
		at = max(to, at+1)
	}
	return valueAt{from: -1}
}

// value is what of s is the value that begins at byte from.
func (p *plainText) value(s string, from int, last bool) valueAt {
	quote := s[from]
	if quote != '"' && quote != '\'' {
		quote = 0
	}
	var e ending
	a, b := 0, 0
	switch {
	case from < p.harmful: // it stands in a value that may do something
	case p.format == jsonDocument && quote == '"', p.format == connectionString && quote != 0:
		a = from + 1
		b, e = ending{quote: quote}.of(s, a)
	case p.format == jsonDocument && (s[from] == '[' || s[from] == '{'):
		a = from + 1
		if b, e = (ending{depth: 1}).of(s, a); b == a {
			return valueAt{from: -1}
		}
		if b-a >= longestValue || !p.isHarmless(s, a, b, last) {
			p.members, p.harmful = b, b
			return p.member(s, a, last)
		}
	case p.format == connectionString:
		a = from
		b, e = ending{loose: true}.of(s, a)
	case quote != 0 && !p.pieces && !p.goesOn:
		a, b = p.literalAt(s, from)
	}
	if b > a {
		if b-a < longestValue && p.isHarmless(s, a, b, last) {
			return valueAt{from: a, to: b, ending: e}
		}
		p.harmful = b
	}
	from = behindScheme(s, skip(s, from, `"'\`))
	if from < p.failed-longestRetry {
		return valueAt{from: -1}
	}
	to := wordEnd(s, from)
	if to > from && p.isHarmless(s, from, to, last) {
		return valueAt{from: from, to: to}
	}
	p.failed = to
	return valueAt{from: -1}
}

// longestRetry is how much of the end of a word that may do something is looked through for a value that does nothing.
const longestRetry = 1 << 10

// behindScheme is where the credentials begin behind the word that says of what kind they are, as in "Authorization: Bearer x".
func behindScheme(s string, from int) int {
	for _, scheme := range []string{"bearer ", "basic ", "token "} {
		if len(s)-from > len(scheme) && strings.EqualFold(s[from:from+len(scheme)], scheme) {
			return skip(s, from+len(scheme), " ")
		}
	}
	return from
}

// literalAt gives what stands in the literal or quoted name that begins at byte from, if s, which is all of the literal, is
// read as SQL: the quote may also end one. Where a backslash makes that uncertain there is none. The next
// call is for a later byte.
func (p *plainText) literalAt(s string, from int) (a, b int) {
	if p.lexer == nil {
		p.lexer = &lexer{rest: s}
	}
	for len(s)-len(p.lexer.rest) <= from {
		at := len(s) - len(p.lexer.rest)
		t, more := p.lexer.next()
		if !more || strings.IndexByte(t.text, '\\') >= 0 {
			p.lexer.rest = ""
			return 0, 0
		}
		if at == from && t.shut > 0 {
			return at + t.open, at + len(t.text) - t.shut
		}
	}
	return 0, 0
}

// isCalled tells whether an argument list follows the word that ends at byte i, or may: then it is the name of a function.
// No name is as long as a word that goes on in the next piece.
func isCalled(s string, i int, last bool) bool {
	to := i
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i == len(s) {
		return !last && i > to
	}
	return s[i] == '(' || strings.HasPrefix(s[i:], "/*") || strings.HasPrefix(s[i:], "--")
}
