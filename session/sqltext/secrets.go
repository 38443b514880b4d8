package sqltext

import "strings"

// Secrets in what is no SQL: connection strings, JSON, URLs, and what only looks like SQL.

// secretsIn calls hide for each secret in the content of a literal or comment, or in a value: what
// follows the name of a secret in the manner of a connection string, of JSON or of SQL, the password
// of a URL, and what follows Bearer. A secret is taken to end where the content does, since where it
// ends depends on who reads it; but not if a statement stands behind it, or the end of a comment in which the
// name stands: code is not masked. escapes says that a backslash is one. open says
// that the content ends where a value would begin.
func (n *Names) secretsIn(content string, escapes bool, hide func(from, to int)) (open bool) {
	comments := comments{all: content, escapes: escapes, lexer: lexer{rest: content}, escape: -1}
	code := unknown // where the last statement in it begins
	for at := 0; ; {
		at = n.suspect(content, at)
		if at < 0 {
			return false
		}
		from, url := n.valueBehind(content, at)
		switch {
		case from < 0:
			at++
			continue
		case from == len(content):
			return true
		}
		if code == unknown && !url {
			code = lastStatement(content, searchedWithin)
		}
		to := len(content)
		switch {
		case url:
			to = from + strings.LastIndexByte(firstWord(content[from:]), '@')
		case code >= from:
			to = from + valueEnd(content[from:])
		}
		to = min(to, comments.endAt(at))
		if to > from {
			hide(from, to)
		}
		at = max(to, at+1)
	}
}

// comments finds where comments of SQL end. What stands behind one is no value of a name in it, but may be code,
// whatever it begins with.
type comments struct {
	all     string
	escapes bool // a backslash may stand for the end of a comment
	lexer   lexer
	until   int // up to here the end is known
	end     int
	remark  bool // it is that of a comment
	escape  int  // the next backslash
}

// endAt is where the comment ends that byte at stands in, else the end of all. The next call is for a later byte.
func (c *comments) endAt(at int) int {
	for c.until <= at {
		t, more := c.lexer.next()
		if !more {
			return len(c.all)
		}
		c.until, c.end = len(c.all)-len(c.lexer.rest), len(c.all)
		switch {
		case t.kind != comment:
		case strings.HasPrefix(t.text, "--"):
			c.end = c.until
		case strings.HasSuffix(t.text, "*/"):
			c.end = c.until - len("*/")
		default: // it has no end: one of its beginnings may be none, in a literal that is read in another way
			from := max(at, c.until-len(t.text))
			if end := strings.Index(c.all[from:], "*/"); end >= 0 {
				c.end = from + end
				c.until = c.end + len("*/")
				c.lexer.rest = c.all[c.until:]
			}
		}
		c.remark = t.kind == comment
	}
	if c.remark && c.escapes {
		return min(c.end, c.escapeBehind(at))
	}
	return c.end
}

// escapeBehind is where the next backslash stands.
func (c *comments) escapeBehind(at int) int {
	if c.escape < at {
		c.escape = len(c.all)
		if i := strings.IndexByte(c.all[at:], '\\'); i >= 0 {
			c.escape = at + i
		}
	}
	return c.escape
}

// unknown is a place that was not looked for yet.
const unknown = -2

// firstWord is s up to the first space, or as much as a URL has before its host.
func firstWord(s string) string {
	s = s[:min(len(s), 1024)]
	if end := strings.IndexAny(s, " \t\r\n"); end >= 0 {
		return s[:end]
	}
	return s
}

// valueBehind is where the value begins of the name that stands at byte at, -1 if none follows.
func (n *Names) valueBehind(s string, at int) (from int, url bool) {
	if strings.HasPrefix(s[at:], "://") {
		return passwordInURL(s, at+len("://")), true
	}
	if len(s)-at > 7 && strings.EqualFold(s[at:at+7], "bearer ") {
		return at + 7, false
	}
	begin := at
	for begin > 0 && at-begin < 64 && isNameByte(s[begin-1]) {
		begin--
	}
	end := at
	for end < len(s) && end-at < 64 && isNameByte(s[end]) {
		end++
	}
	if name := strings.ToLower(s[begin:end]); !n.isSecret(strings.ReplaceAll(name, "-", "_")) && !n.isKey(name) {
		return -1, false
	}
	i := skip(s, end, `"'\`)
	spaced := skip(s, i, " \t\r\n")
	rest := s[spaced:]
	switch {
	case strings.HasPrefix(rest, "=>"), strings.HasPrefix(rest, ":="):
		return skip(s, spaced+2, " \t\r\n"), false
	case rest != "" && (rest[0] == '=' || rest[0] == ':'):
		return skip(s, spaced+1, " \t\r\n"), false
	case len(rest) > 2 && spaced > i && strings.EqualFold(rest[:2], "to") && isSpace(rest[2]):
		return skip(s, spaced+2, " \t\r\n"), false
	case rest != "" && spaced > i && strings.IndexByte(`"'\$%`, rest[0]) >= 0, // PASSWORD 'x', also escaped; %L of format
		len(rest) > 2 && spaced > i && rest[1] == '\'' && rest[0]|' ' == 'e':
		return spaced, false
	}
	return -1, false
}

