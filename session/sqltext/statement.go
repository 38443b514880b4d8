package sqltext

import "strings"

// What begins as a statement does.

// searchedWithin is how deep literals and comments in what is searched for statements are searched too.
const searchedWithin = 2

// lastStatement is where the last statement in s seems to begin, or what it stands in: that would be
// code. -1 if there is none.
func lastStatement(s string, within int) (at int) {
	at = -1
	l := lexer{rest: s}
	for {
		here := len(s) - len(l.rest)
		if isStatement(l) {
			at = here
		}
		t, more := l.next()
		if !more {
			return at
		}
		switch t.kind {
		case literal, quoted, comment:
			if within > 0 && strings.IndexByte(t.text, ' ') > 0 && lastStatement(inner(t), within-1) >= 0 {
				at = here
			}
		}
	}
}

// inner is what stands in a literal, a quoted name or a comment.
func inner(t token) string {
	if t.kind == comment {
		return t.text[2:]
	}
	return t.content()
}

// beginsStatement tells whether s is SQL that something may run: it begins as a statement does, or what
// stands behind one of its semicolons.
func beginsStatement(s string) bool {
	l := lexer{rest: s}
	for begins := true; ; {
		if begins && isStatement(l) {
			return true
		}
		t, more := l.next()
		switch {
		case !more:
			return false
		case t.kind == space, t.kind == comment, t.text == "(":
		default:
			begins = t.text == ";"
		}
	}
}

// mostTokens are looked at to see whether something is a statement.
const mostTokens = 60

// isStatement tells whether the tokens that come begin as a statement does: a command's word, and what
// it needs beside it, so that a passphrase that begins with "drop" is none. What is too long to tell is one: spaces and
// comments do not count, and no list of columns hides what comes behind it.
func isStatement(l lexer) bool {
	first, more := l.next()
	if !more || first.kind != word {
		return false
	}
	needs, known := statements[strings.ToLower(first.text)]
	if !known {
		return isShortStatement(l, strings.ToLower(first.text))
	}
	for i := 0; i < mostTokens; {
		t, more := l.next()
		switch {
		case !more:
			return false
		case t.kind == space, t.kind == comment:
			continue
		case len(needs) == 0:
			return true
		}
		i++
		text := strings.ToLower(t.text)
		for _, need := range needs[1:] {
			if text == need || need == "'" && t.kind == literal {
				return true
			}
		}
		if needs[0] == "next" || text == ";" {
			return false
		}
	}
	return true
}

// statements are the words that statements begin with, and what has to come: next, or later.
var statements = map[string][]string{
	"select": {"later", "(", "from", "*", "into"}, "insert": {"next", "into"}, "delete": {"next", "from"}, "merge": {"next", "into"},
	"update":   {"later", "set"},
	"truncate": {}, "with": {"later", "as"}, "values": {"next", "("},
	"create": {"next", "table", "or", "role", "user", "group", "function", "procedure", "trigger", "view", "schema", "extension", "temp",
		"temporary", "unlogged", "index", "unique",
		"type", "domain", "rule", "sequence", "server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database",
		"aggregate", "operator", "cast", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "access", "transform", "trusted", "procedural", "recursive", "constraint",
		"global", "local", "default"},
	"drop": {"next", "table", "role", "user", "group", "function", "procedure", "routine", "trigger", "view", "schema", "extension", "index",
		"type", "domain", "rule", "sequence",
		"server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database", "aggregate", "operator", "cast",
		"owned", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "access", "transform", "procedural"},
	"alter": {"next", "table", "role", "user", "group", "function", "procedure", "routine", "trigger", "view", "schema", "extension", "index",
		"type", "domain", "rule", "sequence",
		"server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database", "system", "default", "aggregate",
		"operator", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "large", "procedural"},
	"grant": {"later", "to", "on"}, "revoke": {"later", "from", "on"}, "copy": {"later", "from", "to"}, "call": {"later", "("},
	"do":  {"next", "'", "language"},
	"set": {"later", "=", "to", "role", "authorization", "constraints", "transaction", "zone", "characteristics"},
	"explain": {"later", "select", "insert", "update", "delete", "with", "execute", "merge", "table", "values", "declare", "create",
		"refresh"}, "execute": {}, "perform": {"later", "("},
	"prepare": {"later", "as", "transaction"}, "start": {"next", "transaction"}, "reassign": {"next", "owned"}, "import": {"next", "foreign"},
	"comment": {"next", "on"}, "security": {"next", "label"}, "refresh": {"next", "materialized"},
	"reindex": {"next", "table", "index", "schema", "database", "system", "concurrently", "("},
	"discard": {"next", "all", "plans", "sequences", "temp", "temporary"},
	"declare": {"later", "cursor"}, "load": {"next", "'"},
}

// namedStatements are ordinary words: they begin a statement if one name follows, and then nothing but what may stand there.
var namedStatements = map[string]map[string]bool{
	"table": set("order", "limit", "offset", "fetch", "for", "union", "except", "intersect"), "lock": set("in", "nowait"),
	"cluster": set("using"),
	"notify":  nil, "listen": nil, "unlisten": nil, "vacuum": nil, "analyze": nil, "analyse": nil, "reset": nil, "show": nil, "close": nil,
	"fetch": set("from", "in"), "move": set("from", "in"),
	"savepoint": nil, "release": nil, "deallocate": nil,
}

// beforeNames may stand before that name.
var beforeNames = set("table", "only", "full", "freeze", "verbose", "analyze", "savepoint", "prepare")

// loneStatements need nothing, but these words may follow.
var loneStatements = map[string]map[string]bool{
	"begin": set("work", "transaction", "isolation", "read", "not", "deferrable"), "commit": set("work", "transaction", "and", "prepared"),
	"end":      set("work", "transaction", "and"),
	"rollback": set("work", "transaction", "and", "to", "prepared"), "abort": set("work", "transaction", "and"), "checkpoint": nil,
	"vacuum": nil, "analyze": nil, "analyse": nil, "cluster": nil,
}

// isShortStatement tells whether such a word, behind which l reads, begins a statement.
func isShortStatement(l lexer, first string) bool {
	behind, named := namedStatements[first]
	follows, lone := loneStatements[first]
	if !named && !lone {
		return false
	}
	nameToCome := true
	for i := 0; ; {
		t, more := l.next()
		text := strings.ToLower(t.text)
		if t.kind != space && t.kind != comment {
			i++
		}
		switch {
		case !more || text == ";" || text == ")":
			return lone || !nameToCome
		case t.kind == space, t.kind == comment:
		case i > mostTokens, text == "(", i == 1 && follows[text]:
			return true
		case !named:
			return false
		case !nameToCome && (text == "," || behind[text]):
			return true
		case text == ".":
			nameToCome, lone = true, false
		case t.kind == number, nameToCome && t.kind == word && beforeNames[text]:
		case nameToCome && (t.kind == word || t.kind == quoted || text == "*"):
			nameToCome = false
		case !nameToCome && text == "*":
		default:
			return false
		}
	}
}
