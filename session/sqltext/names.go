package sqltext

import (
	"slices"
	"strings"
)

// Names know which names are those of secrets. A nil *Names knows the built-in ones. It is safe for
// concurrent use.
type Names struct {
	added  []string   // lower case
	byByte [][]string // what begins with such a byte, in lower case

	// Of the first two bytes of a name, five bits each, which thirds there are: letters of both cases
	// have the same five bits.
	thirds [1 << 10]uint32
}

// ShortestName is the length of the shortest name that can be added.
const ShortestName = 3

// NewNames gives the built-in names and those that an operator adds. An added name is that of a secret
// if it is all of a name or a part of it between underscores. It has at least ShortestName bytes.
func NewNames(added []string) *Names {
	n := &Names{byByte: make([][]string, 256)}
	for _, name := range added {
		n.added = append(n.added, strings.ToLower(name))
	}
	functions := make([]string, 0, len(secretFunctions))
	for name := range secretFunctions {
		functions = append(functions, name)
	}
	slices.Sort(functions)
	for _, name := range slices.Concat(secretFragments, secretParts, secretSettings, n.added, functions, []string{"://", "bearer "}) {
		first := name[0]
		n.byByte[first] = append(n.byByte[first], name)
		n.thirds[pair(name)] |= 1 << (name[2] & 31)
	}
	return n
}

func pair(s string) int { return int(s[0]&31)<<5 | int(s[1]&31) }

var builtIn = NewNames(nil)

func (n *Names) orBuiltIn() *Names {
	if n == nil {
		return builtIn
	}
	return n
}

// suspect is where the first word begins, from byte at on, that may name a secret, or the :// of a URL;
// else -1. It is a quick look that clears most texts.
func (n *Names) suspect(text string, at int) int {
	for i := at; i+2 < len(text); i++ {
		if n.thirds[pair(text[i:])]>>(text[i+2]&31)&1 == 1 && n.begun(text[i:]) {
			return i
		}
	}
	return -1
}

func (n *Names) begun(text string) bool {
	for _, name := range n.byByte[lower(text[0])] {
		if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | ' '
	}
	return c
}

// isSecret tells whether a name is that of a secret. It is in lower case.
func (n *Names) isSecret(name string) bool {
	for _, part := range n.added {
		if hasPart(name, part) {
			return true
		}
	}
	if slices.ContainsFunc(plainEndings, func(ending string) bool { return strings.HasSuffix(name, ending) }) {
		return false
	}
	return slices.ContainsFunc(secretFragments, func(f string) bool { return strings.Contains(name, f) }) ||
		slices.ContainsFunc(secretParts, func(part string) bool { return hasPart(name, part) })
}

// hasPart tells whether part is all of name, or stands in it between underscores or its ends.
func hasPart(name, part string) bool {
	for from := 0; ; {
		at := strings.Index(name[from:], part)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(part)
		if (at == 0 || !isWordByte(name[at-1])) && (end == len(name) || !isWordByte(name[end])) {
			return true
		}
		from = at + 1
	}
}

func isWordByte(c byte) bool { return isWordStart(c) && c != '_' || isDigit(c) }

// isKey tells whether a literal is nothing but the name of a secret, as the first argument of
// set_config('app.password', …) is, or a path such as '{login,password}'.
func (n *Names) isKey(content string) bool {
	if len(content) == 0 || len(content) > 64 {
		return false
	}
	for i := range len(content) {
		if c := content[i]; !isWordStart(c) && !isDigit(c) && strings.IndexByte(".-{},\"$", c) < 0 {
			return false
		}
	}
	name := strings.ToLower(content)
	if slices.Contains(secretSettings, name) {
		return true
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return strings.ContainsRune(".{},\"$", r) }) {
		if n.isSecret(strings.ReplaceAll(part, "-", "_")) {
			return true
		}
	}
	return false
}
