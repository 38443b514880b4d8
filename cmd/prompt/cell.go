// A value on a terminal: its lines, made safe, and how wide they are.

package prompt

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

const tabStop = 8

// width is how many columns a text takes; letters of East Asia take two.
func width(text string) int { return ansi.StringWidth(text) }

// cell returns the lines of a value. What a terminal would obey is shown as an escape.
func cell(value string) []string {
	if isPlain(value) {
		return []string{value}
	}
	lines := strings.Split(value, "\n")
	for i, line := range lines {
		lines[i] = cellLine(line)
	}
	return lines
}

// isPlain is for the many values that need no work.
func isPlain(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return false
		}
	}
	return true
}

func cellLine(line string) string {
	if isPlain(line) {
		return line
	}
	var b strings.Builder
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRuneInString(line[i:])
		switch {
		case r == '\t':
			b.WriteString(strings.Repeat(" ", tabStop-width(b.String())%tabStop))
		case r == '\r':
			b.WriteString(`\r`)
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02X`, line[i])
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, r)
		case shown(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
		i += size
	}
	return b.String()
}

// shown reports whether a terminal shows a letter and no more. The joiners belong to emoji and to
// several scripts.
func shown(r rune) bool {
	return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) || r == '\u200c' || r == '\u200d'
}

// safe is a text of several lines, with nothing that a terminal would obey.
func safe(text string) string {
	if isPlain(text) {
		return text
	}
	return strings.Join(cell(text), "\n")
}
