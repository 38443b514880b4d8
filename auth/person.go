// When two spellings name one person.

package auth

import (
	"strings"
	"unicode"
)

// FoldUser gives one spelling to a name that looks like an email address, since the directories behind
// issuers compare those without regard to case. Other names, and sub by its standard (OpenID Connect Core
// section 2), are compared as they are.
//
// A letter is folded only if its capital is the letter that came: the Kelvin sign and the dotted capital I
// have small letters that are other letters' too, and two people must never become one.
func FoldUser(name string) string {
	if !looksLikeEmail(name) {
		return name
	}
	return strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); unicode.ToUpper(lower) == r {
			return lower
		}
		return r
	}, name)
}

// looksLikeEmail asks for a dot in the domain: "CLIENT@clients", Auth0's name of a program, is no address.
func looksLikeEmail(name string) bool {
	local, domain, ok := strings.Cut(name, "@")
	dot := strings.LastIndexByte(domain, '.')
	return ok && local != "" && dot > 0 && dot < len(domain)-1 && !strings.Contains(domain, "@") &&
		!strings.ContainsFunc(name, unicode.IsSpace)
}
