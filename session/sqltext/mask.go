package sqltext

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"unicode/utf8"
)

// A Masker masks what is secret in the texts of one person. It is not safe for concurrent use.
type Masker struct {
	names *Names
	key   []byte
	mac   hash.Hash
}

// NewMasker gives one that knows these names. The key makes marks of it: whoever has not the key cannot
// find out by them what was masked.
func NewMasker(names *Names, key []byte) *Masker {
	return &Masker{names: names.orBuiltIn(), key: key, mac: hmac.New(sha256.New, key)}
}

// Settings are those on which it depends where a literal ends.
type Settings struct {
	Backslashes bool   // standard_conforming_strings is off
	OldNumbers  bool   // PostgreSQL is older than 16
	Encoding    string // client_encoding
	Unsure      bool   // the text may be read with others: statements that can change them are under way
}

// Options of a text.
type Options struct {
	Settings
	// Executes gives the parameters that are secret of the statement with that name, which EXECUTE in
	// SQL runs, and whether it is known. nil: no statement has any. A name is as NameKey gives it.
	Executes func(name string) (Params, bool)
}

// Masked is a text as it may be kept.
type Masked struct {
	Text     string
	Hidden   bool   // something of it is masked
	Params   Params // parameters that stand where secrets do
	Prepared []Prepared

	// TwoReadings says that more than one reading of the text is possible, and what one takes for a secret
	// the other does not. What is code in any of them is not masked.
	TwoReadings bool
}

// NameKey is the name of a prepared statement as Options.Executes gets it.
func NameKey(name string) string {
	name = lowerName(name)
	return name[:min(len(name), longestName)]
}

// lowerName is strings.ToLower, which makes one character of all bytes that are no UTF-8: they are kept, so that names
// in other encodings stay apart.
func lowerName(name string) string {
	if utf8.ValidString(name) {
		return strings.ToLower(name)
	}
	kept := []byte(name)
	for i, c := range kept {
		kept[i] = lower(c)
	}
	return string(kept)
}

const longestName = 63 // of PostgreSQL

// Mask masks a text.
func (m *Masker) Mask(text string, o Options) Masked {
	if m.names.suspect(text, 0) < 0 && (o.Executes == nil || !mentionsExecute(text)) {
		return Masked{Text: text}
	}
	s := m.stream(o, readings(text, o.Settings))
	s.out = &ends{most: -1}
	s.read(text, true)
	return s.masked()
}

func mentionsExecute(text string) bool {
	for i := 0; ; i++ {
		at := strings.IndexAny(text[i:], "eE")
		if at < 0 {
			return false
		}
		i += at
		if len(text)-i >= 7 && strings.EqualFold(text[i:i+7], "execute") {
			return true
		}
	}
}

// MaskValue masks what looks like a secret in a value, or in what PostgreSQL says.
func (m *Masker) MaskValue(v string) string {
	if m.names.suspect(v, 0) < 0 {
		return v
	}
	w := weave{m: m, out: &ends{most: -1}, src: v}
	at := 0
	m.names.secretsIn(v, func(from, to int) {
		w.put(from-at, shown)
		w.put(to-from, hidden)
		at = to
	})
	w.put(len(v)-at, shown)
	w.endRun()
	return w.out.String()
}

// HideValue gives what stands for a value that is secret.
func (m *Masker) HideValue(v string) string {
	m.mac.Reset()
	m.mac.Write([]byte(v))
	return m.mark(len(v))
}

// NamesSecret tells whether a value is nothing but a name of a secret, as the first argument of
// set_config('app.password', …) is: then the values beside it must not be kept.
func (m *Masker) NamesSecret(v string) bool { return m.names.suspect(v, 0) >= 0 && m.names.isKey(v) }

// Sum gives the keyed hash of a whole text of which sum is the SHA-256.
func (m *Masker) Sum(sum []byte) string {
	m.mac.Reset()
	m.mac.Write(sum)
	return hex.EncodeToString(m.mac.Sum(nil))
}

// mark stands for what was written to mac.
func (m *Masker) mark(n int) string {
	var sum [sha256.Size]byte
	m.mac.Sum(sum[:0])
	return fmt.Sprintf("<masked %d bytes #%x>", n, sum[:markBytes])
}

// markBytes is how much of the keyed hash a mark has: enough to tell a session's secrets apart.
const markBytes = 4

// readings gives the ways in which the text can be read.
func readings(text string, s Settings) []ways {
	one := ways{reading: reading{backslashes: s.Backslashes, oldNumbers: s.OldNumbers, wide: wideOf(s.Encoding)}, bodies: s.Backslashes}
	quotes := strings.Contains(text, `\'`)
	all := []ways{one}
	if quotes && mayRunLater(text) {
		all = append(all, ways{one.reading, !one.bodies})
	}
	if !s.Unsure {
		return all
	}
	if quotes {
		for _, w := range all {
			w.backslashes = !w.backslashes
			all = append(all, w)
		}
	}
	if hasWide(text) {
		for _, w := range all {
			for _, other := range []wide{narrow, pairs, sjis} {
				if other != w.wide {
					w2 := w
					w2.wide = other
					all = append(all, w2)
				}
			}
		}
	}
	return all
}

// allReadings are those of a text of which the end is not known.
func allReadings(s Settings) []ways { return readings(`\' as do `+"\x81\\", s) }

// ways are what decides where literals end in a text, and in the bodies that stand in it: those are read
// when they run.
type ways struct {
	reading
	bodies bool
}

// mayRunLater is a quick look for bodies.
func mayRunLater(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "do") || strings.Contains(text, "as") || strings.Contains(text, "execute")
}

// hasWide tells whether a backslash may be half of a character.
func hasWide(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] >= 0x80 && text[i+1] >= '0' && text[i+1] < 0x80 && !isWordStart(text[i+1]) {
			return true
		}
	}
	return false
}

// wideOf: these encodings are for clients alone, since their characters may end in a byte of ASCII.
func wideOf(encoding string) wide {
	switch strings.ToUpper(encoding) {
	case "SJIS", "SHIFT_JIS_2004":
		return sjis
	case "BIG5", "GBK", "UHC", "GB18030", "JOHAB":
		return pairs
	}
	return narrow
}
