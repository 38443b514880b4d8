// The ID token: who has logged in, proved (OpenID Connect Core section 3.1.3.7).

package sso

import (
	"context"
	"crypto"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"gprxy/auth"
)

// clockLeeway is auth's own: within it a token's times are accepted.
const clockLeeway = 30 * time.Second

// readIDToken verifies an ID token that has just been issued. The Verifier sees
// to signature, algorithm, iss, aud and times; what ties the token to this login is
// left to do here. An empty nonce is not compared.
func (f *flow) readIDToken(ctx context.Context, id, access auth.Secret, nonce string) (auth.Identity, error) {
	who, err := f.ids.Verify(ctx, id.Reveal())
	if err != nil {
		return who, f.untrusted(ctx, id, err)
	}
	claims, err := peek(id)
	if err != nil {
		return who, f.distrust("it cannot be read")
	}
	headers, err := readHeaders(id)
	if err != nil {
		return who, f.distrust("it cannot be read")
	}
	azp, hash := text(claims, "azp"), text(claims, "at_hash")
	switch {
	case strings.HasSuffix(strings.ToLower(headers.Type()), "at+jwt"):
		return who, f.distrust("it is an access token")
	case nonce != "" && subtle.ConstantTimeCompare([]byte(text(claims, "nonce")), []byte(nonce)) != 1:
		return who, f.distrust("it was made for another login (its nonce is not this one's)")
	case who.Subject == "":
		return who, f.distrust("it names nobody (sub)")
	case azp != "" && azp != f.config.ClientID, azp == "" && len(claims.Audience()) > 1:
		return who, f.distrust("it was made for the client " + shown(azp) + " (azp), not for " + shown(f.config.ClientID))
	case hash != "" && hash != accessHash(headers.Algorithm().String(), access):
		return who, f.distrust("it does not belong to the access token (at_hash)")
	}
	return who, nil
}

// accessHash is the left half of the access token's hash, by the hash of the ID
// token's algorithm; EdDSA's, with Ed25519, is SHA-512.
func accessHash(alg string, access auth.Secret) string {
	hash := crypto.SHA512
	switch {
	case strings.HasSuffix(alg, "256"):
		hash = crypto.SHA256
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write([]byte(access.Reveal()))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// untrusted translates the Verifier's refusal.
func (f *flow) untrusted(ctx context.Context, id auth.Secret, err error) error {
	refused, ok := errors.AsType[*auth.TokenError](err)
	switch {
	case !ok:
		return f.distrust("it was refused")
	case refused.Reason == auth.ReasonIssuerUnavailable:
		return unreachable(ctx, f.config.Issuer, refused.Err)
	case refused.Reason == auth.ReasonExpired, refused.Reason == auth.ReasonNotYetValid:
		// The Verifier looks at the times last, so iat is the issuer's own word: its clock a moment ago.
		if claims, err := peek(id); err == nil && !claims.IssuedAt().IsZero() {
			if off := f.config.Now().Sub(claims.IssuedAt()); off.Abs() > clockLeeway {
				return &ClockError{Off: off}
			}
		}
	}
	return f.distrust(refused.Reason + colon(refused.Detail))
}

func (f *flow) distrust(reason string) error {
	return &IDTokenError{Issuer: f.config.Issuer, Reason: reason}
}

func readHeaders(token auth.Secret) (jws.Headers, error) {
	message, err := jws.ParseString(token.Reveal())
	if err != nil {
		return nil, err
	}
	return message.Signatures()[0].ProtectedHeaders(), nil // of which the compact form has one
}

// peek reads a JWT's claims without checking its signature.
func peek(token auth.Secret) (jwt.Token, error) {
	return jwt.ParseInsecure([]byte(token.Reveal()))
}

func text(claims jwt.Token, name string) string {
	value, _ := claims.Get(name)
	s, _ := value.(string)
	return s
}
