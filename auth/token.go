// The compact form of a JWT: recognised, taken apart, nothing believed yet.

package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxTokenBytes is the largest token looked at: 64 KiB.
	MaxTokenBytes = 64 << 10

	// maxHeaderBytes bounds the encoded header; one with a chain of certificates in x5c has about 8 kB.
	maxHeaderBytes = 16 << 10
)

// parsedToken is a token taken apart. Nothing in it is proved.
type parsedToken struct {
	header    header
	issuer    string // as claimed; empty if it is no text
	payload   []byte // JSON, read in full only once the signature was checked
	input     []byte // what the signature covers
	signature []byte
}

// header is all of the JOSE header that is used. jwk, jku, x5c and x5u, by
// which a token would bring its own key, are not even read.
type header struct {
	alg string
	kid string
}

func splitToken(token string) (head, body, signature string, ok bool) {
	if len(token) > MaxTokenBytes {
		return "", "", "", false
	}
	head, rest, _ := strings.Cut(token, ".")
	body, signature, ok = strings.Cut(rest, ".")
	return head, body, signature, ok && !strings.Contains(signature, ".")
}

func parseToken(token string) (*parsedToken, error) {
	if len(token) > MaxTokenBytes {
		return nil, refuse(ReasonTooLarge, fmt.Sprintf("it has %d bytes, the limit is %d", len(token), MaxTokenBytes))
	}
	head, body, signature, ok := splitToken(token)
	if !ok {
		return nil, wrongParts(token)
	}
	object, err := decodeHeader(head)
	if err != nil {
		return nil, refuse(ReasonMalformed, "its header "+err.Error())
	}
	t := &parsedToken{input: []byte(token[:len(head)+1+len(body)])}
	if t.header, err = readHeader(object); err != nil {
		return nil, err
	}
	if t.payload, err = decodePart(body); err != nil {
		return nil, refuse(ReasonMalformed, "its payload "+err.Error())
	}
	if t.issuer, err = peekIssuer(t.payload); err != nil {
		return nil, refuse(ReasonMalformed, "its payload "+err.Error())
	}
	if t.signature, err = decodePart(signature); err != nil {
		return nil, refuse(ReasonMalformed, "its signature "+err.Error())
	}
	return t, nil
}

// wrongParts tells tokens of another form from pieces of one.
func wrongParts(token string) error {
	switch dots := strings.Count(token, "."); {
	case dots == 4:
		return refuse(ReasonEncrypted, "it has five parts: it is encrypted (JWE), and only whoever it was made for can read it; "+
			"the issuer must be told to make signed tokens for AUDIENCE")
	case isOpaqueToken(token):
		return refuse(ReasonOpaque, "it is one of Google's access tokens, which only Google can read; gprxy takes the ID token")
	case dots < 2 && beginsLikeToken(token):
		return refuse(ReasonTruncated, fmt.Sprintf("it has %d of three parts: was it cut off?", dots+1))
	default:
		return refuse(ReasonMalformed, "it does not have three parts")
	}
}

func decodeHeader(part string) (map[string]any, error) {
	if len(part) > maxHeaderBytes {
		return nil, fmt.Errorf("has more than %d bytes", maxHeaderBytes)
	}
	data, err := decodePart(part)
	if err != nil {
		return nil, err
	}
	return decodeObject(data)
}

func readHeader(object map[string]any) (header, error) {
	h := header{}
	var ok bool
	if h.alg, ok = object["alg"].(string); !ok {
		return h, refuse(ReasonMalformed, "its header has no alg")
	}
	if kid, present := object["kid"]; present {
		if h.kid, ok = kid.(string); !ok || len(h.kid) > maxTextBytes {
			return h, refuse(ReasonMalformed, "the kid in its header is not a short text")
		}
	}
	if _, present := object["crit"]; present {
		return h, refuse(ReasonMalformed, "its header demands extensions (crit) that are not known here")
	}
	if typ, _ := object["typ"].(string); !isLoginType(typ) {
		return h, refuse(ReasonMalformed, "its type is "+quote(typ)+", neither an access token nor an ID token")
	}
	return h, nil
}

// peekIssuer looks for iss alone: decodeObject takes ten times as long, too
// much for a stranger's 64 kB. What it finds is believed only after decodeObject agreed.
func peekIssuer(payload []byte) (string, error) {
	var peek struct {
		Issuer json.RawMessage `json:"iss"`
	}
	if err := json.Unmarshal(payload, &peek); err != nil {
		return "", errors.New("is not a JSON object")
	}
	var issuer string
	if json.Unmarshal(peek.Issuer, &issuer) != nil {
		return "", nil
	}
	return issuer, nil
}

// isLoginType keeps out tokens that an issuer signs for other ends, such as
// logout+jwt or secevent+jwt (RFC 8725 section 3.11).
func isLoginType(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return typ == "at+jwt" || !strings.HasSuffix(typ, "+jwt")
}

// decodePart is strict: no padding, no line breaks (which encoding/base64 skips
// in silence), no stray bits, so a token has one spelling only.
func decodePart(part string) ([]byte, error) {
	if !isBase64URL(part) {
		return nil, errors.New("is not base64url")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	return data, nil
}

func isBase64URL(part string) bool {
	for i := range len(part) {
		c := part[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
