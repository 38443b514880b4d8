package store

import "strings"

// mostShortened is how many bytes of a text that others had a hand in an event has.
const mostShortened = 500

// Shorten bounds a text for an event that a client, an issuer or PostgreSQL had a hand in.
func Shorten(text string) string {
	if len(text) > mostShortened {
		text = strings.ToValidUTF8(text[:mostShortened], "") + "…"
	}
	return text
}
