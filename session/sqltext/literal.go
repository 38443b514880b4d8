package sqltext

import "strings"

// What becomes of literals.

// readLiteral takes in a literal, or a piece of one.
func (r *reader) readLiteral(t token) {
	if !t.resumed {
		r.beginLiteral(t)
		r.emit(t.open, code, shown)
	}
	content := t.content()
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
		s, raws := decode(content, r.quoting, r.wide)
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
	f := r.frame()
	r.quoting = r.quotingOf(t)
	content, _ := decode(t.content(), r.quoting, r.wide)
	r.closed, r.columns = false, false
	r.statement.executes = notExecuting
	// of what goes on with another literal, nothing is the beginning
	r.held, r.text = "", plainText{begun: r.before == "|" || r.last == literal}
	if r.before == "language" && r.language == "" {
		r.language = strings.ToLower(content)
	}
	switch {
	case (t.partial && r.quoting.point != 0 || r.quoting.point == unknownPoint) && !r.isPassword():
		r.treat = asIs // what its escapes are is told behind it
	case r.isBody():
		r.beginBody(t)
	case r.isPassword():
		r.treat = asSecret
	case r.before == "uescape":
		r.treat = asIs
	case r.isPerhapsSecret(content):
		if r.treat = asPlain; f.named && f.goesOn {
			r.text = plainText{begun: true, format: f.format, goesOn: true, starts: true}
		}
	case r.isSecretHere() || r.isSecretBehind():
		r.treat = asValue
		switch {
		case f.named && r.child != nil && (r.before == "|" || r.last == literal): // it continues SQL
			if r.treat, r.text = asPlain, (plainText{goesOn: true, starts: true}); strings.ContainsAny(content, "';") {
				r.beginSQL(t, false)
				r.child.frame().expect()
			}
		case beginsStatement(content):
			r.beginSQL(t, false)
		case t.partial:
			r.treat, r.text = asPlain, plainText{words: true}
		case r.level > 0 && !r.body && mayDoSomething(content):
			r.treat = asPlain // what is taken for a literal in a literal may be what stands between two of them
		}
	case !t.partial && r.names.isKey(content):
		r.treat = asIs
		f.expect()
		f.comma = true
	case r.names.suspect(content, 0) < 0 && !t.partial:
		r.treat = asIs
	case r.before == "program": // COPY … FROM PROGRAM
		r.treat, r.text.shell = asPlain, true
	case beginsStatement(content):
		r.beginSQL(t, false)
	default:
		r.treat = asPlain
	}
}

// quotingOf is how a literal is written. UESCAPE behind it may name another character for its escapes.
func (r *reader) quotingOf(t token) quoting {
	q := t.quote
	if q.point == 0 || t.partial {
		return q
	}
	ahead := r.lexer
	named := false
	for range maxContinued {
		t, more := ahead.next()
		switch {
		case !more:
			return q
		case t.kind == space, t.kind == comment, !named && t.kind == literal:
		case named && t.kind == literal:
			if c := t.content(); len(c) == 1 {
				q.point = c[0]
			}
			return q
		case t.kind == word && strings.EqualFold(t.text, "uescape"):
			named = true
		default:
			return q
		}
	}
	q.point = unknownPoint
	return q
}

const (
	// maxContinued is how many tokens behind U&'…' are looked at for its UESCAPE: literals that go on with it, and spaces.
	maxContinued = 16
	// unknownPoint stands for a character that is told too far behind, or not at all.
	unknownPoint = 0xff
)

// isPerhapsSecret tells whether a literal may hold no secret, or more than one: all that tells of one is that it goes on with a
// literal that ends with the name of a secret, or that one is put into a text from elsewhere in the statement, and
// this one holds what may be code.
func (r *reader) isPerhapsSecret(content string) bool {
	f := r.frame()
	all, goesOn := r.statement.all, f.named && f.goesOn
	if !all && !goesOn || all && !mayDoSomething(content) {
		return false
	}
	r.statement.all, f.named = false, f.named && !goesOn
	secret := r.isSecretHere() || r.isSecretBehind()
	r.statement.all, f.named = all, f.named || goesOn
	return !secret
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
	if !r.looked || t.partial {
		r.looked, r.behind = true, r.languageBehind(t)
	}
	return r.behind
}

// languageBehind looks for the language in what stands behind the literal, up to the end of the statement.
func (r *reader) languageBehind(t token) string {
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
		lexer: lexer{reading: reading{backslashes: r.bodies, oldNumbers: r.oldNumbers, wide: r.wide}}, findings: r.findings,
		level: r.level + 1, quoted: r.quoted || t.quote.mark == '\'', body: body, bodies: r.bodies,
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
		if r.child.expects {
			r.frame().expect()
		}
		r.statement.all = r.statement.all || r.child.elsewhere
	case asPlain:
		r.plain("", true)
	case asCode:
		r.foreign("", true)
	}
	r.treat = asIs
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
