// Patterns of names, as psql's \d takes them.

package prompt

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// namePattern holds regular expressions for PostgreSQL, "" for any.
type namePattern struct {
	text         string // as typed
	schema, name string
}

// parsePattern folds to lower case outside double quotes, turns * into .* and ? into ., and splits at a
// dot. What else means something in a regular expression stands for itself.
func parsePattern(text string) (namePattern, bool) {
	if !utf8.ValidString(text) {
		return namePattern{}, false
	}
	p := namePattern{text: text}
	var part strings.Builder
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		i += size
		switch c {
		case '"':
			name, rest, ok := quotedName(text[i-1:])
			if !ok {
				return namePattern{}, false
			}
			part.WriteString(regexp.QuoteMeta(name))
			i = len(text) - len(rest)
		case '.':
			if p.schema != "" || part.Len() == 0 {
				return namePattern{}, false
			}
			p.schema = "^(" + part.String() + ")$"
			part.Reset()
		case '*':
			part.WriteString(".*")
		case '?':
			part.WriteByte('.')
		case ' ':
			return namePattern{}, false
		default:
			part.WriteString(regexp.QuoteMeta(strings.ToLower(string(c))))
		}
	}
	if part.Len() > 0 {
		p.name = "^(" + part.String() + ")$"
	}
	return p, text == "" || p.name != ""
}
