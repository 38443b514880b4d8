package relay

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"gprxy/store"
)

// boundValues reads the values of a Bind or a FunctionCall: format codes, then values.
// Those that do not stand wholly in body are marked.
func (s *statements) boundValues(stmt *prepared, body []byte, whole bool) []store.Param {
	formats, body, ok := int16s(body)
	if !ok || len(body) < 2 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	params := make([]store.Param, 0, min(n, len(body)/4+1))
	for i := range n {
		if len(body) < 4 {
			if !whole {
				params = append(params, store.Param{Cut: true})
			}
			return params // the others are behind it
		}
		size := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		switch {
		case size < 0:
			params = append(params, store.Param{Null: true})
			continue
		case int64(size) > int64(len(body)):
			return append(params, store.Param{Cut: true})
		}
		params = append(params, s.value(stmt, i, formatOf(formats, i), body[:size]))
		body = body[size:]
	}
	return params
}

// int16s reads a number of 16-bit numbers and the numbers.
func int16s(body []byte) (numbers []int16, rest []byte, ok bool) {
	if len(body) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if len(body) < 2*n {
		return nil, nil, false
	}
	for i := range n {
		numbers = append(numbers, int16(binary.BigEndian.Uint16(body[2*i:])))
	}
	return numbers, body[2*n:], true
}

// formatOf: no codes mean text for all, one is for all.
func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 0:
		return pgtype.TextFormatCode
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return -1
}

// value writes a value as people do, or in base64 where that is not certain.
func (s *statements) value(stmt *prepared, i int, format int16, raw []byte) store.Param {
	if format == pgtype.TextFormatCode {
		return s.textValue(s.masking().MaskValue(string(raw)))
	}
	if format == pgtype.BinaryFormatCode && stmt != nil && i < len(stmt.types) {
		if text, ok := s.fromBinary(stmt.types[i], raw); ok {
			return s.textValue(s.masking().MaskValue(text))
		}
	}
	text := string(raw)
	if masked := s.masking().MaskValue(text); masked != text || s.masking().NamesSecret(text) {
		return s.textValue(masked) // text after all
	}
	return store.Param{Text: base64.StdEncoding.EncodeToString(raw), Base64: true}
}

// plainTypes are those whose binary form is their text.
var plainTypes = []uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.JSONOID, pgtype.UnknownOID}

// binaryTypes are those whose binary form pgx can tell. Of the others it is kept as it is.
var binaryTypes = []uint32{
	pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID,
	pgtype.NumericOID, pgtype.UUIDOID, pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID,
}

// fromBinary gives the text of a value in binary form. The value is a stranger's: what
// pgx would make memory of without bytes to show for it is refused before.
func (s *statements) fromBinary(oid uint32, raw []byte) (text string, ok bool) {
	switch {
	case slices.Contains(plainTypes, oid):
		return string(raw), true
	case oid == pgtype.JSONBOID:
		if len(raw) == 0 || raw[0] != 1 {
			return "", false
		}
		return string(raw[1:]), true
	case oid == pgtype.NumericOID && !modest(raw):
		return "", false
	case slices.Contains(binaryTypes, oid):
		return s.byPgx(oid, raw)
	}
	if element, ok := arrayElements[oid]; ok {
		return s.array(element, raw)
	}
	return "", false
}

// byPgx lets pgx read and write the value.
func (s *statements) byPgx(oid uint32, raw []byte) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false // a value that pgx does not bear
		}
	}()
	if s.types == nil {
		s.types = pgtype.NewMap()
	}
	known, ok := s.types.TypeForOID(oid)
	if !ok {
		return "", false
	}
	value, err := known.Codec.DecodeValue(s.types, oid, pgtype.BinaryFormatCode, raw)
	if err != nil || value == nil {
		return "", false
	}
	out, err := s.types.Encode(oid, pgtype.TextFormatCode, value, nil)
	switch text = string(out); text {
	case "+Inf", "-Inf":
		text = strings.Replace(strings.TrimPrefix(text, "+"), "Inf", "Infinity", 1)
	}
	return text, err == nil
}

// modest: a numeric of a few bytes may have 131,072 digits.
func modest(numeric []byte) bool {
	const digits = 1000
	if len(numeric) < 8 {
		return false
	}
	weight, scale := int16(binary.BigEndian.Uint16(numeric[2:])), binary.BigEndian.Uint16(numeric[6:])
	return weight > -digits/4 && weight < digits/4 && scale < digits
}
