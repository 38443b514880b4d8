package sqltext

import "strings"

// A Watch looks for what Mask would find in a text that passes by piece by piece and is not kept.
// The zero value is ready.
type Watch struct {
	found bool
	tail  string // of what has passed, in which a word may have begun
}

// Longer than any word of secretWord, and than what stands before the @ of most URLs.
const watchTail = 256

// See takes in the next piece.
func (w *Watch) See(piece []byte) {
	if w.found {
		return
	}
	text := w.tail + string(piece)
	w.found = secretBegins(text)
	w.tail = strings.Clone(text[max(0, len(text)-watchTail):])
}

// Found tells whether a word that names a secret has passed, or a URL with a password.
func (w *Watch) Found() bool { return w.found }

// secretBegins is suspicious without most of its mistakes.
func secretBegins(text string) bool {
	for at := 0; ; at++ {
		next := nextSuspect(text[at:])
		if next < 0 {
			return false
		}
		at += next
		near := text[at:min(len(text), at+watchTail)]
		if secretWordHere.MatchString(near) || passwordInURLHere.MatchString(near) {
			return true
		}
	}
}
