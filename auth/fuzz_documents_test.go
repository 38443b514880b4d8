// What an issuer publishes, when it means ill.

package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzKeySet: of any document only public keys are taken that a token may be
// checked with, and checking with them panics at nothing.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"RSA","kid":"3","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA","alg":"HS256"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"RSA","e":"AQ","n":"AQ"}]}`, `{"keys":[{}]}`, `{"keys":[null]}`, `{"keys":{}}`,
		`{"keys":[` + strings.Repeat(`{},`, 200) + `{}]}`, `[]`, ``,
		`{"keys":[{"kty":"EC","crv":"P-256","d":"AA","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := parseKeySet(document)
		if (err == nil) != (len(set) > 0) || len(set) > maxKeys {
			t.Fatalf("%d keys, error %v", len(set), err)
		}
		for _, key := range set {
			checkPublicKey(t, key)
		}
	})
}

func checkPublicKey(t *testing.T, key publicKey) {
	t.Helper()
	switch k := key.key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			t.Errorf("an RSA key of %d bits", bits)
		}
	case *ecdsa.PublicKey:
	case ed25519.PublicKey:
	default:
		t.Errorf("a key of type %T", k)
	}
	for alg := range algorithms {
		if key.fits(alg) && verifySignature(alg, key.key, []byte("input"), []byte("no signature at all, and as long as one of Ed25519")) == nil {
			t.Errorf("%s: anything is a signature of %+v", alg, key)
		}
	}
}

// FuzzDiscovery: a discovery document leads to an address where keys may be
// fetched from, or nowhere.
func FuzzDiscovery(f *testing.F) {
	const issuer = "https://login.example.com/"
	for _, seed := range []string{
		`{"issuer":"https://login.example.com/","jwks_uri":"https://login.example.com/keys"}`,
		`{"issuer":"https://login.example.com/","jwks_uri":"http://127.0.0.1/keys"}`,
		`{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`,
		`{"issuer":"https://login.example.com/","jwks_uri":"file:///etc/passwd"}`,
		`{"issuer":"https://login.example.com/","jwks_uri":"https://user:pass@login.example.com/#x"}`,
		`{"issuer":["https://login.example.com/"]}`, `{}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	client := newIssuerClient(issuer, http.DefaultClient)
	f.Fuzz(func(t *testing.T, document []byte) {
		address, err := client.readDiscovery(document)
		if err != nil {
			return
		}
		u, parseErr := url.Parse(address)
		if parseErr != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q leads to %q", document, address)
		}
		if !json.Valid(document) || !strings.Contains(string(document), "login.example.com") && !strings.Contains(string(document), `\u`) {
			t.Errorf("%q is taken for this issuer's", document)
		}
	})
}
