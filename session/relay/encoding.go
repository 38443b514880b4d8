package relay

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"gprxy/session/sqltext"
	"gprxy/store"
)

// What a client sends is in its client_encoding; the log is in UTF-8.

// The encodings that leave text as it is: of SQL_ASCII, PostgreSQL converts nothing.
const (
	utf8Encoding  = "UTF8"
	asciiEncoding = "SQL_ASCII"
)

// encodings are those that can be decoded, by the names that PostgreSQL gives them in ParameterStatus.
var encodings = map[string]encoding.Encoding{
	"LATIN1": charmap.ISO8859_1, "LATIN2": charmap.ISO8859_2, "LATIN3": charmap.ISO8859_3, "LATIN4": charmap.ISO8859_4,
	"LATIN5": charmap.ISO8859_9, "LATIN6": charmap.ISO8859_10, "LATIN7": charmap.ISO8859_13, "LATIN8": charmap.ISO8859_14,
	"LATIN9": charmap.ISO8859_15, "LATIN10": charmap.ISO8859_16,
	"ISO_8859_5": charmap.ISO8859_5, "ISO_8859_6": charmap.ISO8859_6, "ISO_8859_7": charmap.ISO8859_7, "ISO_8859_8": charmap.ISO8859_8,
	"WIN866": charmap.CodePage866, "WIN874": charmap.Windows874, "WIN1250": charmap.Windows1250, "WIN1251": charmap.Windows1251,
	"WIN1252": charmap.Windows1252, "WIN1253": charmap.Windows1253, "WIN1254": charmap.Windows1254, "WIN1255": charmap.Windows1255,
	"WIN1256": charmap.Windows1256, "WIN1257": charmap.Windows1257, "WIN1258": charmap.Windows1258,
	"KOI8R": charmap.KOI8R, "KOI8U": charmap.KOI8U,
	"EUC_JP": japanese.EUCJP, "SJIS": japanese.ShiftJIS, "EUC_KR": korean.EUCKR, "UHC": korean.EUCKR,
	"EUC_CN": simplifiedchinese.GBK, "GBK": simplifiedchinese.GBK, "GB18030": simplifiedchinese.GB18030, "BIG5": traditionalchinese.Big5,
}

// charset is how a text that was sent is read.
type charset struct {
	name   string // client_encoding; "" is UTF8
	unsure bool   // it may be another
	cut    bool   // the text has lost its middle, perhaps within a character
	plain  bool   // the text is what it says already
}

// charsetOf gives that of a text which is sent now. A text in ASCII is the same in all encodings.
func charsetOf(text string, now sqltext.Settings) charset {
	c := charset{name: now.Encoding, unsure: now.Unsure}
	c.plain = isASCII(text) || c.isUTF8() && !c.unsure && utf8.ValidString(text)
	return c
}

func (c charset) isUTF8() bool { return c.name == "" || c.name == utf8Encoding }

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// show gives the text as the log has it, and the mark that goes with it. No two texts have both in common: what was
// decoded can be encoded again, and what cannot is escaped.
func (c charset) show(text string) (shown, mark string) {
	if c.plain || isASCII(text) {
		return text, ""
	}
	if c.isUTF8() || c.name == asciiEncoding {
		switch {
		case !utf8.ValidString(text):
		case c.unsure:
			return text, store.EncodingUnsure
		case c.name == asciiEncoding:
			return text, asciiEncoding
		default:
			return text, ""
		}
		return escapeBytes(text), store.EncodingBytes
	}
	if shown, ok := c.decode(text); ok {
		return shown, c.name
	}
	return escapeBytes(text), store.EncodingBytes
}

// decode gives the text in UTF-8. Several sequences of bytes may decode to one character, and what means nothing to
// U+FFFD, so it counts only if encoding it again gives the same bytes.
func (c charset) decode(text string) (decoded string, ok bool) {
	known := encodings[c.name]
	_, oneByte := known.(*charmap.Charmap)
	if known == nil || c.unsure || c.cut && !oneByte {
		return "", false
	}
	decoded, err := known.NewDecoder().String(text)
	if err != nil {
		return "", false
	}
	if strings.HasPrefix(c.name, "WIN") && strings.ContainsFunc(decoded, isControl) {
		return "", false // a byte that PostgreSQL's tables do not have
	}
	if differs := otherwise[c.name]; differs != nil && strings.ContainsFunc(decoded, differs) {
		return "", false
	}
	again, err := known.NewEncoder().String(decoded)
	return decoded, err == nil && again == text
}

