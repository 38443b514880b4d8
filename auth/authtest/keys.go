// Signing keys: made, published, rotated.

package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

type signingKey struct {
	id      string
	alg     string
	private crypto.Signer
	public  map[string]any // as the key set shows it
}

// Rotate replaces every key by a new one under a new id; the old ones are no
// longer published.
func (i *Issuer) Rotate() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var keys []signingKey
	for _, alg := range i.options.Algorithms {
		key, err := newSigningKey(alg, fmt.Sprintf("%s-%d", alg, i.rotation+1))
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	i.keys = keys
	i.rotation++
	return nil
}

// Publish adds keys to the key set as they are, odd and broken ones included.
func (i *Issuer) Publish(keys ...map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.extra = append(i.extra, keys...)
}

// PublicKeys returns the issuer's own keys as the key set shows them.
func (i *Issuer) PublicKeys() []map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	var keys []map[string]any
	for _, key := range i.keys {
		keys = append(keys, maps.Clone(key.public))
	}
	return keys
}

func (i *Issuer) key(alg string) (signingKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if alg == "" {
		return i.keys[0], nil
	}
	n := slices.IndexFunc(i.keys, func(k signingKey) bool { return k.alg == alg })
	if n < 0 {
		return signingKey{}, fmt.Errorf("the test issuer has no %s key, only %v", alg, i.options.Algorithms)
	}
	return i.keys[n], nil
}

func newSigningKey(alg, id string) (signingKey, error) {
	private, err := newPrivateKey(alg)
	if err != nil {
		return signingKey{}, fmt.Errorf("make a key for %s: %w", alg, err)
	}
	public, err := PublicJWK(private.Public(), map[string]any{"kid": id, "alg": alg, "use": "sig"})
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{id, alg, private, public}, nil
}

func newPrivateKey(alg string) (crypto.Signer, error) {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return nil, fmt.Errorf("the algorithm %q is not known", alg)
	}
}

// PublicJWK writes a key as a JWK, for Publish. Fields are added to it.
func PublicJWK(key any, fields map[string]any) (map[string]any, error) {
	parsed, err := jwk.FromRaw(key)
	if err != nil {
		return nil, fmt.Errorf("write a key as JWK: %w", err)
	}
	data, err := json.Marshal(parsed)
	if err != nil {
		return nil, fmt.Errorf("write a key as JWK: %w", err)
	}
	public := map[string]any{}
	if err := json.Unmarshal(data, &public); err != nil {
		return nil, fmt.Errorf("write a key as JWK: %w", err)
	}
	maps.Copy(public, fields)
	return public, nil
}
