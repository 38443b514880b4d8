// What a script's lines are on the wire.
package session_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// encodeRequest makes the message of a line like >P "" "select 1".
func encodeRequest(verb string, rest []word) (string, error) {
	kind, ok := strings.CutPrefix(verb, ">")
	if !ok {
		return "", fmt.Errorf("unknown line %q", verb)
	}
	switch kind {
	case "ssl":
		return sslRequest, nil
	case "gss":
		return gssencRequest, nil
	case "raw":
		return rawBytes(rest)
	case "m":
		if len(rest) != 2 || len(rest[0].text) != 1 {
			return "", fmt.Errorf("m wants a type and a body")
		}
		return message(rest[0].text[0], rest[1].text), nil
	}
	encode, known := encoders[kind]
	if !known {
		return "", fmt.Errorf("unknown message %q", kind)
	}
	body, err := encode(rest)
	if err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	return message(kind[0], body), nil
}

var encoders = map[string]func([]word) (string, error){
	"Q": func(w []word) (string, error) { return texts(w, 1) },
	"f": func(w []word) (string, error) { return texts(w, 1) },
	"P": encodeParse,
	"B": encodeBind,
	"E": encodeExecute,
	"D": encodeTarget,
	"C": encodeTarget,
	"F": encodeFunctionCall,
	"d": rawBytes,
	"S": nothing,
	"H": nothing,
	"X": nothing,
	"c": nothing,
}

func nothing(w []word) (string, error) { return texts(w, 0) }

// texts are n strings with their ends.
func texts(words []word, n int) (body string, err error) {
	if len(words) != n {
		return "", fmt.Errorf("%d words, want %d", len(words), n)
	}
	for _, w := range words {
		body += w.text + "\x00"
	}
	return body, nil
}

func encodeParse(w []word) (string, error) {
	if len(w) < 2 {
		return "", fmt.Errorf("it wants a name and a statement")
	}
	body, err := texts(w[:2], 2)
	if err != nil {
		return "", err
	}
	body += int16s(len(w) - 2)
	for _, oid := range w[2:] {
		n, err := strconv.ParseUint(oid.text, 10, 32)
		if err != nil {
			return "", err
		}
		body += int32s(uint32(n))
	}
	return body, nil
}

func encodeBind(w []word) (string, error) {
	if len(w) < 2 {
		return "", fmt.Errorf("it wants a portal and a statement")
	}
	body, err := texts(w[:2], 2)
	if err != nil {
		return "", err
	}
	values, formats, err := encodeValues(w[2:], "formats=", "results=")
	return body + formats["formats="] + values + formats["results="], err
}

func encodeFunctionCall(w []word) (string, error) {
	if len(w) < 1 {
		return "", fmt.Errorf("it wants a function")
	}
	oid, err := strconv.ParseUint(w[0].text, 10, 32)
	if err != nil {
		return "", err
	}
	values, formats, err := encodeValues(w[1:], "formats=", "result=")
	result := strings.TrimPrefix(formats["result="], int16s(0))
	if result == "" {
		result = int16s(0)
	} else {
		result = result[len(result)-2:]
	}
	return int32s(uint32(oid)) + formats["formats="] + values + result, err
}

// encodeValues makes a count and the values, and the list of numbers each of the options gives.
func encodeValues(words []word, options ...string) (values string, lists map[string]string, err error) {
	lists = map[string]string{}
	for _, option := range options {
		lists[option] = int16s(0)
	}
	count := 0
next:
	for _, w := range words {
		for _, option := range options {
			if list, found := strings.CutPrefix(w.text, option); found && !w.quoted {
				if lists[option], err = numberList(list); err != nil {
					return "", nil, err
				}
				continue next
			}
		}
		count++
		if w.text == "null" && !w.quoted {
			values += int32s(0xffffffff)
			continue
		}
		values += int32s(uint32(len(w.text))) + w.text
	}
	return int16s(count) + values, lists, nil
}

func numberList(text string) (string, error) {
	parts := strings.Split(text, ",")
	list := int16s(len(parts))
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			return "", err
		}
		list += int16s(n)
	}
	return list, nil
}

func encodeExecute(w []word) (string, error) {
	if len(w) != 2 {
		return "", fmt.Errorf("it wants a portal and a number of rows")
	}
	rows, err := strconv.ParseUint(w[1].text, 10, 32)
	return w[0].text + "\x00" + int32s(uint32(rows)), err
}

func encodeTarget(w []word) (string, error) {
	if len(w) != 2 || len(w[0].text) != 1 {
		return "", fmt.Errorf("it wants S or P and a name")
	}
	return w[0].text + w[1].text + "\x00", nil
}

func int16s(n int) string    { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }
func int32s(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

var protocolVersion = regexp.MustCompile(`^([0-9]+)\.([0-9]+)$`)

// parseStartup takes both forms of a startup line.
func parseStartup(verb string, rest []word) (func(*player, *peer) error, error) {
	version := uint32(3 << 16)
	if len(rest) > 0 {
		if found := protocolVersion.FindStringSubmatch(rest[0].text); found != nil {
			major, _ := strconv.ParseUint(found[1], 10, 16)
			minor, err := strconv.ParseUint(found[2], 10, 16)
			if err != nil {
				return nil, err
			}
			version, rest = uint32(major<<16|minor), rest[1:]
		}
	}
	var pairs []string
	user := "app_reader"
	named := map[string]bool{}
	for _, w := range rest {
		name, value, assigns := strings.Cut(w.text, "=")
		if !assigns {
			return nil, fmt.Errorf("%q is no name=value", w.text)
		}
		named[name] = true
		pairs = append(pairs, name, value)
		if name == "user" {
			user = value
		}
	}
	whole := verb == "startup"
	if whole && !named["database"] {
		pairs = append([]string{"database", database}, pairs...)
	}
	if whole && !named["user"] {
		pairs = append([]string{"user", user}, pairs...)
	}
	packet := startupPacket(version, pairs...)
	if len(pairs) == 0 {
		packet = startupPacket(version)[:8] + "\x00" // no pairs, one terminator
		packet = "\x00\x00\x00\x09" + packet[4:]
	}
	return func(p *player, c *peer) error {
		c.user = user
		c.out = append(c.out, packet...)
		if !whole {
			return nil
		}
		return c.logIn(p)
	}, nil
}
