// Reading claims: whom a token names, which roles it gives, when it holds.

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

const maxTextBytes = 256 // of a user, a subject, a role, a token id, a key id

// claims is a token's payload as decodeObject reads it.
type claims map[string]any

// lookup finds a claim by its exact name, else by a dotted path into nested
// objects ("realm_access.roles"), where a part may itself contain dots.
func (c claims) lookup(path string) (any, bool) {
	if value, ok := c[path]; ok {
		return value, value != nil
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if nested, ok := c[path[:i]].(map[string]any); ok {
			if value, ok := claims(nested).lookup(path[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// userClaim is the claim that names the person: the configured one, else email, else sub.
func (c claims) userClaim(configured string) string {
	if configured != "" {
		return configured
	}
	if email, _ := c["email"].(string); email != "" && c.emailVerified() {
		return "email"
	}
	return "sub"
}

// user names the person as the token spells it.
func (c claims) user(claim string) (string, error) {
	claim = c.userClaim(claim)
	value, ok := c.lookup(claim)
	if !ok {
		return "", refuse(ReasonNoIdentity, "it has no claim "+quote(claim))
	}
	if claim == "email" && !c.emailVerified() {
		return "", refuse(ReasonNoIdentity, "the issuer did not verify the email")
	}
	user, _ := value.(string)
	if !isPlainText(user) {
		return "", refuse(ReasonNoIdentity, fmt.Sprintf(
			"the claim %s is not a text of 1 to %d bytes without control characters", quote(claim), maxTextBytes))
	}
	return user, nil
}

// emailVerified takes an absent email_verified for yes, as most issuers verify
// and do not say so, and anything but true or "true" (Cognito's spelling) for no.
func (c claims) emailVerified() bool {
	value, present := c["email_verified"]
	return !present || value == true || value == "true"
}

// subject returns sub, or nothing if the token has none.
func (c claims) subject() (string, error) {
	value, ok := c.lookup("sub")
	if !ok || value == "" {
		return "", nil
	}
	subject, _ := value.(string)
	if !isPlainText(subject) {
		return "", refuse(ReasonBadClaims, "sub is not a plain text")
	}
	return subject, nil
}

// tokenID returns jti, else a fingerprint that cannot be turned back into the token.
func (c claims) tokenID(token string) string {
	if jti, _ := c["jti"].(string); isPlainText(jti) {
		return jti
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// audiences returns whom the token is for, by the claim that says so: one text or a list of texts.
func (c claims) audiences(claim string) ([]string, error) {
	switch value := c[claim].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{value}, nil
	case []any:
		list := make([]string, len(value))
		for i, element := range value {
			audience, ok := element.(string)
			if !ok {
				return nil, refuse(ReasonBadClaims, claim+" has an element that is not a text")
			}
			list[i] = audience
		}
		return list, nil
	default:
		return nil, refuse(ReasonBadClaims, claim+" is neither a text nor a list of texts")
	}
}

// time reads a NumericDate, seconds since 1970 with or without a fraction.
func (c claims) time(name string) (when time.Time, present bool, err error) {
	value, present := c[name]
	if !present {
		return time.Time{}, false, nil
	}
	const year10000 = 253402300800
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds >= year10000 {
		return time.Time{}, true, refuse(ReasonBadClaims, name+" is not a time")
	}
	return time.UnixMicro(int64(seconds * 1e6)).UTC(), true, nil
}

// isPlainText reports whether s can stand in a log, a list and a comparison
// and look like what it is: not empty, short, no control, formatting or
// invisible characters, no space at its ends.
func isPlainText(s string) bool {
	if s == "" || len(s) > maxTextBytes || strings.TrimSpace(s) != s {
		return false
	}
	// What is not UTF-8 reads as the replacement character.
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar
	})
}
