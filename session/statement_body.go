package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"unicode/utf8"

	"gprxy/session/sqltext"
)

// What is looked at of a body besides a text or values: names, and the OIDs of a Parse.
const bodyOverhead = 8 * 1024

// wanted is how much of a request's body is looked at.
func (s *statements) wanted(kind byte) uint32 {
	switch kind {
	case msgQuery, msgParse:
		return uint32(s.config.MaxText + bodyOverhead)
	case msgBind, msgFunctionCall:
		if s.config.Record == RecordParams {
			return uint32(s.config.MaxText + bodyOverhead)
		}
	}
	return 512 // two names
}

// cutText is a text of which the rest is only hashed.
type cutText struct {
	stmt *prepared
	hash hash.Hash
	over bool
}

// requestBody takes in the body of a request, or as much as was wanted of it.
func (s *statements) requestBody(kind byte, body []byte, whole bool) {
	act := s.current
	if act == nil {
		return
	}
	switch kind {
	case msgQuery:
		act.stmt = s.prepare("", body)
	case msgParse:
		name, rest, _ := bytes.Cut(body, zero)
		act.stmt = s.prepare(nameOf(name), rest)
		act.stmt.parsed = true
		if _, types, found := bytes.Cut(rest, zero); found && s.config.Record == RecordParams {
			act.stmt.types = objectIDs(types)
		}
	case msgBind:
		portal, rest, _ := bytes.Cut(body, zero)
		name, rest, _ := bytes.Cut(rest, zero)
		act.portal, act.name = nameOf(portal), nameOf(name)
		s.names.apply(act)
		if s.config.Record == RecordParams {
			act.params = s.boundValues(act.stmt, rest, whole)
		}
	case msgExecute:
		portal, _, _ := bytes.Cut(body, zero)
		act.portal = nameOf(portal)
	case msgClose, msgDescribe:
		if len(body) > 0 {
			name, _, _ := bytes.Cut(body[1:], zero)
			act.closesStatement = body[0] == 'S'
			act.portal, act.name = nameOf(name), nameOf(name)
		}
	case msgFunctionCall:
		s.functionCall(act, body, whole)
	}
	if kind != msgBind && !(kind == msgQuery && act.unsent) {
		s.names.apply(act)
	}
	if whole {
		s.bodyEnds()
	}
}

var zero = []byte{0}

// nameOf allocates nothing for the unnamed statement and portal.
func nameOf(name []byte) string {
	if len(name) > maxName {
		return cutName(string(name))
	}
	return string(name)
}

// requestRest takes in what follows.
func (s *statements) requestRest(part []byte, last bool) {
	if c := s.cutting; c != nil {
		c.add(part)
		if last || c.over {
			c.end()
			s.cutting = nil
		}
	}
	if last {
		s.bodyEnds()
	}
}

// bodyEnds: the last byte of a request is about to go on.
func (s *statements) bodyEnds() {
	act := s.current
	s.current = nil
	switch {
	case act == nil || !act.executes():
	case s.lost:
		s.storeUnknown(act)
	case act.unsent && act.request != msgExecute:
		s.storeSkipped(act)
	case s.config.Strict && !act.unsent:
		s.before = append(s.before, act)
	}
}

// prepare makes what is recorded of a text, which ends at the first zero of raw or,
// if there is none, goes on in what follows.
func (s *statements) prepare(name string, raw []byte) *prepared {
	text, _, ended := bytes.Cut(raw, zero)
	keep := s.config.MaxText
	if name != "" && s.names.held+len(text) > maxPreparedBytes {
		keep = min(keep, shortText)
	}
	p := &prepared{name: name}
	if ended && len(text) <= keep {
		p.text, p.secret = sqltext.Mask(string(text), s.backslashes)
		if many := bytes.IndexByte(bytes.TrimRight(text, "; \t\r\n"), ';') >= 0; many {
			p.parts = s.parts(string(text))
		}
		return p
	}
	kept := strings.ToValidUTF8(string(cutRunes(text, keep)), string(utf8.RuneError))
	p.text, p.secret = sqltext.Mask(kept, s.backslashes)
	c := &cutText{stmt: p, hash: sha256.New()}
	c.add(raw)
	if c.over {
		c.end()
	} else {
		s.cutting = c
	}
	return p
}

// parts gives the statements of a text, masked; nil if they are one, or too many.
func (s *statements) parts(text string) []string {
	parts := sqltext.Split(text, s.backslashes)
	if len(parts) < 2 || len(parts) > maxResults {
		return nil
	}
	for i := range parts {
		parts[i], _ = sqltext.Mask(parts[i], s.backslashes)
	}
	return parts
}

// add hashes a part of the text, up to the zero that ends it.
func (c *cutText) add(part []byte) {
	text, _, ended := bytes.Cut(part, zero)
	c.hash.Write(text)
	c.stmt.bytes += int64(len(text))
	c.over = ended
}

// end keeps the hash, unless it would tell whoever guesses a secret that they are right.
func (c *cutText) end() {
	if !c.stmt.secret {
		c.stmt.sum = hex.EncodeToString(c.hash.Sum(nil))
	}
}

// cutRunes cuts text to at most n bytes, between two characters of UTF-8.
func cutRunes(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	for i := n; i > n-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(text[i]) {
			return text[:i]
		}
	}
	return text[:n]
}

// functionCall: there is no text; the function is known by its OID.
func (s *statements) functionCall(act *action, body []byte, whole bool) {
	oid := uint32(0)
	if len(body) >= 4 {
		oid = binary.BigEndian.Uint32(body)
		body = body[4:]
	}
	act.stmt = &prepared{text: fmt.Sprintf("-- function call: OID %d", oid)}
	if s.config.Record == RecordParams {
		act.params = s.boundValues(act.stmt, body, whole)
	}
}

// objectIDs reads a number of OIDs and the OIDs.
func objectIDs(body []byte) []uint32 {
	if len(body) < 2 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	ids := make([]uint32, 0, min(n, len(body)/4))
	for ; n > 0 && len(body) >= 4; n-- {
		ids = append(ids, binary.BigEndian.Uint32(body))
		body = body[4:]
	}
	return ids
}
