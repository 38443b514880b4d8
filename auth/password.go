// Telling a token from a password: what is meant as one must never reach PostgreSQL.

package auth

import (
	"encoding/base64"
	"strings"
	"unicode"
)

// LooksLikeToken reports whether text is a token by its form: three
// base64url parts, the first of them a JSON object with "alg", at most
// MaxTokenBytes long. It says nothing about whether the token is good. Cheap.
func LooksLikeToken(text string) bool {
	head, body, signature, ok := splitToken(text)
	if !ok || len(body) == 0 || !isBase64URL(body) || !isBase64URL(signature) {
		return false
	}
	object, _ := decodeHeader(head) // nil with an error
	_, ok = object["alg"]
	return ok
}

// TokenIn takes the token out of a password that is meant as one: people paste it with quotes, blanks, line
// breaks or the word Bearer around it. It also takes what is a token no more (cut off), or none that can
// be read here (encrypted), so that it is refused for that, and PostgreSQL never gets to see it. Cheap.
//
// What it looks for is the beginning of a token's header. A password gives that only by an unlikely chance:
// dots, or eyJ alone, are not enough.
func TokenIn(password string) (token string, meant bool) {
	token = unwrap(password)
	if LooksLikeToken(token) || beginsLikeToken(token) || isOpaqueToken(token) {
		return token, true
	}
	return "", false
}

// unwrap takes off what stands around a token.
func unwrap(text string) string {
	const quotes = "\"'`“”‘’"
	for {
		before := text
		text = strings.TrimFunc(text, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.Is(unicode.C, r) || strings.ContainsRune(quotes, r)
		})
		text = cutWord(text, "authorization:")
		text = cutWord(text, "bearer ")
		if text == before {
			return text
		}
	}
}

func cutWord(text, word string) string {
	if len(text) > len(word) && strings.EqualFold(text[:len(word)], word) {
		return text[len(word):]
	}
	return text
}

// beginsLikeToken reports whether text begins like the header of a token: base64url of a JSON object, of which
// as much as stands in the first characters is printable ASCII.
func beginsLikeToken(text string) bool {
	const first = 4 * 16 // characters that are looked at
	head, _, _ := strings.Cut(text[:min(len(text), first)], ".")
	head = head[:strings.IndexFunc(head+" ", func(r rune) bool { return r > unicode.MaxASCII || !isBase64URL(string(r)) })]
	begin, err := base64.RawURLEncoding.DecodeString(head[:len(head)/4*4])
	if err != nil {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimLeft(string(begin), " \t\r\n"), "{")
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " \t\r\n"), `"`)
	return ok && len(rest) >= 3 && isASCIIPrint(rest)
}

func isASCIIPrint(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' || r > '~') && !strings.ContainsRune("\t\r\n", r) })
}

// isOpaqueToken knows the form of Google's access tokens, which are good for Google alone.
func isOpaqueToken(text string) bool {
	const long = 60
	rest, ok := strings.CutPrefix(text, "ya29.")
	return ok && len(rest) >= long && isBase64URL(strings.ReplaceAll(rest, ".", ""))
}
