// Reading the JSON of stored bodies member by member. It is for what this package has written: the
// structure is checked, and a string that needs more than copying is left to encoding/json.

package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

var errJSON = errors.New("this is not the JSON that was written")

// eachMember calls do with each member of an object; what it is given belongs to b.
func eachMember(b []byte, do func(key, value []byte) error) error {
	return eachPart(b, '{', '}', func(at int) (int, error) {
		end, err := skipString(b, at)
		if err != nil {
			return 0, err
		}
		key := b[at+1 : end-1]
		if at = skipSpace(b, end); at >= len(b) || b[at] != ':' {
			return 0, errJSON
		}
		at = skipSpace(b, at+1)
		if end, err = skipValue(b, at); err != nil {
			return 0, err
		}
		return end, do(key, b[at:end])
	})
}

// eachElement calls do with each element of an array; what it is given belongs to b.
func eachElement(b []byte, do func(value []byte) error) error {
	return eachPart(b, '[', ']', func(at int) (int, error) {
		end, err := skipValue(b, at)
		if err != nil {
			return 0, err
		}
		return end, do(b[at:end])
	})
}

// eachPart walks what stands between open and shut, separated by commas. part gives the end of the
// part that begins at its argument.
func eachPart(b []byte, open, shut byte, part func(at int) (int, error)) error {
	at := skipSpace(b, 0)
	if at >= len(b) || b[at] != open {
		return errJSON
	}
	for first := true; ; first = false {
		at = skipSpace(b, at+1)
		if first && at < len(b) && b[at] == shut {
			return nil
		}
		end, err := part(at)
		if err != nil {
			return err
		}
		if at = skipSpace(b, end); at >= len(b) || b[at] != ',' && b[at] != shut {
			return errJSON
		}
		if b[at] == shut {
			return nil
		}
	}
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\n' || b[at] == '\r') {
		at++
	}
	return at
}

// skipString gives the end of the string that begins at at.
func skipString(b []byte, at int) (int, error) {
	if at >= len(b) || b[at] != '"' {
		return 0, errJSON
	}
	for at++; ; at++ {
		next := bytes.IndexByte(b[at:], '"')
		if next < 0 {
			return 0, errJSON
		}
		slash := bytes.IndexByte(b[at:at+next], '\\')
		if slash < 0 {
			return at + next + 1, nil
		}
		at += slash + 1 // over what is escaped
	}
}

// skipValue gives the end of the value that begins at at.
func skipValue(b []byte, at int) (int, error) {
	if at >= len(b) {
		return 0, errJSON
	}
	switch b[at] {
	case '"':
		return skipString(b, at)
	case '{', '[':
		return skipNested(b, at)
	}
	end := at
	for end < len(b) && bytes.IndexByte([]byte(",]} \t\r\n"), b[end]) < 0 {
		end++
	}
	if end == at {
		return 0, errJSON
	}
	return end, nil
}

func skipNested(b []byte, at int) (int, error) {
	for depth := 0; at < len(b); at++ {
		switch b[at] {
		case '"':
			end, err := skipString(b, at)
			if err != nil {
				return 0, err
			}
			at = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1, nil
			}
		}
	}
	return 0, errJSON
}

// decodeString reads a string; null leaves it alone.
func decodeString(value []byte, to *string) error {
	if len(value) >= 2 && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		*to = string(value[1 : len(value)-1])
		return nil
	}
	return json.Unmarshal(value, to)
}

func decodeInt(value []byte, to *int64) (err error) {
	*to, err = strconv.ParseInt(string(value), 10, 64)
	return err
}

func decodeStrings(value []byte, to *[]string) error {
	if string(value) == "null" {
		return nil
	}
	return eachElement(value, func(v []byte) error {
		var s string
		err := decodeString(v, &s)
		*to = append(*to, s)
		return err
	})
}

// decodeField reads one string of an object.
func decodeField(object []byte, name string, to *string) error {
	return eachMember(object, func(key, value []byte) error {
		if string(key) != name {
			return nil
		}
		return decodeString(value, to)
	})
}
