// Reading claims: whom a token names, which roles it gives, when it holds.

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	maxRoles     = 1000
	maxTextBytes = 256 // of a user, a subject, a role, a token id, a key id
)

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

// user names the person: the configured claim, else email, else sub.
func (c claims) user(claim string) (string, error) {
	if claim == "" {
		claim = "sub"
		if email, _ := c["email"].(string); email != "" && c.emailVerified() {
			claim = "email"
		}
	}
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

// roles returns the roles in the token's order, each once; none is no error.
func (c claims) roles(claim string) ([]string, error) {
	if claim == "" {
		claim = c.rolesClaim()
	}
	value, ok := c.lookup(claim)
	if !ok {
		return nil, nil
	}
	list, err := roleList(claim, value)
	if err != nil {
		return nil, err
	}
	if len(list) > maxRoles {
		return nil, refuse(ReasonBadClaims, fmt.Sprintf("%s has more than %d roles", quote(claim), maxRoles))
	}
	var roles []string
	seen := make(map[string]bool, len(list))
	for _, role := range list {
		if role == "" || seen[role] {
			continue
		}
		if !isPlainText(role) {
			return nil, refuse(ReasonBadClaims, fmt.Sprintf(
				"%s has a role over %d bytes or with control characters", quote(claim), maxTextBytes))
		}
		seen[role] = true
		roles = append(roles, role)
	}
	return roles, nil
}

// rolesClaim finds where roles stand when no setting says so. Auth0 wants
// custom claims under a URL, such as https://example.com/roles.
func (c claims) rolesClaim() string {
	for _, name := range []string{"roles", "role", "groups"} {
		if c[name] != nil {
			return name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if strings.HasSuffix(name, "/roles") && c[name] != nil {
			return name
		}
	}
	return ""
}

// roleList takes a list of texts, or one text for one role: "Domain Admins"
// must not become the role "Admins". Only scope and scp are lists in one
// text by their own standard (RFC 8693 section 4.2).
func roleList(claim string, value any) ([]string, error) {
	switch value := value.(type) {
	case string:
		if name := claim[strings.LastIndexByte(claim, '.')+1:]; name == "scope" || name == "scp" {
			return strings.Fields(value), nil
		}
		return []string{value}, nil
	case []any:
		list := make([]string, len(value))
		for i, element := range value {
			role, ok := element.(string)
			if !ok {
				return nil, refuse(ReasonBadClaims, quote(claim)+" has an element that is not a text")
			}
			list[i] = role
		}
		return list, nil
	default:
		return nil, refuse(ReasonBadClaims, quote(claim)+" is neither a text nor a list of texts")
	}
}

// audiences returns aud, which is one text or a list of texts.
func (c claims) audiences() ([]string, error) {
	switch value := c["aud"].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{value}, nil
	case []any:
		return roleList("aud", value)
	default:
		return nil, refuse(ReasonBadClaims, "aud is neither a text nor a list of texts")
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
