// Statements as the bytes that are stored and hashed. Written by hand: encoding/json, whose bytes
// these are (a fuzzer compares them), costs several times as much, for the events that come most often.

package store

import (
	"strconv"
	"unicode/utf8"
)

// appendBlock appends the body of a statement.executed.
func appendBlock(b []byte, statements []Statement, texts []boundText) []byte {
	b = append(b, `{"statements":[`...)
	for i := range statements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendStatement(append(b, '{'), &statements[i]), '}')
	}
	return append(appendBound(append(b, ']'), texts), '}')
}

// appendStarted appends the body of a statement.started.
func appendStarted(b []byte, s *Statement, texts []boundText) []byte {
	return append(appendBound(appendStatement(append(b, '{'), s), texts), '}')
}

// appendStatement appends the members of the statement's object.
func appendStatement(b []byte, s *Statement) []byte {
	b = appendString(append(b, `"kind":`...), s.Kind)
	if s.TextID == 0 {
		b = stringMember(b, `,"sql":`, s.SQL)
	}
	b = intMember(b, `,"text":`, s.TextID)
	b = intMember(b, `,"text_bytes":`, s.TextBytes)
	b = stringMember(b, `,"text_sha256":`, s.TextSHA256)
	b = stringMember(b, `,"name":`, s.Name)
	b = stringMember(b, `,"portal":`, s.Portal)
	b = appendParams(b, s.Params)
	b = stringMember(b, `,"tag":`, s.Tag)
	b = intMember(b, `,"rows":`, s.Rows)
	b = stringMember(b, `,"sqlstate":`, s.SQLState)
	b = stringMember(b, `,"message":`, s.Message)
	b = intMember(b, `,"at_us":`, s.AtUS)
	b = intMember(b, `,"us":`, s.US)
	b = stringMember(b, `,"tx":`, s.TxStatus)
	b = intMember(b, `,"in":`, s.BytesIn)
	b = intMember(b, `,"out":`, s.BytesOut)
	b = intMember(b, `,"copy_in":`, s.CopyIn)
	b = intMember(b, `,"copy_out":`, s.CopyOut)
	b = stringMember(b, `,"outcome":`, s.Outcome)
	b = intMember(b, `,"part":`, s.Part)
	b = intMember(b, `,"seq_started":`, s.SeqStarted)
	b = stringMember(b, `,"doubt":`, s.Doubt)
	b = stringMember(b, `,"masking":`, s.Masking)
	b = stringMember(b, `,"text_hmac":`, s.TextHMAC)
	return stringMember(b, `,"encoding":`, s.Encoding)
}

func appendParams(b []byte, params []Param) []byte {
	if len(params) == 0 {
		return b
	}
	b = append(b, `,"params":[`...)
	for i, p := range params {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendParam(b, p)
	}
	return append(b, ']')
}

func appendParam(b []byte, p Param) []byte {
	switch {
	case p.Null:
		return append(b, "null"...)
	case p.Cut:
		return append(b, cutParam...)
	case p.Base64:
		return append(appendString(append(b, `{"base64":`...), p.Text), '}')
	}
	return appendString(b, p.Text)
}

// stringMember appends a member of an object, unless its value is "".
func stringMember(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value)
}

func intMember(b []byte, key string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), value, 10)
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string: control characters escaped, invalid UTF-8 replaced, and
// <, > and & left as people wrote them.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0 // where the bytes begin that stand for themselves
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			i++
			if c >= ' ' && c != '"' && c != '\\' {
				continue
			}
			b = appendEscape(append(b, s[plain:i-1]...), c)
			plain = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[plain:i-size]...), `\ufffd`...)
		case r == '\u2028' || r == '\u2029': // ends a line in JavaScript
			b = append(append(b, s[plain:i-size]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
		default:
			continue
		}
		plain = i
	}
	return append(append(b, s[plain:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
