package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/sqltext"
	"gprxy/store"
)

const (
	// What is looked at of a body besides a text or values: names, and the OIDs of a Parse.
	bodyOverhead = 8 * 1024
	// PostgreSQL keeps 63 bytes of each of the two.
	namesRoom = 2 * 1024
)

// wanted is how much of a request's body is looked at.
func (s *statements) wanted(kind byte) uint32 {
	switch kind {
	case wire.Query, wire.Parse:
		return uint32(s.config.MaxText + bodyOverhead)
	case wire.Bind, wire.FunctionCall:
		if s.config.Record == RecordParams {
			return uint32(s.config.MaxText + bodyOverhead)
		}
	}
	return namesRoom
}

// requestBody takes in the body of a request, or as much as was wanted of it.
func (s *statements) requestBody(kind byte, body []byte, whole bool) {
	act := s.current
	if act == nil {
		return
	}
	switch kind {
	case wire.Query:
		act.stmt = s.prepare("", body)
	case wire.Parse:
		name, rest, found := bytes.Cut(body, zero)
		s.needs(found || whole)
		act.stmt = s.prepare(nameOf(name), rest)
		act.stmt.parsed = true
		if _, types, found := bytes.Cut(rest, zero); found && s.config.Record == RecordParams {
			act.stmt.types = objectIDs(types)
		}
	case wire.Bind:
		portal, rest, _ := bytes.Cut(body, zero)
		name, rest, found := bytes.Cut(rest, zero)
		s.needs(found || whole)
		act.portal, act.name = nameOf(portal), s.names.nameOf(name)
		s.names.apply(act)
		if s.config.Record == RecordParams {
			s.keep(act, s.boundValues(act.stmt, rest, whole))
			if !s.names.hold(act) {
				act.params = []store.Param{{Cut: true}}
			}
		}
	case wire.Execute:
		portal, _, found := bytes.Cut(body, zero)
		s.needs(found || whole)
		act.portal = nameOf(portal)
	case wire.Close, wire.Describe:
		if len(body) > 0 {
			name, _, found := bytes.Cut(body[1:], zero)
			s.needs(found || whole)
			act.closesStatement = body[0] == 'S'
			act.portal, act.name = nameOf(name), nameOf(name)
		}
	case wire.FunctionCall:
		s.functionCall(act, body, whole)
	}
	if kind != wire.Bind && !(kind == wire.Query && act.skipped) {
		s.names.apply(act)
	}
	if whole {
		s.bodyEnds()
	}
}

var zero = []byte{0}

// needs ends the session if a name is not wholly in what was looked at of a body.
func (s *statements) needs(found bool) {
	if !found {
		s.unreadable = refusal.ErrLongName
	}
}

// nameOf is the name as PostgreSQL keeps it. It allocates nothing for the unnamed
// statement and portal.
func nameOf(name []byte) string { return string(name[:min(len(name), wire.MaxName)]) }

// requestRest takes in what follows.
func (s *statements) requestRest(part []byte, last bool) {
	if c := s.cutting; c != nil {
		c.add(part)
		if last || c.over {
			s.endCut(c)
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
	if act != nil {
		s.unsettles(act)
	}
	switch {
	case act == nil, !act.executes() && !act.keeps():
	case s.config.Strict:
		act.begins()
		s.before = append(s.before, act)
	case s.desynced:
		s.storeUnknown(act)
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
	p := &prepared{name: name, dropsNames: holdsDrop(text)}
	if ended && len(text) <= keep {
		p.take(s.masking().Mask(string(text), s.options()), &s.names)
		p.charset = charsetOf(p.text, s.reading())
		switch many := bytes.IndexByte(bytes.TrimRight(text, afterStatement), ';') >= 0; {
		case !many:
			p.count = 1
		case !p.twoReadings:
			p.count, p.parts = s.parts(p.text)
		}
		return p
	}
	p.room = keep
	p.charset = charset{name: s.settings.Encoding, unsure: s.reading().Unsure, cut: true}
	c := &cutText{stmt: p, hash: sha256.New(), stream: s.masking().Stream(keep, s.options())}
	c.add(raw)
	if c.over {
		s.endCut(c)
	} else {
		s.cutting = c
	}
	return p
}

// parts gives the statements of a masked text, and how many they are: 0 if that is not certain. One, or too many, are not given.
func (s *statements) parts(text string) (count int, parts []string) {
	parts = sqltext.Split(text, s.reading())
	count = len(parts)
	if count < 2 || count > maxResults {
		parts = nil
	}
	return count, parts
}

// add takes in a part of the text, up to the zero that ends it.
func (c *cutText) add(part []byte) {
	text, _, ended := bytes.Cut(part, zero)
	c.hash.Write(text)
	c.lookForDrop(text)
	c.lookForMore(text)
	c.stream.Write(text)
	c.stmt.bytes += int64(len(text))
	c.over = ended
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
		s.keep(act, s.boundValues(act.stmt, body, whole))
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
