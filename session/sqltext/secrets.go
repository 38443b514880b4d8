package sqltext

import "strings"

// Where secrets begin in what is no SQL: connection strings, JSON, URLs, and what only looks like SQL.

// secretsIn calls hide for each secret in what nothing runs, such as a comment or a value: what follows the name of a
// secret in the manner of a connection string, of JSON or of SQL, the password of a URL, and what follows Bearer. A secret
// is taken to end where all does, since where it ends depends on who reads it; but not if a statement stands
// behind it.
func (n *Names) secretsIn(content string, hide func(from, to int)) {
	code := unknown // where the last statement in it begins
	for at := n.suspect(content, 0); at >= 0; at = n.suspect(content, at) {
		from, url := n.valueBehind(content, at)
		if from < 0 {
			at++
			continue
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
		if to > from {
			hide(from, to)
		}
		at = max(to, at+1)
	}
}

// unknown is a place that was not looked for yet.
const unknown = -2

// firstWord is s up to the first space, quote or beginning of a comment, or as much as a URL has before its host.
func firstWord(s string) string {
	s = s[:min(len(s), 1024)]
	for i := range len(s) {
		if isSpace(s[i]) || s[i] == '\'' || s[i] == '"' || isRemark(s[i:]) {
			return s[:i]
		}
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
