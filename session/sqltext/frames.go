package sqltext

import (
	"slices"
	"strings"
)

// What parentheses, lists and the ends of statements tell a reader.

// frame is what is known between two parentheses or brackets.
type frame struct {
	shut    string // what ends it
	group   bool   // it holds an expression, and no arguments
	all     bool   // every value in it is secret
	from    int    // of a function's arguments, the first secret one; -1: none
	arg     int    // which it is
	execute Params // arguments of an EXECUTE; nil: none
	unknown bool   // they are of a statement that is not known
	options bool   // OPTIONS (…)

	named   bool   // the name of a secret has come, and what follows is its value,
	goesOn  bool   // in a literal that goes on with the one in which the name stands,
	format  format // and begins so
	comma   bool   // after one comma: the name was a literal
	between bool
	cases   int
	names   bool // a name of a secret stood in it

	insert insertion
	list   bool  // it is the list of an INSERT's columns
	secret []int // which of them are secret
	row    bool  // it is a row of VALUES
}

// insertion is how far an INSERT is.
type insertion byte

const (
	noInsert   insertion = iota
	listToCome           // its columns
	rowsToCome           // one of them is secret
	inRows               // VALUES
	inQuery              // SELECT
)

// expect: the name of a secret has come.
func (f *frame) expect() { f.named, f.goesOn = true, false }

// expectRest: it has come at the end of a literal of that format.
func (f *frame) expectRest(of format) { f.named, f.goesOn, f.format = true, true, of }

// inserting follows INSERT, in which the names of columns stand apart from their values.
func (r *reader) inserting(f *frame, w string) {
	switch {
	case w == "insert":
		f.insert, f.secret = listToCome, nil
	case f.list && f.arg == 0 && (w == "select" || w == "with" || w == "values" || w == "table"):
		f.list = false
		r.frames[len(r.frames)-2].insert = noInsert
	case f.insert == rowsToCome && w == "values":
		f.insert = inRows
	case f.insert == rowsToCome && (w == "select" || w == "with" || w == "table"):
		f.insert, f.all = inQuery, true
	case f.insert == listToCome && (w == "values" || w == "select" || w == "with" || w == "default"):
		f.insert = noInsert
	case f.insert >= rowsToCome && (w == "returning" || w == "conflict" && r.before == "on"):
		f.insert, f.all = noInsert, len(r.frames) > 1 && r.frames[len(r.frames)-2].all
	}
}

// opened begins what stands in parentheses. What it is, is told by what stood before.
func (r *reader) opened(f *frame, shut string) {
	if len(r.frames) >= deepest {
		r.deeper++
		return
	}
	in := frame{shut: shut, from: -1, all: r.isSecretHere() || r.columns}
	in.group = shut == ")" && r.last != quoted && (r.last != word || beforeGroup[r.before])
	r.columns = false
	named := shut == ")" && (r.last == word || r.last == quoted)
	switch {
	case r.statement.executes == argumentsToCome && shut == ")":
		r.executing(&in)
	case f.insert == listToCome && shut == ")" && r.before != "into":
		in.list, in.all = true, false
	case f.insert == inRows:
		in.row, in.secret = r.before == "values" || r.before == ",", f.secret
		in.all = in.all || !in.row
	case f.insert == rowsToCome:
		f.insert, f.all, in.all = inQuery, true, true
	case named && r.names.isSecret(r.before):
		f.named = r.unnamed
		in.all = f.all || f.named || !isRelation[r.earlier] && !r.relation()
	case named && r.before == "options":
		in.options = true
		in.all = false
		f.named = false
	case named:
		if from, known := secretFunctions[r.before]; known && !isRelation[r.earlier] {
			in.from = from
		}
	}
	r.frames = append(r.frames, in)
}

// beforeGroup are words after which a parenthesis begins an expression.
var beforeGroup = set("select", "distinct", "all", "where", "having", "on", "and", "or", "not", "case", "when", "then", "else", "return",
	"returning", "by", "limit", "offset")

// isRelation are words after which a name and a parenthesis are no call.
var isRelation = set("into", "table", "exists", "references", "view", "copy", "function", "procedure", "type", "update", "aggregate",
	"index", "truncate")

// relation tells whether the statement makes or changes a table or the like, in which names are those of columns.
func (r *reader) relation() bool {
	return len(r.words) > 0 && (r.words[0] == "grant" || r.words[0] == "revoke" || r.words[0] == "copy")
}

func (r *reader) executing(in *frame) {
	found := false
	name := NameKey(r.before)
	for _, p := range r.prepared {
		if p.Name == name {
			found = true
			in.execute = in.execute.Or(p.Params)
		}
	}
	known := len(r.prepared) < mostPrepared
	if r.findings.executes != nil {
		var params Params
		params, known = r.findings.executes(r.before)
		in.execute = in.execute.Or(params)
	}
	in.unknown = !known && !found
}

func (r *reader) shut(p string) {
	if r.deeper > 0 {
		r.deeper--
		return
	}
	in := r.frame()
	if len(r.frames) == 1 || in.shut != p {
		return
	}
	r.frames = r.frames[:len(r.frames)-1]
	f := r.frame()
	switch {
	case in.list && len(in.secret) > 0:
		f.insert, f.secret = rowsToCome, slices.Clone(in.secret)
	case in.list:
		f.insert = noInsert
	case in.names:
		r.closed, f.names = true, true
	}
}

// statementEnds: a semicolon ends a statement, or one within parentheses or a body.
func (r *reader) statementEnds() {
	if len(r.frames) > 1 {
		f := r.frame()
		*f = frame{shut: f.shut, all: r.frames[len(r.frames)-2].all, from: -1}
		return
	}
	r.endStatement()
}

func (r *reader) endStatement() {
	if r.prepares != "" && len(r.prepared) < mostPrepared {
		r.prepared = append(r.prepared, Prepared{strings.Clone(NameKey(r.prepares)), r.statement.params})
	}
	r.statement = statement{words: r.words[:0]}
	r.frames, r.deeper = r.frames[:0], 0
}
