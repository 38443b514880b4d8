// Making a stranger's text fit for a person's terminal.

package sso

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gprxy/auth"
)

const maxShown = 200 // bytes of an issuer's text that a message repeats

// shown quotes a text: short, escaped, ASCII.
func shown(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%+q…", cut(s))
	}
	return fmt.Sprintf("%+q", s)
}

// clean makes an issuer's description fit for an error: one line, short, and
// without the secrets that were sent to it, which a careless issuer may repeat.
func clean(s string, secrets ...auth.Secret) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret.Reveal(), "[secret]")
		}
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	for i, word := range words {
		if strings.Contains(word, "eyJ") { // how every JWT begins
			words[i] = "[secret]"
		}
	}
	s = strings.Join(words, " ")
	if len(s) > maxShown {
		s = cut(s) + "…"
	}
	return strings.ToValidUTF8(strings.TrimRight(s, ".;: "), "?")
}

func cut(s string) string {
	n := maxShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// isPrintable reports whether s can be shown on a terminal as it is.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func itoa(n int) string { return strconv.Itoa(n) }
