package sqltext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What becomes of literals.

// readLiteral takes in a literal, or a piece of one.
func (r *reader) readLiteral(t token) {
	if !t.resumed {
		r.beginLiteral(t)
		r.emit(t.open, code, shown)
	}
	content := t.content()
	if r.treat == asValue && (t.partial || t.resumed) && lastStatement(content, searchedWithin) >= 0 {
		r.treat = asPlain // it is code after all, or data with code in them
	}
	switch r.treat {
	case asIs:
		r.emit(len(content), value, shown)
	case asValue, asSecret:
		r.emit(len(content), value, hidden)
	case asPlain:
		r.plain(content, !t.partial)
	case asCode:
		r.foreign(content, !t.partial)
	case asSQL:
		s, raws := decode(content, t.quote)
		r.child.write(s, raws, !t.partial)
	}
	if !t.partial {
		r.endLiteral()
		r.emit(t.shut, code, shown)
		r.saw(literal, "")
	}
}

// beginLiteral decides what becomes of a literal.
func (r *reader) beginLiteral(t token) {
	content := t.content()
	f := r.frame()
	r.closed, r.columns = false, false
	r.statement.executes = notExecuting
	r.held, r.hiding, r.escapes = "", false, t.quote.escapes || t.open == len("U&'")
	if r.before == "language" && r.language == "" {
		r.language = strings.ToLower(content)
	}
	switch {
	case r.isBody():
		r.beginBody(t)
	case r.isPassword():
		r.treat = asSecret
	case r.isSecretHere() || r.isSecretBehind():
		r.treat = asValue
		switch {
		case f.named && r.child != nil && r.before == "|" && strings.ContainsAny(content, "';"):
			r.beginSQL(t, false) // it continues SQL
			r.child.frame().named = true
		case beginsStatement(content):
			r.beginSQL(t, false)
		}
	case !t.partial && r.names.isKey(content):
		r.treat = asIs
		f.named, f.comma = true, true
	case r.names.suspect(content, 0) < 0 && !t.partial:
		r.treat = asIs
	case beginsStatement(content):
		r.beginSQL(t, false)
	default:
		r.treat = asPlain
	}
}

// isPassword: PostgreSQL itself takes the literal for a secret, and runs it nowhere.
func (r *reader) isPassword() bool {
	f := r.frame()
	if f.options {
		return f.named
	}
	w := r.words
	if r.before != "password" || len(w) < 2 || w[0] != "create" && w[0] != "alter" {
		return false
	}
	return w[1] == "role" || w[1] == "user" || w[1] == "group"
}

// isBody: the literal is the body of a routine, or of DO.
func (r *reader) isBody() bool {
	if len(r.words) == 0 || len(r.frames) > 1 {
		return false
	}
	if r.words[0] == "do" {
		return r.before != "language" && !r.body
	}
	n := nesting{first: r.words}
	return n.routine() && r.before == "as"
}

func (r *reader) beginBody(t token) {
	switch language := r.languageOf(t); language {
	case "", "sql", "plpgsql":
		r.beginSQL(t, true)
	case "c", "internal":
		r.treat = asIs
	default:
		r.treat = asCode
	}
}

// languageOf is the language of a body, which may be told behind it. "" is PL/pgSQL, or SQL.
func (r *reader) languageOf(t token) string {
	if r.language != "" {
		return r.language
	}
	ahead := r.lexer
	for after := ""; ; {
		t2, more := ahead.next()
		switch {
		case t.partial || !more && ahead.more:
			return "?" // who knows
		case !more, t2.text == ";":
			return ""
		case t2.kind == space, t2.kind == comment:
			continue
		case after == "language" && (t2.kind == literal || t2.kind == quoted):
			return strings.ToLower(t2.content())
		case after == "language":
			return strings.ToLower(t2.text)
		}
		after = strings.ToLower(t2.text)
	}
}

// beginSQL has the literal read as SQL.
func (r *reader) beginSQL(t token, body bool) {
	if r.level >= deepestLevel {
		r.treat = asPlain
		return
	}
	r.treat = asSQL
	r.child = &reader{
		lexer: lexer{reading: reading{backslashes: r.bodies, wide: r.wide}}, findings: r.findings,
		level: r.level + 1, body: body, bodies: r.bodies,
		say: func(n int, c class, h hiding) { r.emit(n, c, h) },
	}
}

// endLiteral: the literal is over, or the text ended within it.
func (r *reader) endLiteral() {
	switch r.treat {
	case asSQL:
		if r.child == nil {
			break
		}
		if r.child.more {
			r.child.write("", nil, true)
		}
		f := r.frame()
		f.named = f.named || r.child.expects
		r.statement.all = r.statement.all || r.child.elsewhere
	case asPlain:
		r.plain("", true)
	case asCode:
		r.foreign("", true)
	}
	r.treat = asIs
}

// overlap is how much of a literal that comes in pieces is looked at again with the next: a secret may
// stand in both.
const overlap = 256

