package sqltext

import (
	"slices"
	"strings"
)

// class is what a byte of a text is in one reading of it.
type class byte

const (
	code  class = iota
	value       // content of a literal, or what could be nothing else
	remark
)

// hiding is what becomes of it.
type hiding byte

const (
	shown  hiding = iota
	hidden        // masked, within its quotes
	bare          // masked, and what masks it needs quotes
)

// reader reads a text, finds what in it is secret, and says so of each byte in turn. It knows no
// grammar, but what the neighbourhood of a literal tells: see the list in contexts.go. Code is never
// hidden: a text within a literal that something may run is read as SQL itself, by a reader of its own.
type reader struct {
	lexer
	*findings
	say func(n int, c class, h hiding)

	level  int  // how deep in literals,
	quoted bool // one of which is in quotes
	body   bool // of a routine: EXECUTE in it runs a text, and is not that of SQL
	bodies bool // backslashes escape in the literals of bodies, which are read when they run

	unsaid int    // bytes of which nothing was said yet
	raws   []byte // how many bytes of the literal around it each of them stands for; nil: one

	statement
	frames []frame
	deeper int // parentheses beyond those of frames

	last     kind   // of the token before, but for space and comments; other at the beginning
	before   string // it, lower case, without quotes
	earlier  string // and what stood before it, or before the name a.b.c that it ends
	adjacent bool   // nothing stood between it and this token
	unnamed  bool   // what named was before that name

	treat   treatment // of the literal under way
	quoting quoting   // how it is written
	child   *reader
	text    plainText
	held    string

	expects   bool // the text ended where a secret would stand
	elsewhere bool // a secret of the text is put into it from elsewhere: 'password %L', 'password $1'
}

// statement is what is known of the statement under way.
type statement struct {
	words    []string // its first words, lower case, at most four
	language string   // after LANGUAGE
	looked   bool     // for it behind the first body,
	behind   string   // where this was found
	prepares string   // the name that it prepares
	params   Params   // $1 … of what it prepares that are secret
	all      bool     // the rest of its values is secret
	closed   bool     // a list with the name of a secret in it has just ended
	columns  bool     // and AS follows it
	executes executing
}

// executing is how far an EXECUTE of SQL is.
type executing byte

const (
	notExecuting executing = iota
	nameToCome
	argumentsToCome
)

// treatment is what becomes of the content of a literal.
type treatment byte

const (
	asPlain  treatment = iota // secrets in it are hidden
	asValue                   // it is hidden, unless it can be run
	asSecret                  // it is hidden
	asSQL                     // it is read as SQL
	asCode                    // it is read as code of another language
	asIs
)

const (
	deepest      = 1000 // parentheses that are told apart
	deepestLevel = 4    // literals in literals
	mostColumns  = 1664 // of an INSERT that PostgreSQL takes (MaxTupleAttributeNumber)
	mostPrepared = 1000 // PREPAREs of a text that are remembered; the values of others are hidden
)

// findings are what all readers of a text, in one reading, have found.
type findings struct {
	names    *Names
	executes func(name string) (Params, bool)
	params   Params
	prepared []Prepared
}

// Prepared is a PREPARE that stands in a text, and which parameters of the statement are secret.
type Prepared struct {
	Name   string
	Params Params
}

// clone is a reader that has read the same, and goes on in another way.
func (r *reader) clone(w ways) *reader {
	c := *r
	c.switchTo(w.reading)
	c.bodies = w.bodies
	c.words, c.statement.params = slices.Clone(r.words), slices.Clone(r.statement.params)
	found := *r.findings
	found.params, found.prepared = slices.Clone(found.params), slices.Clone(found.prepared)
	c.findings = &found
	c.inherit(r)
	return &c
}

// inherit makes c's own what it shares with r, of which it is a copy.
func (c *reader) inherit(r *reader) {
	c.raws, c.frames = slices.Clone(r.raws), slices.Clone(r.frames)
	for i := range c.frames {
		c.frames[i].secret = slices.Clone(r.frames[i].secret)
	}
	if r.child == nil {
		return
	}
	child := *r.child
	child.findings = c.findings
	child.switchTo(reading{backslashes: c.bodies, oldNumbers: c.oldNumbers, wide: c.wide})
	child.bodies = c.bodies
	child.words, child.statement.params = slices.Clone(r.child.words), slices.Clone(r.child.statement.params)
	child.say = func(n int, k class, h hiding) { c.emit(n, k, h) }
	child.inherit(r.child)
	c.child = &child
}

