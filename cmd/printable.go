// Text from outside made safe for a terminal: what would move the cursor or hide text is escaped.

package cmd

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable escapes control characters, invisible and direction-changing ones, and bytes that are no UTF-8.
func printable(s string) string {
	return escape(s, func(r rune) bool { return unicode.IsPrint(r) })
}

// printableLines is printable for a text of ours that has line breaks.
func printableLines(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || unicode.IsPrint(r) })
}

func escape(s string, keep func(rune) bool) string {
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
