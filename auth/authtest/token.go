// Minting tokens, good ones and forged ones.

package authtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Claims are set on top of the usual ones; nil removes one.
type Claims map[string]any

// Token mints an access token, valid for an hour, signed by the issuer's first
// key: iss, aud, sub ("test|1"), iat, exp and a jti of its own, with claims on
// top. It panics if the claims cannot be written as JSON.
func (i *Issuer) Token(c Claims) string {
	token, err := i.Sign("", nil, c)
	if err != nil {
		panic(err)
	}
	return token
}

// Sign mints like Token with the key for alg (empty: the first). Header fields
// are set on top of alg, kid and typ; nil removes one.
func (i *Issuer) Sign(alg string, header map[string]any, c Claims) (string, error) {
	return i.SignPayload(alg, header, i.claims(c))
}

// SignPayload signs like Sign, but exactly this payload (a json.RawMessage, say).
func (i *Issuer) SignPayload(alg string, header map[string]any, payload any) (string, error) {
	key, err := i.key(alg)
	if err != nil {
		return "", err
	}
	usual := map[string]any{"alg": key.alg, "kid": key.id, "typ": "at+jwt"}
	return Forge(key.alg, key.private, overlay(usual, header), payload)
}

func (i *Issuer) claims(c Claims) map[string]any {
	i.mu.Lock()
	i.minted++
	id := fmt.Sprintf("token-%d", i.minted)
	i.mu.Unlock()
	now := i.options.Now()
	return overlay(map[string]any{
		"iss": i.url,
		"aud": i.options.Audience,
		"sub": "test|1",
		"iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(),
		"jti": id,
	}, c)
}

// Forge puts a token together from any header and claims and signs it with
// any key as signAs says, whatever the header claims. An empty signAs leaves the
// signature empty.
func Forge(signAs string, key any, header, claims any) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("write the token's header: %w", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write the token's claims: %w", err)
	}
	input := encode(head) + "." + encode(body)
	if signAs == "" {
		return input + ".", nil
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(signAs))
	if err != nil {
		return "", fmt.Errorf("sign the token with %s: %w", signAs, err)
	}
	signature, err := signer.Sign([]byte(input), key)
	if err != nil {
		return "", fmt.Errorf("sign the token with %s: %w", signAs, err)
	}
	return input + "." + encode(signature), nil
}

func overlay(base, top map[string]any) map[string]any {
	maps.Copy(base, top)
	maps.DeleteFunc(base, func(_ string, value any) bool { return value == nil })
	return base
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
