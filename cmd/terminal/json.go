// JSON lines that are safe to read on a terminal as well.

package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON writes v as one line. What JSON allows but a terminal may obey (DEL, C1 controls, changes of
// direction) is written as \u escapes, which mean the same to a program.
func WriteJSON(w io.Writer, v any) error { return NewJSONWriter(w).Write(v) }

// JSONWriter writes many objects, each on a line.
type JSONWriter struct {
	out    io.Writer
	line   bytes.Buffer
	encode *json.Encoder // into line
}

// NewJSONWriter writes to w, unbuffered.
func NewJSONWriter(w io.Writer) *JSONWriter {
	j := &JSONWriter{out: w}
	j.encode = json.NewEncoder(&j.line)
	j.encode.SetEscapeHTML(false)
	return j
}

// Write writes v as one line.
func (j *JSONWriter) Write(v any) error {
	j.line.Reset()
	if err := j.encode.Encode(v); err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	_, err := j.out.Write(EscapeJSON(j.line.Bytes()))
	return err
}

// EscapeJSON escapes in a line of JSON what a terminal may obey. The line is returned as it is where there is none.
func EscapeJSON(line []byte) []byte {
	if isPlain(line) {
		return line
	}
	safe := func(r rune) bool { return r == '\n' || r == utf8.RuneError || unicode.IsPrint(r) }
	if bytes.IndexFunc(line, func(r rune) bool { return !safe(r) }) < 0 {
		return line
	}
	out := make([]byte, 0, len(line)+16)
	for _, r := range string(line) {
		switch {
		case safe(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// isPlain is a quick look that nearly all lines pass.
func isPlain(line []byte) bool {
	for _, c := range line {
		if (c < ' ' || c > '~') && c != '\n' {
			return false
		}
	}
	return true
}
