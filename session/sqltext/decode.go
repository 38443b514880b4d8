package sqltext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decode gives what the content of a literal means, and, unless each byte is itself, how many bytes of
// the literal each byte stands for.
func decode(content string, q quoting, w wide) (s string, raws []byte) {
	if q.mark == 0 || !strings.ContainsFunc(content, func(c rune) bool {
		return c == rune(q.mark) || q.escapes && c == '\\' || q.point != 0 && c == rune(q.point)
	}) {
		return content, nil
	}
	out := make([]byte, 0, len(content))
	raws = make([]byte, 0, len(content))
	for i := 0; i < len(content); {
		c, n := content[i], 1
		var meant rune // what an escape stands for
		switch {
		case c == q.mark && !q.single && i+1 < len(content):
			n = 2
		case c == '\\' && q.escapes && i+1 < len(content):
			meant, n = escape(content[i:])
		case c == q.point && q.point != 0 && i+1 < len(content):
			meant, n = codePoint(content[i:], q.point)
		case c >= utf8.RuneSelf:
			for range min(w.step(content, i), len(content)-i) {
				out, raws = append(out, content[i]), append(raws, 1)
				i++
			}
			continue
		}
		before := len(out)
		if meant != 0 {
			out = utf8.AppendRune(out, meant)
		} else {
			out = append(out, c)
		}
		for k := range len(out) - before {
			raws = append(raws, byte(b2i(k == 0)*n))
		}
		i += n
	}
	return string(out), raws
}

// codePoint is the character that an escape of U&'…' stands for, and how long the escape is.
func codePoint(s string, point byte) (rune, int) {
	switch {
	case s[1] == point:
		return rune(point), 2
	case s[1] == '+':
		return number36(s, 2, 16, 6)
	}
	return number36(s, 1, 16, 4)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// escape is the character that an escape stands for, and how long the escape is.
func escape(s string) (rune, int) {
	switch c := s[1]; {
	case c == 'n':
		return '\n', 2
	case c == 't':
		return '\t', 2
	case c == 'r':
		return '\r', 2
	case c == 'b' || c == 'f':
		return ' ', 2
	case c >= '0' && c <= '7':
		return number36(s, 1, 8, 3)
	case c == 'x':
		return number36(s, 2, 16, 2)
	case c == 'u':
		return number36(s, 2, 16, 4)
	case c == 'U':
		return number36(s, 2, 16, 8)
	default:
		return rune(c), 2
	}
}

// number36 reads at most so many digits that begin at byte at.
func number36(s string, at, base, most int) (rune, int) {
	end := at
	for end < len(s) && end-at < most {
		if _, err := strconv.ParseUint(s[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	n, err := strconv.ParseUint(s[at:end], base, 31)
	if err != nil {
		return rune(s[1]), 2
	}
	if n >= utf8.RuneSelf && base == 8 || n >= utf8.RuneSelf && most == 2 {
		return '?', end // a byte of a character
	}
	return rune(n), end
}
