package sqltext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Stream masks a text that passes by piece by piece, and keeps its beginning and its end.
type Stream struct {
	weave
	others  []ways // to read it, which have made no difference yet
	readers []*reader
	pending []byte
}

// Stream begins a text, of which most bytes, masked, are to be kept: half from its beginning, half from its end.
func (m *Masker) Stream(most int, o Options) *Stream {
	m = NewMasker(m.names, m.key) // its hash runs through the whole text, while m is used for others
	all := allReadings(o.Settings)
	s := m.stream(o, all[:1])
	s.out = &ends{most: most / 2}
	s.others = all[1:]
	return s
}

func (m *Masker) stream(o Options, all []ways) *Stream {
	s := &Stream{weave: weave{m: m}}
	for _, w := range all {
		s.readers = append(s.readers, &reader{lexer: lexer{reading: w.reading}, bodies: w.bodies,
			findings: &findings{names: m.names, executes: o.Executes}})
	}
	s.listen()
	return s
}

// listen has the readers say to s what they find.
func (s *Stream) listen() {
	if len(s.readers) == 1 {
		s.readers[0].say = func(n int, _ class, h hiding) { s.put(n, h) }
		return
	}
	s.queues = make([]queue, len(s.readers))
	for i, r := range s.readers {
		r.say = func(n int, c class, h hiding) { s.add(i, span{n, c, h}) }
	}
}

// hasLongRun tells whether there are so many backslashes, or bytes beyond ASCII, in a row that they might
// not be kept together, see wayless.
func hasLongRun(text string) bool {
	run := 0
	for i := range len(text) {
		if run++; text[i] < 0x80 && text[i] != '\\' {
			run = 0
		}
		if run > longestRun/4 {
			return true
		}
	}
	return false
}

// part begins to read the text in other ways too, when what comes next can be read in more than one: to here
// all ways are one, and what one reader knows all do.
func (s *Stream) part() {
	one := s.readers[0]
	for _, w := range s.others {
		s.readers = append(s.readers, one.clone(w))
	}
	s.others = nil
	s.listen()
}

// slice is how much of a text that comes in pieces is read at a time.
const slice = 16 << 10

// Write takes in a piece.
func (s *Stream) Write(piece []byte) {
	for len(piece) > 0 {
		n := min(len(piece), slice-len(s.pending))
		s.pending = append(s.pending, piece[:n]...)
		piece = piece[n:]
		if len(s.pending) == slice {
			s.read(string(s.pending), false)
			s.pending = s.pending[:0]
		}
	}
}

// SoFar is the masked text as far as it is certain.
func (s *Stream) SoFar() string { return s.out.String() }

// End gives the whole.
func (s *Stream) End() Masked {
	s.read(string(s.pending), true)
	s.pending = nil
	return s.masked()
}

func (s *Stream) read(text string, last bool) {
	if len(s.others) > 0 {
		// The last byte before may have been a backslash, or the half of a character.
		if all := s.src[max(0, len(s.src)-1):] + text; strings.Contains(all, `\'`) || hasWide(all) || hasLongRun(text) {
			s.part()
		}
	}
	for len(s.readers) > 1 && len(text) > 4*slice { // so that the queues stay short
		s.read(text[:slice], false)
		text = text[slice:]
	}
	s.src += text
	for _, r := range s.readers {
		r.write(text, nil, last)
	}
	if last {
		s.endRun()
	}
}

func (s *Stream) masked() Masked {
	k := Masked{Text: s.out.String(), Hidden: s.hid, TwoReadings: s.differ}
	for _, r := range s.readers {
		k.Params = k.Params.Or(r.findings.params)
		k.Prepared = append(k.Prepared, r.prepared...)
	}
	return k
}

// span is what a reader says of so many bytes.
type span struct {
	n int
	c class
	h hiding
}

// queue holds what a reader has said that others have not said yet.
type queue []span

// weave puts the masked text together from what the readers say. What one hides is masked unless
// it is code to another.
type weave struct {
	m      *Masker
	out    *ends
	src    string // of which nothing was put out yet
	queues []queue

	hid    bool
	differ bool

	run   int // bytes that are being masked
	bare  bool
	marks int
}