// otherwise are characters that PostgreSQL's tables have for other bytes than those of golang.org/x/text do, or not at all, found
// by comparing all: the log must not show another text than PostgreSQL ran. In BIG5 they are the rows C6 and C7 above all, which
// are no part of the standard.
var otherwise = map[string]func(rune) bool{
	"BIG5": func(r rune) bool {
		return r >= 0x2170 && r <= 0x2179 || r >= 0x2460 && r <= 0x247d || r >= 0x3003 && r <= 0x3007 || r >= 0x3041 && r <= 0x30fe ||
			r >= 0x0401 && r <= 0x0451 || strings.ContainsRune(big5Otherwise, r)
	},
	"EUC_CN": func(r rune) bool { return r == 0x00b7 || r == 0x2014 },
	"KOI8U":  func(r rune) bool { return r == 0x045e || r == 0x040e },
}

const big5Otherwise = "\u2027\ufe51\u2574\u00af\uffe3\u02cd\uff5e\u2295\u2299\uff0f\uff3c\u2215\ufe68\uffe5\uffe0\uffe1\u00a8\u02c6\uff3b\uff3d\u273d" +
	"\u2f33\u4e36\u4e3f\u4e85\u4ea0\u5182\u5196\u51ab\u52f9\u5338\u5369\u53b6\u590a\u5b80\u5ddb\u5e7a\u5e7f\u5ef4\u5f50\u5f61\u6534\u65e0\u7592\u7676\u8fb5\u96b6"

// isControl tells whether r is of C1.
func isControl(r rune) bool { return r >= 0x80 && r < 0xa0 }

// escapeBytes writes the bytes beyond ASCII as \xE9, and a backslash as two.
func escapeBytes(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02X`, c)
		case c == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// reads is how what is said now is read, by either side: PostgreSQL converts what it says itself, too.
func (s *statements) reads() charset {
	return charset{name: s.settings.Encoding, unsure: s.reading().Unsure}
}

// showName gives the name of a statement or portal. It has no mark of its own, so a backslash is doubled in every name:
// \xE9 is a byte in one, and \\xE9 four characters. What was decoded is the name as PostgreSQL has it, whatever it came in.
func (c charset) showName(name string) string {
	if isASCII(name) {
		return strings.ReplaceAll(name, `\`, `\\`)
	}
	c.plain = false // that is about a text
	shown, mark := c.show(name)
	if mark != store.EncodingBytes {
		shown = strings.ReplaceAll(shown, `\`, `\\`)
	}
	return shown
}

// readsOf is how an error about the action is read: as its text was, which was sent when nothing was under way that could have
// changed the encoding. While it runs nothing else can, but itself.
func (s *statements) readsOf(act *action) charset {
	if act != nil && act.stmt != nil {
		return act.stmt.charset
	}
	return s.reads()
}

// showMessage gives the text of an error, with the mark in front where it may not be what PostgreSQL meant.
func (c charset) showMessage(message string) string {
	const most = 16 << 10
	c.plain, c.cut = false, false
	if len(message) > most {
		message, c.cut = message[:most], true
	}
	shown, mark := c.show(message)
	if mark == store.EncodingBytes || mark == store.EncodingUnsure {
		return "(encoding: " + mark + ") " + shown
	}
	return shown
}

// textValue is a bind value that is text: decoded, or in base64 where that is not certain.
func (s *statements) textValue(text string) store.Param {
	shown, mark := charsetOf(text, s.reading()).show(text)
	if mark == store.EncodingBytes {
		return store.Param{Text: base64.StdEncoding.EncodeToString([]byte(text)), Base64: true}
	}
	return store.Param{Text: shown}
}