// write reads more of the text.
func (r *reader) write(s string, raws []byte, last bool) {
	if raws != nil || r.raws != nil {
		r.raws = append(ones(r.raws, r.unsaid), ones(raws, len(s))...)
	}
	r.unsaid += len(s)
	r.rest += s
	r.more = !last
	for last || len(r.rest) >= foresight {
		t, more := r.next()
		if !more {
			break
		}
		r.see(t)
	}
	if last {
		r.endLiteral()
		r.expects = r.frame().named && r.last != literal && r.last != parameter && r.last != number
		r.endStatement()
	}
}

// foresight is how much of a text that comes in pieces is waited for before the next token is read: what
// stands behind a literal, or in it, may decide what becomes of it.
const foresight = 4 << 10

// ones gives raws, or as many ones.
func ones(raws []byte, n int) []byte {
	if raws != nil {
		return raws
	}
	return slices.Repeat([]byte{1}, n)
}

func (r *reader) emit(n int, c class, h hiding) {
	if n == 0 {
		return
	}
	r.unsaid -= n
	if r.raws != nil {
		raw := 0
		for _, b := range r.raws[:n] {
			raw += int(b)
		}
		r.raws = r.raws[n:]
		n = raw
	}
	r.say(n, c, h)
}

func (r *reader) see(t token) {
	switch t.kind {
	case space:
		r.adjacent = false
		r.emit(len(t.text), code, shown)
		return
	case comment:
		r.adjacent = false
		r.comment(t)
		return
	case literal:
		r.readLiteral(t)
		return
	}
	if t.resumed {
		r.emit(len(t.text), code, shown)
		return
	}
	text := lowerName(t.text)
	h, c := shown, code
	f := r.frame()
	switch t.kind {
	case word:
		c = r.glued()
		if r.isBareValue(text) && r.standsAlone() {
			h = r.bare()
		}
		r.word(text)
	case quoted:
		text = lowerName(t.content())
		if !t.partial && r.isBareValue(text) { // SET takes a name for a value
			h = r.bare()
		}
		r.name(text)
	case parameter:
		r.parameter(text)
	case number:
		if len(text) >= shortestNumber && r.isSecretHere() && r.standsAlone() {
			h = r.bare()
		}
	case other:
		r.elsewhere = r.elsewhere || text == "%" && f.named && r.level > 0
		r.punctuation(text)
	}
	r.emit(len(t.text), c, h)
	r.saw(t.kind, text)
}

// bare is how a value without quotes is hidden. In quotes, more of them would end the literal around it.
func (r *reader) bare() hiding {
	if r.quoted {
		return hidden
	}
	return bare
}

// shortestNumber is how long a number has to be to be a secret: others count something.
const shortestNumber = 4

func (r *reader) saw(k kind, text string) {
	if k != other || text != "." {
		if r.before != "." {
			r.earlier = r.before
		}
	}
	r.last, r.before, r.adjacent = k, text, true
}

// glued is the class of a word: one that stands between two literals without a space may, in another
// reading, be part of a value, and cannot be code that does something.
func (r *reader) glued() class {
	if r.last == literal && r.adjacent && strings.HasPrefix(r.rest, "'") {
		return value
	}
	return code
}

// standsAlone tells whether there may be quotes around what stands here: there are none beside it.
func (r *reader) standsAlone() bool {
	return !(r.last == literal && r.adjacent) && !strings.HasPrefix(r.rest, "'")
}

func (r *reader) frame() *frame {
	if len(r.frames) == 0 {
		r.frames = append(r.frames, frame{from: -1})
	}
	return &r.frames[len(r.frames)-1]
}

// isSecretHere tells whether a value that stands here is secret.
func (r *reader) isSecretHere() bool {
	f := r.frame()
	return r.statement.all || f.all || f.named || f.from >= 0 && f.arg >= f.from || f.unknown || f.execute.Has(f.arg+1) ||
		f.row && slices.Contains(f.secret, f.arg)
}

// isBareValue: SET takes a value without quotes as well.
func (r *reader) isBareValue(text string) bool {
	if !r.frame().named || len(r.frames) != 1 || r.before != "=" && r.before != "to" || !r.sets() {
		return false
	}
	return text != "default" && text != "null" && text != "true" && text != "false"
}

// sets tells whether the statement is one that sets a setting.
func (r *reader) sets() bool {
	w := r.words
	if len(w) == 0 || r.body {
		return false
	}
	return w[0] == "set" || w[0] == "alter" && len(w) > 1 && (w[1] == "role" || w[1] == "user" || w[1] == "database" || w[1] == "system")
}

func (r *reader) word(w string) {
	if len(r.words) < 4 {
		r.words = append(r.words, w)
	}
	if w == "execute" && !r.body && (len(r.words) == 1 || r.before == "as" || r.words[0] == "explain") {
		r.statement.executes = nameToCome
		return
	}
	if r.before == "language" && r.language == "" {
		r.language = w
	}
	f := r.frame()
	if r.closed && !followsList[w] {
		r.closed = false
	}
	r.endName(f, w)
	r.inserting(f, w)
	switch {
	case r.closed && w == "as":
		r.closed, r.columns = false, true
	case r.closed:
		f.expect()
		r.closed = false
	case r.columns && w != "as" && w != "materialized" && w != "not":
		f.all, r.columns = true, false
	}
	r.name(w)
}