// add takes in what a reader says, and puts out what all have spoken of.
func (w *weave) add(reader int, s span) {
	q := &w.queues[reader]
	if last := len(*q) - 1; last >= 0 && (*q)[last].c == s.c && (*q)[last].h == s.h && s.h == shown {
		(*q)[last].n += s.n
	} else {
		*q = append(*q, s)
	}
	for {
		n := -1
		for _, q := range w.queues {
			if len(q) == 0 {
				return
			}
			if n < 0 || q[0].n < n {
				n = q[0].n
			}
		}
		w.put(n, w.agreed())
		for i := range w.queues {
			q := &w.queues[i]
			if (*q)[0].n -= n; (*q)[0].n == 0 {
				*q = (*q)[1:]
			}
		}
	}
}

// agreed is what becomes of the bytes that come next.
func (w *weave) agreed() hiding {
	h, isCode, hides := shown, false, 0
	for _, q := range w.queues {
		if q[0].h != shown {
			h = q[0].h
			hides++
		} else if q[0].c == code {
			isCode = true
		}
	}
	w.differ = w.differ || hides > 0 && hides < len(w.queues)
	if isCode {
		return shown
	}
	return h
}

// put puts out the next bytes, or masks them.
func (w *weave) put(n int, h hiding) {
	if n == 0 {
		return
	}
	if h == shown {
		w.endRun()
		w.out.write(w.src[:n])
	} else {
		if w.run == 0 {
			w.m.mac.Reset()
			w.bare = h == bare
		}
		w.m.mac.Write([]byte(w.src[:n]))
		w.run += n
		w.hid = true
	}
	w.src = w.src[n:]
}

// manyMarks is how many marks of a text are whole. Those of more are short, so that what is
// masked is not much longer than what was sent.
const manyMarks = 1000

// Short stands for a secret where there are very many.
const Short = "***"

func (w *weave) endRun() {
	if w.run == 0 {
		return
	}
	mark := Short
	if w.marks++; w.marks <= manyMarks {
		mark = w.m.mark(w.run)
	}
	if w.bare {
		mark = "'" + mark + "'"
	}
	w.out.write(mark)
	w.run = 0
}

// ends keeps the beginning and the end of a text.
type ends struct {
	most int // bytes of each; negative: all is the beginning
	head []byte
	ring []byte
	at   int // where the ring begins, once it is full
	left int // bytes that fell out of it
}

func (e *ends) write(s string) {
	n := len(s)
	if e.most >= 0 {
		n = min(n, e.most-len(e.head))
	}
	e.head = append(e.head, s[:n]...)
	s = s[n:]
	if over := len(s) - e.most; over > 0 && e.most >= 0 {
		e.left += over + len(e.ring)
		e.ring, e.at = e.ring[:0], 0
		s = s[over:]
	}
	n = min(len(s), e.most-len(e.ring))
	if n > 0 {
		e.ring = append(e.ring, s[:n]...)
		s = s[n:]
	}
	for len(s) > 0 {
		n = copy(e.ring[e.at:], s)
		s = s[n:]
		e.left += n
		e.at = (e.at + n) % len(e.ring)
	}
}

// leftOut begins the mark that stands where some of a text is left out.
const leftOut = "<left out "

// Beginning is what stands before such a mark, or before what looks like one.
func Beginning(text string) string {
	text, _, _ = strings.Cut(text, leftOut)
	return text
}

// String is the text, with a mark where some is left out. It is cut between two characters of UTF-8.
func (e *ends) String() string {
	if e.left == 0 {
		return string(e.head) + string(e.ring)
	}
	tail := string(e.ring[e.at:]) + string(e.ring[:e.at])
	head := e.head[:wholeRunes(e.head)]
	from := 0
	for from < len(tail) && from < 4 && tail[from]&0xc0 == 0x80 {
		from++
	}
	return string(head) + fmt.Sprintf(leftOut+"%d bytes>", e.left+len(e.head)-len(head)+from) + tail[from:]
}

// wholeRunes is how much of b ends with a whole character of UTF-8.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}
