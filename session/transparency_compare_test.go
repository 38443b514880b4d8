// The comparison: what came back on two routes, byte for byte but for what differs from run to run.
package session_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A transcript is what one session of a script received, made comparable and, for people, readable.
type transcript struct {
	label string
	items []item
	reset bool // the connection did not end, it was broken off
}

// masker replaces what legitimately differs: backend pids and secrets, OIDs of objects the script makes, and what the
// script names itself. Lengths stay, but for texts of pg_temp schemas and those the script names.
type masker struct {
	masks  []*regexp.Regexp
	self   uint32            // the number of the session
	pids   map[uint32]uint32 // the number of the session of each
	digits [][]byte          // the pids as scripts ask for them: ten digits, so that all have one length
	oids   map[uint32]uint32
}

const firstNormalOID = 16384 // below are the server's own objects, which are the same everywhere

var tempSchema = regexp.MustCompile(`pg_(toast_)?temp_[0-9]+`)

func (s *script) transcripts(peers []*peer) []transcript {
	m := masker{masks: s.masks, pids: map[uint32]uint32{}, oids: map[uint32]uint32{}}
	for i, c := range peers {
		pid := uint32(0)
		if len(c.key) >= 4 {
			pid = binary.BigEndian.Uint32(c.key)
			m.pids[pid] = uint32(i + 1)
		}
		m.digits = append(m.digits, fmt.Appendf(nil, "%010d", pid))
	}
	var all []transcript
	for i, c := range peers {
		m.self = uint32(i + 1)
		t := transcript{label: c.label, reset: c.reset}
		for _, seen := range c.seen {
			t.items = append(t.items, item{seen.kind, m.mask(seen.kind, bytes.Clone(seen.body))})
		}
		all = append(all, t)
	}
	return all
}

func (m *masker) mask(kind byte, body []byte) []byte {
	switch {
	case kind == 'K' && len(body) >= 4:
		binary.BigEndian.PutUint32(body, m.self) // two sessions may have had the same one
		clear(body[4:])
	case kind == 'A' && len(body) >= 4:
		m.replace(body, m.pids)
	case kind == 'T':
		m.rowDescription(body)
	case kind == 't' && len(body) >= 2:
		for at := 2; at+4 <= len(body); at += 4 {
			m.replace(body[at:], m.oids)
		}
	}
	if bytes.Contains(body, []byte("temp_")) {
		body = tempSchema.ReplaceAll(body, []byte("pg_temp"))
	}
	for i, digits := range m.digits {
		body = bytes.ReplaceAll(body, digits, fmt.Appendf(nil, "<pid of %d>", i+1)[:len(digits)])
	}
	for _, mask := range m.masks {
		body = mask.ReplaceAll(body, []byte("~"))
	}
	return body
}

// replace puts the order of appearance in place of a number: the same one stays the same, another stays another.
func (m *masker) replace(at []byte, known map[uint32]uint32) {
	n := binary.BigEndian.Uint32(at)
	if _, seen := known[n]; !seen && n >= firstNormalOID {
		known[n] = firstNormalOID + uint32(len(known))
	}
	if number, seen := known[n]; seen {
		binary.BigEndian.PutUint32(at, number)
	}
}

// rowDescription masks the table's and the type's OID of each column.
func (m *masker) rowDescription(body []byte) {
	for at := 2; at < len(body); {
		end := bytes.IndexByte(body[at:], 0)
		if end < 0 || at+end+19 > len(body) {
			return
		}
		column := body[at+end+1:]
		m.replace(column, m.oids)
		m.replace(column[6:], m.oids)
		at += end + 19
	}
}

// firstDifference returns where two transcripts part, -1 if they are the same.
func firstDifference(a, b transcript) int {
	for i := range max(len(a.items), len(b.items)) {
		if i >= len(a.items) || i >= len(b.items) || !a.items[i].equal(b.items[i]) {
			return i
		}
	}
	return -1
}

// tell shows both sides message by message, and marks the first difference.
func tell(direct, proxied transcript, name string) string {
	at := firstDifference(direct, proxied)
	var b strings.Builder
	for _, side := range []struct {
		name string
		transcript
	}{{"PostgreSQL", direct}, {name, proxied}} {
		fmt.Fprintf(&b, "session %s, %s:\n", side.label, side.name)
		for i, item := range side.items {
			mark := "      "
			if i == at {
				mark = "  >>> "
			}
			fmt.Fprintf(&b, "%s%s\n", mark, item)
		}
		if at >= len(side.items) {
			b.WriteString("  >>> ")
		} else {
			b.WriteString("      ")
		}
		b.WriteString("(end)\n")
	}
	if at >= 0 && at < len(direct.items) && at < len(proxied.items) {
		a, b2 := direct.items[at].body, proxied.items[at].body
		same := 0
		for same < min(len(a), len(b2)) && a[same] == b2[same] {
			same++
		}
		fmt.Fprintf(&b, "from byte %d of the body: %q and %q\n", same, cut(a[same:]), cut(b2[same:]))
	}
	return b.String()
}

const shown = 300 // of a body

func cut(body []byte) []byte { return body[:min(len(body), shown)] }

func (i item) equal(other item) bool { return i.kind == other.kind && bytes.Equal(i.body, other.body) }

func (i item) String() string {
	switch {
	case i.kind == 0:
		return fmt.Sprintf("bytes %q", i.body)
	case (i.kind == 'E' || i.kind == 'N') && len(i.body) < 4000:
		return fmt.Sprintf("%c %s", i.kind, strings.Join(i.fields(), " "))
	case i.kind == 'K':
		return fmt.Sprintf("K (pid and secret, %d bytes)", len(i.body))
	case len(i.body) > shown:
		return fmt.Sprintf("%c %q... (%d bytes)", i.kind, cut(i.body), len(i.body))
	default:
		return fmt.Sprintf("%c %q", i.kind, i.body)
	}
}

// fields are those of an ErrorResponse or NoticeResponse, in their order.
func (i item) fields() (all []string) {
	for field := range strings.SplitSeq(strings.TrimSuffix(string(i.body), "\x00\x00"), "\x00") {
		if len(field) > 0 {
			all = append(all, fmt.Sprintf("%c=%q", field[0], field[1:]))
		}
	}
	return all
}

// withoutSource is String without the place in PostgreSQL's source, which gprxy's own messages do not have and which
// is another in each release.
func (i item) withoutSource() string {
	if i.kind != 'E' && i.kind != 'N' {
		return i.String()
	}
	fields := slices.DeleteFunc(i.fields(), func(f string) bool { return strings.Contains("FLR", f[:1]) })
	return fmt.Sprintf("%c %s", i.kind, strings.Join(fields, " "))
}

// bytesOf is the stream as it came, for sees.
func bytesOf(peers []*peer) string {
	var b strings.Builder
	for _, c := range peers {
		for _, i := range c.seen {
			if i.kind == 0 {
				b.Write(i.body)
				continue
			}
			b.WriteString(message(i.kind, string(i.body)))
		}
	}
	return b.String()
}
