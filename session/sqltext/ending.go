package sqltext

// ending is how a value ends in a literal that is no SQL, and how far it has come if the literal comes in pieces.
type ending struct {
	quote byte // at this quote
	loose bool // at a space or quote
	depth int  // at the bracket that shuts so many, as an array or object of JSON does
	// If it is none of these, it ends where the word does.

	text    bool // of JSON: within a string
	escaped bool // behind a backslash
}

// of is where the value ends that goes on at byte i, and how it goes on there if that is the end of s.
func (e ending) of(s string, i int) (end int, _ ending) {
	if e.quote == 0 && !e.loose && e.depth == 0 {
		return wordEnd(s, i), e
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case e.escaped:
			e.escaped = false
		case c == '\\':
			e.escaped = true
		case e.quote != 0:
			if c == e.quote {
				return i, e
			}
		case e.loose:
			if isSpace(c) || c == '\'' || c == '"' {
				return i, e
			}
		default:
			if e.bracket(c); e.depth == 0 {
				return i, e
			}
		}
	}
	return i, e
}

// bracket follows the brackets of JSON.
func (e *ending) bracket(c byte) {
	switch {
	case c == '"':
		e.text = !e.text
	case e.text:
	case c == '[' || c == '{':
		e.depth++
	case c == ']' || c == '}':
		e.depth--
	}
}

// member finds the next string, from byte at on, of a JSON value in which something may do something, so that it is not masked
// as a whole. Names of members are taken for values.
func (p *plainText) member(s string, at int, last bool) valueAt {
	for at = max(at, p.behind); at < p.members; {
		if s[at] != '"' {
			at++
			continue
		}
		from := at + 1
		to, e := ending{quote: '"'}.of(s, from)
		if at = to + 1; to > from && p.isHarmless(s, from, to, last) {
			p.behind = at
			return valueAt{from: from, to: to, ending: e}
		}
	}
	return valueAt{from: -1}
}
