// Which signature algorithms are accepted, and with which keys.

package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	minRSABits = 2048
	maxRSABits = 8192 // a larger key would make every login expensive
)

// algorithms are all that is accepted, each with the kind of key it needs. With
// HMAC a published key would be the secret, and "none" proves nothing: both
// are missing here, and a token can only choose among what is not missing.
var algorithms = map[string]func(key any) bool{
	"RS256": isRSA, "RS384": isRSA, "RS512": isRSA,
	"PS256": isRSA, "PS384": isRSA, "PS512": isRSA,
	"ES256": isCurve(elliptic.P256()),
	"ES384": isCurve(elliptic.P384()),
	"ES512": isCurve(elliptic.P521()),
	"EdDSA": isEd25519,
}

func isRSA(key any) bool {
	_, ok := key.(*rsa.PublicKey)
	return ok
}

func isCurve(curve elliptic.Curve) func(any) bool {
	return func(key any) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve == curve
	}
}

func isEd25519(key any) bool {
	_, ok := key.(ed25519.PublicKey)
	return ok
}

// checkKey refuses keys that are weak, broken or of no use here. What passes
// cannot make a verification panic.
func checkKey(key any) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key has %d bits, not %d to %d", bits, minRSABits, maxRSABits)
		}
		if key.E < 3 || key.E%2 == 0 {
			return fmt.Errorf("RSA key has the exponent %d", key.E)
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return fmt.Errorf("EC key is no point on its curve: %w", err)
		}
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
		}
	default:
		return fmt.Errorf("a key of type %T is not used for tokens", key)
	}
	return nil
}

// verifySignature is called only with an algorithm of the table and a key that fits it.
func verifySignature(alg string, key any, input, signature []byte) error {
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return fmt.Errorf("prepare %s: %w", alg, err)
	}
	return verifier.Verify(input, signature, key)
}
