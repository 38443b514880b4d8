package sqltext

import "strings"

// The name of a secret that stands behind its value: 'x' = u.password, 'x' AS token, 'x'::text token, SELECT 'x' INTO password.

const (
	furthestName = 256 // bytes behind a literal in which its name is looked for
	mostBehind   = 32  // tokens
)

// behindValue reads what stands behind a literal, up to a name that is given to it.
type behindValue struct {
	reader *reader
	depth  int // parentheses around the literal that have ended

	joined  bool // || has come: a value follows that is put together with the literal
	casting bool // :: or COLLATE has come: a type or collation follows,
	cast    bool // or has just come,
	within  bool // and what stands in its parentheses

	given bool // an operator, AS or INTO has come
	name  string
}

// isSecretBehind tells whether the name of a secret stands behind the value that begins here.
func (r *reader) isSecretBehind() bool {
	near := r.rest[:min(len(r.rest), furthestName)]
	if next := strings.TrimLeft(near, " "); next == "" || strings.IndexByte(",;]", next[0]) >= 0 || r.names.suspect(near, 0) < 0 {
		return false // as mostly
	}
	ahead := r.lexer
	b := behindValue{reader: r}
	for range mostBehind {
		t, more := ahead.next()
		if !more || t.partial || len(r.rest)-len(ahead.rest) > 4*furthestName {
			break
		}
		if t.kind == space || t.kind == comment {
			continue
		}
		if !b.take(t) {
			break
		}
	}
	return b.name != "" && r.names.isSecret(b.name) && !r.comments()
}

// take takes in a token, and tells whether to go on.
func (b *behindValue) take(t token) bool {
	text := lowerName(t.text)
	if t.kind == quoted {
		text = lowerName(t.content())
	}
	if b.given {
		return b.takeName(t.kind, text)
	}
	isName := t.kind == word || t.kind == quoted
	switch {
	case t.kind == other:
		return b.takeOperator(text)
	case b.within && t.kind == number:
	case b.casting && isName:
		b.casting, b.cast = false, true
	case b.joined:
		b.joined = false
	case t.kind == word && text == "collate":
		b.casting, b.cast = true, false
	case t.kind == word && (text == "as" || text == "into"):
		b.given = true
	case b.cast && t.kind == word && typeWords[text]:
	case isName && !b.reader.setsRole(): // AS may be left out
		b.given = true
		return b.takeName(t.kind, text)
	default:
		return false
	}
	return true
}

// typeWords are the further words of types.
var typeWords = set("varying", "precision", "with", "without", "time", "zone")

// takeOperator takes in a character of an operator, or punctuation, before the name.
func (b *behindValue) takeOperator(c string) bool {
	frames := b.reader.frames
	switch {
	case b.within:
		b.within = c != ")"
	case strings.Contains("=<>!", c):
		b.given = true
	case c == "|":
		b.joined, b.cast = true, false
	case c == ":":
		b.casting, b.cast = true, false
	case b.cast && c == ".":
		b.casting, b.cast = true, false
	case b.cast && c == "(":
		b.within = true
	case b.cast && (c == "[" || c == "]"):
	case c == ")" && b.depth < len(frames) && frames[len(frames)-1-b.depth].group:
		b.depth++
		b.cast = false
	default:
		return false
	}
	return true
}

// takeName takes in a part of the name, or what may stand before it.
func (b *behindValue) takeName(k kind, text string) bool {
	switch {
	case b.name == "" && k == other && strings.Contains("=>(", text): // of <>, >=
	case b.name == "" && k == word && text == "strict": // INTO STRICT
	case b.name == "" && (k == word || k == quoted):
		b.name = text
	case b.name != "" && text == "." && k == other:
		b.name = ""
	default:
		return false
	}
	return true
}

// setsRole tells whether the statement is one whose words stand beside values without being their names.
func (r *reader) setsRole() bool {
	w := r.words
	return len(w) > 1 && (w[0] == "create" || w[0] == "alter") && (w[1] == "role" || w[1] == "user" || w[1] == "group") ||
		len(w) > 0 && w[0] == "copy"
}