// followsList are the words that may follow (name, password) or lower(password) before their values.
var followsList = set("in", "not", "is", "as", "like", "ilike", "similar", "between")

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// endName: a word may end what is the value of a name.
func (r *reader) endName(f *frame, w string) {
	if !f.named {
		return
	}
	switch {
	case w == "case":
		f.cases++
	case f.cases > 0:
		if w == "end" {
			f.cases--
		}
	case w == "between":
		f.between = true
	case w == "and" && f.between:
		f.between = false
	case w == "from" && r.before == "distinct":
	case w == "set" && r.words[0] == "alter": // ALTER COLUMN password SET DEFAULT
	case endsValue[w], r.last == literal && !joins[w] && r.before != "::":
		f.named, f.comma = false, false
	}
}

var (
	endsValue = set("and", "or", "from", "where", "group", "order", "having", "limit", "offset", "fetch", "returning", "on", "set", "values",
		"select",
		"union", "intersect", "except", "join", "left", "right", "inner", "full", "cross", "natural", "using", "window", "for", "then", "when",
		"else", "end", "loop", "into", "with")
	joins = set("collate", "uescape", "operator", "at", "like", "ilike", "similar", "in", "is", "not")
)

// name takes in a keyword or name.
func (r *reader) name(n string) {
	if r.statement.executes == nameToCome {
		r.statement.executes = argumentsToCome
		return
	}
	r.statement.executes = notExecuting
	if len(r.words) <= 2 && len(r.words) > 0 && r.words[0] == "prepare" && r.prepares == "" && r.before == "prepare" {
		r.prepares = n
		return
	}
	f := r.frame()
	if r.before != "." {
		r.unnamed = f.named
	} else if !r.sets() { // of a.b, it is b that counts
		f.named = r.unnamed
	}
	if !r.names.isSecret(n) || r.comments() {
		return
	}
	f.expect()
	f.comma, f.between, f.names = false, false, true
	if f.list && len(f.secret) < mostColumns {
		f.secret = append(f.secret, f.arg)
	}
}

// comments: what COMMENT ON says of a column is no value of it.
func (r *reader) comments() bool {
	return len(r.words) > 0 && (r.words[0] == "comment" || r.words[0] == "security")
}

func (r *reader) parameter(text string) {
	if !r.isSecretHere() && !r.isSecretBehind() {
		return
	}
	if r.level > 0 && r.prepares == "" {
		r.elsewhere = r.elsewhere || !r.body
		return
	}
	n := 0
	for _, c := range text[1:] {
		if n = n*10 + int(c-'0'); n > mostParams {
			return
		}
	}
	if r.prepares != "" {
		r.statement.params = r.statement.params.with(n)
		return
	}
	r.findings.params = r.findings.params.with(n)
}

func (r *reader) punctuation(p string) {
	f := r.frame()
	if r.columns && p != "(" {
		r.columns = false
	}
	if r.closed {
		switch p {
		case "=", "<", ">", "!", "~", "|", ":", "-":
			f.expect()
		}
		r.closed = false
	}
	if strings.Contains("=<>!~|+-*/", p) {
		f.comma = false
	}
	switch p {
	case "(":
		r.opened(f, ")")
	case "[":
		r.opened(f, "]")
	case ")", "]":
		r.shut(p)
	case ",":
		f.arg++
		if f.named = f.named && (f.comma || len(r.frames) == 1 && r.sets()); f.named { // a setting may be a list
			f.comma = false
		}
		f.between, f.cases = false, 0
	case ";":
		r.statementEnds()
	}
	if p != "(" && p != "." {
		r.statement.executes = notExecuting
	}
}

// comment hides secrets in a comment, such as statements that are commented out. In a literal of which it is not
// certain that it is SQL, a comment may be code.
func (r *reader) comment(t token) {
	s, end := t.text, ""
	if !t.resumed {
		r.emit(len("--"), code, shown)
		s = s[len("--"):]
	}
	if strings.HasSuffix(s, "*/") && !t.partial {
		s, end = s[:len(s)-len("*/")], "*/"
	}
	at := 0
	hide := func(from, to int) {
		r.emit(from-at, remark, shown)
		r.emit(to-from, remark, hidden)
		at = to
	}
	if r.level == 0 || r.body {
		r.names.secretsIn(s, hide)
	} else {
		r.names.wordsIn(s, hide)
	}
	r.emit(len(s)-at, remark, shown)
	r.emit(len(end), code, shown)
}
