package sqltext

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Split gives the statements of a text, without the semicolons between them and the space around
// them. What holds nothing but space and comments is none, as for PostgreSQL; such comments stay with
// the statement before them, or after them if there is none: nothing that was sent is left out.
// It gives nil if that depends on settings that are not sure.
func Split(text string, s Settings) []string {
	ways := readings(text, s)
	statements := split(text, ways[0].reading)
	for _, w := range ways[1:] {
		if w.reading != ways[0].reading && !slices.Equal(split(text, w.reading), statements) {
			return nil
		}
	}
	return statements
}

func split(text string, r reading) []string {
	var statements []string
	l := lexer{rest: text, reading: r}
	var n nesting
	var p piece
	latest := 0 // where the latest statement begins
	end := func() {
		switch {
		case p.tokens:
			statements = append(statements, trim(text[p.begin:p.end]))
			latest = p.begin
		case !p.comments:
		case len(statements) == 0:
			return // they stand before the first
		default:
			statements[len(statements)-1] = trim(text[latest:p.end])
		}
		p = piece{begin: p.end + len(";"), end: p.end}
	}
	for {
		t, more := l.next()
		if !more {
			end()
			return statements
		}
		if t.kind == other && t.text == ";" && n.outside() {
			end()
			n = nesting{}
		} else {
			p.tokens = p.tokens || t.kind != space && t.kind != comment
			p.comments = p.comments || t.kind == comment
			n.see(t)
		}
		p.end += len(t.text)
	}
}

// piece is what stands between two semicolons.
type piece struct {
	begin, end       int
	tokens, comments bool
}

func trim(text string) string { return strings.Trim(text, " \t\n\v\f\r") }

// nesting knows where a semicolon ends no statement: in parentheses (the actions of a rule), and in
// the body of a routine in standard SQL, BEGIN ATOMIC … END. That END stands where a statement would
// begin, and none begins with it there; elsewhere it is that of a CASE, or a name.
type nesting struct {
	parens int
	first  []string // words of the statement, lower case, at most four
	before string   // the token before; a word in lower case
	body   bool     // in BEGIN ATOMIC … END
	begins bool     // a statement of the body may begin here
}

func (n *nesting) outside() bool { return n.parens == 0 && !n.body }

func (n *nesting) see(t token) {
	if t.kind == space || t.kind == comment {
		return
	}
	text, began := t.text, n.begins
	if t.kind == word {
		text = strings.ToLower(text)
	}
	n.begins = n.body && text == ";"
	switch {
	case text == "(":
		n.parens++
	case text == ")":
		n.parens = max(0, n.parens-1)
	case t.kind == word && n.parens == 0:
		n.word(text, began)
	}
	n.before = text
}

func (n *nesting) word(w string, began bool) {
	if len(n.first) < 4 {
		n.first = append(n.first, w)
	}
	switch {
	case n.body:
		n.body = !(began && w == "end")
	case w == "atomic" && n.before == "begin" && n.routine():
		n.body, n.begins = true, true
	}
}

// routine tells whether the statement creates a function or procedure.
func (n *nesting) routine() bool {
	f := n.first
	if len(f) < 2 || f[0] != "create" {
		return false
	}
	what := f[1]
	if len(f) > 3 && f[1] == "or" && f[2] == "replace" {
		what = f[3]
	}
	return what == "function" || what == "procedure"
}

// Words gives the first words of a text in lower case, at most so many; a quoted name is one, as it
// is written between its quotes. It ends before a name of which the server alone knows what it is in
// lower case, or without its escapes.
func Words(text string, most int) []string { return words(lexer{rest: text}, most) }

// WordsOfBeginning gives those that are whole in the beginning of a text, whatever follows it.
func WordsOfBeginning(text string, most int) []string {
	return words(lexer{rest: text, more: true}, most)
}

func words(l lexer, most int) []string {
	var words []string
	for len(words) < most {
		t, more := l.next()
		switch {
		case !more || t.partial:
			return words
		case t.kind == word && isASCII(t.text):
			words = append(words, strings.ToLower(t.text))
		case t.kind == quoted && t.open == 1:
			words = append(words, strings.ReplaceAll(t.content(), `""`, `"`))
		case t.kind != space && t.kind != comment:
			return words
		}
	}
	return words
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
