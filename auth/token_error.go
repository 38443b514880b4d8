// Why a token was refused.

package auth

import "time"

// Reason is why a token was refused, in the words of the event log.
const (
	ReasonMalformed         = "malformed"          // not a JWT, or one this package does not read
	ReasonTooLarge          = "too_large"          // over MaxTokenBytes
	ReasonWrongIssuer       = "wrong_issuer"       // iss is not the configured issuer
	ReasonWrongAudience     = "wrong_audience"     // aud does not contain the configured audience
	ReasonExpired           = "expired"            // past exp and the leeway
	ReasonNotYetValid       = "not_yet_valid"      // nbf or iat lies in the future
	ReasonUnknownKey        = "unknown_key"        // the issuer publishes no such key
	ReasonBadSignature      = "bad_signature"      // the key is known, the signature is not its own
	ReasonBadAlgorithm      = "bad_algorithm"      // none, HMAC, or one that does not fit the key
	ReasonNoIdentity        = "no_identity"        // no claim names the person
	ReasonBadClaims         = "bad_claims"         // a claim has the wrong type or size
	ReasonRequiredClaim     = "required_claim"     // a claim that REQUIRED_CLAIMS asks for is missing or has another value
	ReasonEncrypted         = "encrypted"          // five parts (JWE): only whoever it was made for can read it
	ReasonTruncated         = "truncated"          // the beginning of a token
	ReasonOpaque            = "opaque"             // a token that only its issuer can read
	ReasonIssuerUnavailable = "issuer_unavailable" // no usable keys, and the issuer does not answer
)

// TokenError is a refused token. Its text and fields never contain the token;
// what they quote from it is shortened and escaped.
type TokenError struct {
	Reason  string // one of the Reason constants
	Detail  string // for the operator, in plain words
	Issuer  string // what the token claims, signed or not
	TokenID string // only when the signature was valid
	User    string // only when the signature was valid
	Genuine bool   // the signature was valid: the issuer made this token
	Expires time.Time
	Err     error // what lies beneath, may be nil
}

func (e *TokenError) Error() string {
	text := "token refused (" + e.Reason + ")"
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *TokenError) Unwrap() error { return e.Err }