// plain hides what is secret in a literal that is no SQL. Of what more is to follow, it keeps back
// what a secret may begin in.
func (r *reader) plain(content string, last bool) {
	if r.held == "" && content == "" {
		return
	}
	s := r.held + content
	limit := len(s)
	if !last {
		limit = max(0, limit-overlap)
	}
	at := 0
	if r.hiding { // a secret goes on
		if lastStatement(s, searchedWithin) < 0 {
			r.emit(len(s), value, hidden)
			r.held = ""
			return
		}
		at = valueEnd(s)
		r.emit(at, value, hidden)
		r.hiding = false
	}
	rest := s[at:]
	base := at
	open := r.names.secretsIn(rest, r.escapes, func(from, to int) {
		if base+from >= limit {
			return
		}
		r.emit(base+from-at, value, shown)
		r.emit(to-from, value, hidden)
		at = base + to
		r.hiding = !last && at == len(s)
	})
	if at < limit {
		r.emit(limit-at, value, shown)
		at = limit
	}
	r.held = s[at:]
	if last && open {
		f := r.frame()
		f.named = true // 'password=' || 'x'
	}
}

// foreign hides secrets in code of a language that is not known here: a string that is assigned to the
// name of a secret, or given with it, if it stands on one line and holds nothing that code consists of.
func (r *reader) foreign(content string, last bool) {
	s := r.held + content
	limit := len(s)
	if !last {
		limit = max(0, limit-overlap)
	}
	at := 0
	for i := r.names.suspect(s, 0); i >= 0 && i < limit; i = r.names.suspect(s, i+1) {
		from, url := r.names.valueBehind(s, i)
		if from < at || url || from >= len(s) {
			continue
		}
		quote := s[from]
		if quote != '\'' && quote != '"' {
			continue
		}
		end := strings.IndexAny(s[from+1:min(len(s), from+overlap)], "'\"\n\r;(){}$\\")
		if end <= 0 || s[from+1+end] != quote {
			continue
		}
		r.emit(from+1-at, code, shown)
		r.emit(end, value, hidden)
		at = from + 1 + end
	}
	if at < limit {
		r.emit(limit-at, code, shown)
		at = limit
	}
	r.held = s[at:]
}

// isSecretBehind: the name of a secret stands behind the value, as in 'x' = u.password, or is given to
// it, as in 'x' as password.
func (r *reader) isSecretBehind() bool {
	if next := strings.TrimLeft(r.rest[:min(len(r.rest), 16)], " "); next == "" || strings.IndexByte(",);]|:", next[0]) >= 0 {
		return false // as mostly
	}
	const most = 12 // tokens: an operator, or AS, and a name with what qualifies it
	ahead := r.lexer
	name, given := "", false // given: an operator, or AS, has come
	for range most {
		t, more := ahead.next()
		if !more || t.partial {
			break
		}
		text := strings.ToLower(t.text)
		switch {
		case t.kind == space, t.kind == comment:
		case !given && (text == "as" || t.kind == other && strings.ContainsAny(text, "=<>!")):
			given = true
		case given && name == "" && t.kind == other && strings.ContainsAny(text, "=>"): // of <>, >=
		case given && name == "" && t.kind == word:
			name = text
		case given && name == "" && t.kind == quoted:
			name = strings.ToLower(t.content())
		case name != "" && text == ".":
			name = ""
		default:
			return name != "" && r.names.isSecret(name) && !r.comments()
		}
	}
	return name != "" && r.names.isSecret(name) && !r.comments()
}

// decode gives what the content of a literal means, and, unless each byte is itself, how many bytes of
// the literal each byte stands for.
func decode(content string, q quoting) (s string, raws []byte) {
	if q.mark == 0 || strings.IndexByte(content, q.mark) < 0 && (!q.escapes || strings.IndexByte(content, '\\') < 0) {
		return content, nil
	}
	out := make([]byte, 0, len(content))
	for i := 0; i < len(content); {
		c, n := content[i], 1
		switch {
		case c == q.mark && !q.single && i+1 < len(content):
			n = 2
		case c == '\\' && q.escapes && i+1 < len(content):
			var r rune
			if r, n = escape(content[i:]); r >= utf8.RuneSelf {
				before := len(out)
				out = utf8.AppendRune(out, r)
				for k := range len(out) - before {
					raws = append(raws, byte(b2i(k == 0)*n))
				}
				i += n
				continue
			}
			c = byte(r)
		}
		out, raws = append(out, c), append(raws, byte(n))
		i += n
	}
	return string(out), raws
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// escape is the character that an escape stands for, and how long the escape is.
func escape(s string) (rune, int) {
	switch c := s[1]; {
	case c == 'n':
		return '\n', 2
	case c == 't':
		return '\t', 2
	case c == 'r':
		return '\r', 2
	case c == 'b' || c == 'f':
		return ' ', 2
	case c >= '0' && c <= '7':
		return number36(s, 1, 8, 3)
	case c == 'x':
		return number36(s, 2, 16, 2)
	case c == 'u':
		return number36(s, 2, 16, 4)
	case c == 'U':
		return number36(s, 2, 16, 8)
	default:
		return rune(c), 2
	}
}

// number36 reads at most so many digits that begin at byte at.
func number36(s string, at, base, most int) (rune, int) {
	end := at
	for end < len(s) && end-at < most {
		if _, err := strconv.ParseUint(s[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	n, err := strconv.ParseUint(s[at:end], base, 31)
	if err != nil {
		return rune(s[1]), 2
	}
	if n >= utf8.RuneSelf && base == 8 || n >= utf8.RuneSelf && most == 2 {
		return '?', end // a byte of a character
	}
	return rune(n), end
}
