// Settings in words that the database has: a person's name may hold characters that its encoding lacks, which is no reason to
// keep the person out.
package pool

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charmaps are the encodings of databases that hold a part of Unicode and are known here, by PostgreSQL's names for them. Of
// the others (EUC_JP and its like; KOI8U, of which there are two) only ASCII is.
var charmaps = map[string]*charmap.Charmap{
	"LATIN1": charmap.ISO8859_1, "LATIN2": charmap.ISO8859_2, "LATIN3": charmap.ISO8859_3, "LATIN4": charmap.ISO8859_4,
	"LATIN5": charmap.ISO8859_9, "LATIN6": charmap.ISO8859_10, "LATIN7": charmap.ISO8859_13, "LATIN8": charmap.ISO8859_14,
	"LATIN9": charmap.ISO8859_15, "LATIN10": charmap.ISO8859_16, "ISO_8859_5": charmap.ISO8859_5, "ISO_8859_6": charmap.ISO8859_6,
	"ISO_8859_7": charmap.ISO8859_7, "ISO_8859_8": charmap.ISO8859_8, "WIN1250": charmap.Windows1250, "WIN1251": charmap.Windows1251,
	"WIN1252": charmap.Windows1252, "WIN1253": charmap.Windows1253, "WIN1254": charmap.Windows1254, "WIN1255": charmap.Windows1255,
	"WIN1256": charmap.Windows1256, "WIN1257": charmap.Windows1257, "WIN1258": charmap.Windows1258, "WIN866": charmap.CodePage866,
	"WIN874": charmap.Windows874, "KOI8R": charmap.KOI8R,
}

// fit gives a text as a database of that encoding can hold it. What it cannot hold is escaped: \u and four hexadecimal digits,
// \U and eight, and \x and two for a byte that is not UTF-8. A backslash that would look like one of these is \u005C then, so
// that two names never become one where anything had to be escaped. SQL_ASCII takes any bytes, but they are sent as UTF-8.
func fit(text, encoding string) string {
	table := charmaps[encoding]
	switch {
	case encoding == "UTF8", encoding == "SQL_ASCII":
		return escape(text, false, func(r rune) bool { return true })
	case table == nil:
		return ASCII(text)
	}
	return escape(text, true, func(r rune) bool {
		_, has := table.EncodeRune(r)
		return has && unicode.IsLetter(r) // PostgreSQL's tables differ in some signs
	})
}

// ASCII is a text with everything else escaped, in the same form.
func ASCII(text string) string {
	return escape(text, true, func(rune) bool { return false })
}

// escape escapes what is neither ASCII nor had.
func escape(text string, backslashes bool, has func(rune) bool) string {
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02X`, text[i])
		case r == '\\' && backslashes && looksEscaped(text[i+1:]):
			b.WriteString(`\u005C`)
		case r < utf8.RuneSelf || has(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	return b.String()
}

// looksEscaped says whether a backslash before it would make an escape of the text.
func looksEscaped(text string) bool {
	if text == "" {
		return false
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[0]]
	return digits > 0 && len(text) > digits && strings.Trim(text[1:1+digits], "0123456789ABCDEF") == ""
}
