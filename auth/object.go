// Strict reading of a JSON object that a stranger wrote.

package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds nesting; Keycloak's resource_access, the deepest in use, needs 3.
const maxDepth = 16

// decodeObject reads one JSON object. Unlike encoding/json it refuses a name
// that stands twice (two readers could then see two different tokens, RFC 7519
// section 4), bytes that are not UTF-8, and deep nesting. Numbers stay as written.
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on after its end")
	}
	return object, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("is not valid JSON") // the decoder's own text may quote a piece of the token
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	if delim == '{' {
		return decodeMembers(d, depth+1)
	}
	return decodeElements(d, depth+1)
}

func decodeMembers(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, _ := d.Token() // with an error it is no text
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("is not valid JSON")
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("has the name %s twice", quote(name))
		}
		value, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		object[name] = value
	}
	return object, closeDelim(d)
}

func decodeElements(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		value, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, closeDelim(d)
}

func closeDelim(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errors.New("is not valid JSON")
	}
	return nil
}

// quote makes a stranger's text fit for a log line: short, escaped, ASCII.
func quote(s string) string {
	const most = 64
	if len(s) <= most {
		return fmt.Sprintf("%+q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%+q…", s[:cut])
}