func isNameByte(c byte) bool { return isWordStart(c) || isDigit(c) || c == '-' || c == '$' }

func skip(s string, i int, these string) int {
	for i < len(s) && strings.IndexByte(these, s[i]) >= 0 {
		i++
	}
	return i
}

// passwordInURL is where the password begins in what follows the :// of a URL, as in user:password@host;
// -1 if there is none.
func passwordInURL(s string, at int) int {
	for i := at; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			if behind := strings.LastIndexByte(firstWord(s[i+1:]), '@'); behind > 0 {
				return i + 1
			}
			return -1
		case c == '/' || c == '@' || isSpace(c):
			return -1
		}
	}
	return -1
}

// valueEnd is where a value ends that code follows: at its closing quote, or where one word does.
func valueEnd(s string) int {
	i := skip(s, 0, `"'\ `)
	for i < len(s) && strings.IndexByte("\"'\\ \t\r\n;,)}&", s[i]) < 0 {
		i++
	}
	return i
}

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

// isStatement tells whether the tokens that come begin as a statement does: a command's word, and what
// it needs beside it, so that a passphrase that begins with "drop" is none. What is too long to tell is one: spaces and
// comments do not count, and no list of columns hides what comes behind it.
func isStatement(l lexer) bool {
	first, more := l.next()
	if !more || first.kind != word {
		return false
	}
	needs, known := commands[strings.ToLower(first.text)]
	if !known {
		return false
	}
	for i := 0; i < 60; {
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

// commands are the words that statements begin with, and what has to come: next, or later.
var commands = map[string][]string{
	"select": {"later", "(", "from", "*", "into"}, "insert": {"next", "into"}, "delete": {"next", "from"}, "merge": {"next", "into"}, "update": {"later", "set"},
	"truncate": {}, "with": {"later", "as"}, "values": {"next", "("},
	"create": {"next", "table", "or", "role", "user", "group", "function", "procedure", "trigger", "view", "schema", "extension", "temp", "temporary", "unlogged", "index", "unique",
		"type", "domain", "rule", "sequence", "server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database", "aggregate", "operator", "cast", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "access", "transform", "trusted", "procedural", "recursive", "constraint", "global", "local"},
	"drop": {"next", "table", "role", "user", "group", "function", "procedure", "routine", "trigger", "view", "schema", "extension", "index", "type", "domain", "rule", "sequence",
		"server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database", "aggregate", "operator", "cast", "owned", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "access", "transform", "procedural"},
	"alter": {"next", "table", "role", "user", "group", "function", "procedure", "routine", "trigger", "view", "schema", "extension", "index", "type", "domain", "rule", "sequence",
		"server", "subscription", "publication", "foreign", "materialized", "event", "policy", "database", "system", "default", "aggregate", "operator", "language",
		"collation", "conversion", "text", "tablespace", "statistics", "large", "procedural"},
	"grant": {"later", "to", "on"}, "revoke": {"later", "from", "on"}, "copy": {"later", "from", "to"}, "call": {"later", "("}, "do": {"next", "'", "language"},
	"set":     {"later", "=", "to", "role", "authorization", "constraints", "transaction"},
	"explain": {"later", "select", "insert", "update", "delete", "with", "execute", "merge"}, "execute": {}, "perform": {"later", "("},
	"prepare": {"later", "as"}, "lock": {"next", "table", "only"}, "reassign": {"next", "owned"}, "import": {"next", "foreign"},
	"comment": {"next", "on"}, "security": {"next", "label"}, "refresh": {"next", "materialized"},
	"reindex": {"next", "table", "index", "schema", "database", "system", "("}, "discard": {"next", "all", "plans", "sequences", "temp", "temporary"},
	"reset": {"next", "role", "session", "all"}, "declare": {"later", "cursor"},
}
