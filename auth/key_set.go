// A JWK set (RFC 7517): the keys an issuer signs with.

package auth

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxKeys     = 100 // of a set; more are not looked at
	maxAttempts = 16  // signatures checked for one token
)

// publicKey is a key that passed checkKey.
type publicKey struct {
	id  string
	alg string // the only algorithm it may be used with; empty: any that fits
	key any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

func (k publicKey) fits(alg string) bool {
	return (k.alg == "" || k.alg == alg) && algorithms[alg](k.key)
}

// keySet never changes once parsed.
type keySet []publicKey

// candidates returns the keys that may have signed a token, and whether the
// set has its key at all. A token without a kid may be of any key that fits.
func (s keySet) candidates(h header) (fitting []publicKey, known bool) {
	for _, key := range s {
		if h.kid != "" && key.id != h.kid {
			continue
		}
		known = true
		if key.fits(h.alg) && len(fitting) < maxAttempts {
			fitting = append(fitting, key)
		}
	}
	return fitting, known
}

// parseKeySet takes the keys that can verify tokens and passes over the
// others: a new or odd key at the issuer must not lock everyone out.
func parseKeySet(data []byte) (keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	var set keySet
	var why error
	for _, raw := range document.Keys[:min(len(document.Keys), maxKeys)] {
		key, err := parseKey(raw)
		if err != nil {
			why = err
			continue
		}
		set = append(set, key)
	}
	if len(set) > 0 {
		return set, nil
	}
	if why != nil {
		return nil, fmt.Errorf("the key set has no key that can be used, the last because: %w", why)
	}
	return nil, errors.New("the key set is empty")
}

func parseKey(raw []byte) (publicKey, error) {
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return publicKey{}, fmt.Errorf("read a key: %w", err)
	}
	id := quote(parsed.KeyID())
	if use := parsed.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return publicKey{}, fmt.Errorf("key %s is for %s, not for signatures", id, quote(use))
	}
	if !mayVerify(parsed) {
		return publicKey{}, fmt.Errorf("key %s is not for verifying", id)
	}
	key := publicKey{id: parsed.KeyID(), alg: parsed.Algorithm().String()}
	if err := parsed.Raw(&key.key); err != nil {
		return publicKey{}, fmt.Errorf("read key %s: %w", id, err)
	}
	// Private and symmetric keys end here too: whoever can read the set could sign with them.
	if err := checkKey(key.key); err != nil {
		return publicKey{}, fmt.Errorf("key %s: %w", id, err)
	}
	return key, nil
}

func mayVerify(key jwk.Key) bool {
	operations := key.KeyOps()
	for _, operation := range operations {
		if operation == jwk.KeyOpVerify {
			return true
		}
	}
	return len(operations) == 0
}
