// Text from outside made safe for a terminal: what would move the cursor or hide text is escaped.

package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable escapes control characters, invisible and direction-changing ones, and bytes that are no UTF-8.
func Printable(s string) string {
	return Escape(s, func(r rune) bool { return unicode.IsPrint(r) })
}

// PrintableLines is Printable for a text of ours that has line breaks.
func PrintableLines(s string) string {
	return Escape(s, func(r rune) bool { return r == '\n' || unicode.IsPrint(r) })
}

// Escape writes as an escape whatever keep does not want, and bytes that are no UTF-8.
func Escape(s string, keep func(rune) bool) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !keep(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case keep(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
		}
		i += size
	}
	return b.String()
}
