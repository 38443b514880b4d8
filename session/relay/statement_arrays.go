package relay

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// arrayElements is of which type the elements of an array are.
var arrayElements = map[uint32]uint32{
	pgtype.BoolArrayOID: pgtype.BoolOID, pgtype.Int2ArrayOID: pgtype.Int2OID, pgtype.Int4ArrayOID: pgtype.Int4OID,
	pgtype.Int8ArrayOID: pgtype.Int8OID, pgtype.OIDArrayOID: pgtype.OIDOID, pgtype.Float4ArrayOID: pgtype.Float4OID,
	pgtype.Float8ArrayOID: pgtype.Float8OID, pgtype.NumericArrayOID: pgtype.NumericOID, pgtype.UUIDArrayOID: pgtype.UUIDOID,
	pgtype.DateArrayOID: pgtype.DateOID, pgtype.TimestampArrayOID: pgtype.TimestampOID, pgtype.TimestamptzArrayOID: pgtype.TimestamptzOID,
	pgtype.TextArrayOID: pgtype.TextOID, pgtype.VarcharArrayOID: pgtype.VarcharOID, pgtype.BPCharArrayOID: pgtype.BPCharOID,
	pgtype.NameArrayOID: pgtype.NameOID, pgtype.JSONArrayOID: pgtype.JSONOID, pgtype.JSONBArrayOID: pgtype.JSONBOID,
}

// maxDimensions is PostgreSQL's MAXDIM.
const maxDimensions = 6

// arrayReader writes an array in binary form (array_send in PostgreSQL's arrayfuncs.c) as
// array_out does. ok is false once the bytes are no such array.
type arrayReader struct {
	element func(raw []byte) (text string, ok bool)
	sizes   []int
	rest    []byte
	out     strings.Builder
	most    int // bytes of out: a numeric of a few bytes may have many digits
	ok      bool
}

// array gives the text of an array.
func (s *statements) array(element uint32, raw []byte) (text string, ok bool) {
	const header, dimension = 12, 8
	if len(raw) < header {
		return "", false
	}
	n := int(binary.BigEndian.Uint32(raw))
	if n > maxDimensions || len(raw) < header+n*dimension {
		return "", false
	}
	r := arrayReader{ok: true, most: 1000 + 10*len(raw), element: func(raw []byte) (string, bool) { return s.fromBinary(element, raw) }}
	r.rest = raw[header+n*dimension:]
	shifted := false // some index does not begin at 1
	var bounds strings.Builder
	for d := range n {
		size := int(int32(binary.BigEndian.Uint32(raw[header+d*dimension:])))
		lower := int(int32(binary.BigEndian.Uint32(raw[header+d*dimension+4:])))
		if size < 1 || size > len(raw) {
			return "", false
		}
		r.sizes = append(r.sizes, size)
		shifted = shifted || lower != 1
		bounds.WriteString("[" + strconv.Itoa(lower) + ":" + strconv.Itoa(lower+size-1) + "]")
	}
	if n == 0 {
		return "{}", len(r.rest) == 0
	}
	if shifted {
		r.out.WriteString(bounds.String() + "=")
	}
	r.dimension(0)
	return r.out.String(), r.ok && len(r.rest) == 0
}

// dimension writes what stands between two braces. Each element takes four bytes at
// least, so that an array which announces many ends with its bytes.
func (r *arrayReader) dimension(d int) {
	r.out.WriteByte('{')
	for i := 0; i < r.sizes[d] && r.ok; i++ {
		if i > 0 {
			r.out.WriteByte(',')
		}
		if d+1 < len(r.sizes) {
			r.dimension(d + 1)
		} else {
			r.value()
		}
	}
	r.out.WriteByte('}')
}

func (r *arrayReader) value() {
	if r.ok = len(r.rest) >= 4; !r.ok {
		return
	}
	size := int(int32(binary.BigEndian.Uint32(r.rest)))
	r.rest = r.rest[4:]
	if size < 0 {
		r.out.WriteString("NULL")
		return
	}
	if r.ok = size <= len(r.rest); !r.ok {
		return
	}
	text, ok := r.element(r.rest[:size])
	r.rest = r.rest[size:]
	r.out.WriteString(quotedElement(text))
	r.ok = ok && r.out.Len() <= r.most
}

// quotedElement quotes what array_in would take for something else.
func quotedElement(text string) string {
	if text != "" && !strings.EqualFold(text, "NULL") && !strings.ContainsAny(text, "\"\\{}, \t\n\v\f\r") {
		return text
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(text) + `"`
}
