// Tokens made by someone who is not the issuer.

package auth_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

func forge(t *testing.T, signAs string, key any, header, claims any) string {
	t.Helper()
	token, err := authtest.Forge(signAs, key, header, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// goodClaims would be accepted if only the signature were.
func goodClaims(iss *authtest.Issuer, c *clock) map[string]any {
	return map[string]any{"iss": iss.URL(), "aud": iss.Audience(), "sub": "mallory",
		"exp": c.Now().Add(time.Hour).Unix(), "roles": []string{"admin"}}
}

// publicRSA returns the issuer's RSA key and the forms in which an attacker
// could use it as an HMAC secret.
func publicRSA(t *testing.T, iss *authtest.Issuer) (*rsa.PublicKey, map[string][]byte) {
	t.Helper()
	data, err := json.Marshal(iss.PublicKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	var key rsa.PublicKey
	if err := jwk.ParseRawKey(data, &key); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key)
	if err != nil {
		t.Fatal(err)
	}
	return &key, map[string][]byte{
		"DER":  der,
		"PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWK":  data,
		"N":    key.N.Bytes(),
		"zero": make([]byte, 32),
	}
}

func TestAlgorithmConfusion(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Algorithms: []string{"RS256", "ES256"}, Now: c.Now})
	v := verifierFor(t, iss, c)
	_, secrets := publicRSA(t, iss)
	for form, secret := range secrets {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			for _, kid := range []any{"RS256-1", nil} {
				token := forge(t, alg, secret, map[string]any{"alg": alg, "kid": kid}, goodClaims(iss, c))
				if kid == nil {
					token = forge(t, alg, secret, map[string]any{"alg": alg}, goodClaims(iss, c))
				}
				_, err := v.Verify(t.Context(), token)
				refusal(t, err, token, auth.ReasonBadAlgorithm)
			}
			// The header says RS256, the signature is an HMAC.
			token := forge(t, alg, secret, map[string]any{"alg": "RS256", "kid": "RS256-1"}, goodClaims(iss, c))
			_, err := v.Verify(t.Context(), token)
			e := refusal(t, err, token, auth.ReasonBadSignature)
			if e.User != "" {
				t.Errorf("%s as %s: forged token names %q", form, alg, e.User)
			}
		}
	}
}

func TestAlgorithmsThatAreNeverAccepted(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "es256", "ES256 ", "ES256K", "RSA1_5", "dir", "A128KW",
		strings.Repeat("A", 9000)} {
		for _, claims := range []map[string]any{goodClaims(iss, c), {}} {
			token := forge(t, "", nil, map[string]any{"alg": alg, "kid": "ES256-1"}, claims)
			_, err := v.Verify(t.Context(), token)
			refusal(t, err, token, auth.ReasonBadAlgorithm)
			if !auth.LooksLikeToken(token) {
				t.Errorf("a token with alg %.20q would go to PostgreSQL as a password", alg)
			}
		}
	}
	if n := iss.Requests(authtest.KeysPath); n != 0 {
		t.Errorf("tokens without a real algorithm made %d requests to the issuer", n)
	}
}

func TestAlgorithmMustFitKey(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Algorithms: []string{"RS256", "ES256", "EdDSA"}, Now: c.Now})
	v := verifierFor(t, iss, c)
	for _, test := range []struct{ alg, kid string }{
		{"PS256", "RS256-1"}, // an RSA key, but its own alg is RS256
		{"RS512", "RS256-1"},
		{"ES256", "RS256-1"},
		{"ES384", "ES256-1"}, // another curve
		{"EdDSA", "ES256-1"},
		{"RS256", "EdDSA-1"},
	} {
		good := iss.Token(nil)
		head := map[string]any{"alg": test.alg, "kid": test.kid}
		token := forge(t, "", nil, head, goodClaims(iss, c)) + good[strings.LastIndexByte(good, '.')+1:]
		_, err := v.Verify(t.Context(), token)
		refusal(t, err, token, auth.ReasonBadAlgorithm)
	}
}

// A key that does not say its algorithm is used with those of its own kind and curve alone.
func TestAlgorithmMustFitAKeyThatSaysNone(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Algorithms: []string{"RS256", "ES256", "EdDSA"}, Now: c.Now})
	v := verifierFor(t, iss, c)
	for _, key := range iss.PublicKeys() {
		key["kid"] = "any " + key["kid"].(string)
		delete(key, "alg")
		iss.Publish(key)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	iss.Publish(mustJWK(t, &wide.PublicKey, map[string]any{"kid": "any P-384"}))
	for _, test := range []struct{ alg, kid, reason string }{
		{"RS512", "any RS256-1", auth.ReasonBadSignature}, // it fits, and nobody signed
		{"PS256", "any RS256-1", auth.ReasonBadSignature},
		{"ES384", "any P-384", auth.ReasonBadSignature},
		{"ES256", "any RS256-1", auth.ReasonBadAlgorithm},
		{"EdDSA", "any RS256-1", auth.ReasonBadAlgorithm},
		{"RS256", "any ES256-1", auth.ReasonBadAlgorithm},
		{"RS256", "any EdDSA-1", auth.ReasonBadAlgorithm},
		{"ES256", "any EdDSA-1", auth.ReasonBadAlgorithm},
		{"EdDSA", "any ES256-1", auth.ReasonBadAlgorithm},
		{"ES384", "any ES256-1", auth.ReasonBadAlgorithm}, // another curve
		{"ES256", "any P-384", auth.ReasonBadAlgorithm},
		{"ES512", "any P-384", auth.ReasonBadAlgorithm},
	} {
		good := iss.Token(nil)
		head := map[string]any{"alg": test.alg, "kid": test.kid}
		token := forge(t, "", nil, head, goodClaims(iss, c)) + good[strings.LastIndexByte(good, '.')+1:]
		_, err := v.Verify(t.Context(), token)
		if e, ok := errors.AsType[*auth.TokenError](err); !ok || e.Reason != test.reason {
			t.Errorf("%s with the key %q: %v, want %s", test.alg, test.kid, err, test.reason)
		}
	}
	token, err := authtest.Forge("ES256", wide, map[string]any{"alg": "ES256", "kid": "any P-384"}, goodClaims(iss, c))
	if err == nil {
		_, err = v.Verify(t.Context(), token)
		refusal(t, err, token, auth.ReasonBadAlgorithm)
	}
}

// A set of any size, and a token that does not name its key, cost no more than so many looks.
func TestOnlySoManyKeysAreLookedAt(t *testing.T) {
	for _, test := range []struct {
		name   string
		before int // keys that stand before the one that signed
		kid    any // of the token
		reason string
	}{
		{"16 keys may have signed", 15, nil, ""},
		{"17 keys may have signed", 16, nil, auth.ReasonBadSignature},
		{"the 100th key", 99, "last", ""},
		{"the 101st key", 100, "last", auth.ReasonUnknownKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			// The issuer's own key is of another kind: it takes a place in the set, and is none that may have signed.
			iss := authtest.Start(t, authtest.Options{Algorithms: []string{"EdDSA"}, Now: c.Now})
			var keys []*ecdsa.PrivateKey
			for range 2 {
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, key)
			}
			before, kid := test.before, "other"
			if test.kid != nil {
				before-- // for the issuer's own
			}
			for range before {
				iss.Publish(mustJWK(t, &keys[0].PublicKey, map[string]any{"kid": kid}))
			}
			iss.Publish(mustJWK(t, &keys[1].PublicKey, map[string]any{"kid": "last"}))
			head := map[string]any{"alg": "ES256"}
			if test.kid != nil {
				head["kid"] = test.kid
			}
			token := forge(t, "ES256", keys[1], head, goodClaims(iss, c))
			_, err := verifierFor(t, iss, c).Verify(t.Context(), token)
			if test.reason != "" {
				refusal(t, err, token, test.reason)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func mustJWK(t *testing.T, key any, fields map[string]any) map[string]any {
	t.Helper()
	public, err := authtest.PublicJWK(key, fields)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestKeysInTheTokenAreIgnored(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	attacker := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	own := attacker.PublicKeys()[0]
	der := []string{base64.StdEncoding.EncodeToString([]byte("certificate"))}
	for name, header := range map[string]map[string]any{
		"same kid":        {},
		"jwk":             {"jwk": own},
		"jwk, no kid":     {"jwk": own, "kid": nil},
		"jku":             {"jku": attacker.URL() + authtest.KeysPath},
		"x5u":             {"x5u": attacker.URL() + authtest.KeysPath},
		"x5c":             {"x5c": der},
		"broken jwk":      {"jwk": 7, "x5c": true},
		"kid is a path":   {"kid": "../../../../dev/null"},
		"kid is a script": {"kid": "x' UNION SELECT 'key"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := attacker.Sign("ES256", header, goodClaims(iss, c))
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), token)
			want := auth.ReasonBadSignature
			if strings.HasPrefix(name, "kid is") {
				want = auth.ReasonUnknownKey
			}
			refusal(t, err, token, want)
		})
	}
	if n := attacker.Requests(authtest.KeysPath); n != 0 {
		t.Errorf("a token made the verifier ask its attacker %d times", n)
	}
}

func TestMalformedTokens(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	good := iss.Token(nil)
	parts := strings.Split(good, ".")
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	sign := func(header map[string]any) string {
		token, err := iss.Sign("", header, nil)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	signRaw := func(payload string) string {
		token, err := iss.SignPayload("", nil, json.RawMessage(payload))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ours := `{"iss":"` + iss.URL() + `",`
	const (
		parts3 = "three parts"
		coding = "is not base64url"
		noJSON = "is not valid JSON"
		header = "its header "
		body   = "its payload "
	)
	other := map[string]string{"one part": auth.ReasonTruncated, "two parts": auth.ReasonTruncated,
		"five parts, encrypted": auth.ReasonEncrypted}
	for _, test := range []struct{ name, token, why string }{
		{"empty", "", parts3},
		{"a password", "correct horse battery staple", parts3},
		{"one part", parts[0], "1 of three parts"},
		{"two parts", parts[0] + "." + parts[1], "2 of three parts"},
		{"four parts", good + ".x", parts3},
		{"five parts, encrypted", good + ".x.y", "encrypted (JWE)"},
		{"only dots", "..", header + noJSON},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], header + coding},
		{"padding in the payload", parts[0] + "." + parts[1] + "=." + parts[2], body + coding},
		{"standard base64", parts[0] + "." + parts[1] + ".++//", "its signature " + coding},
		{"line break in a part", parts[0] + "\n." + parts[1] + "." + parts[2], header + coding},
		{"line break at the end", good + "\n", "its signature " + coding},
		{"space before", " " + good, header + coding},
		{"zero byte", good + "\x00", "its signature " + coding},
		{"stray bits at the end", parts[0] + "." + parts[1] + ".AB", "its signature " + coding},
		{"header is no JSON", raw("alg") + "." + parts[1] + "." + parts[2], header + noJSON},
		{"header is a list", raw(`["alg"]`) + "." + parts[1] + "." + parts[2], header + "is not a JSON object"},
		{"header is a broken list", raw(`[x]`) + "." + parts[1] + "." + parts[2], header + noJSON},
		{"header goes on", raw(`{"alg":"ES256"}{}`) + "." + parts[1] + "." + parts[2], header + "goes on"},
		{"header ends early", raw(`{"alg":"ES256"`) + "." + parts[1] + "." + parts[2], header + noJSON},
		{"header without a value", raw(`{"alg":"ES256","x":}`) + "." + parts[1] + "." + parts[2], header + noJSON},
		{"header with a name that is none", raw(`{"alg":"ES256",1:2}`) + "." + parts[1] + "." + parts[2], header + noJSON},
		{"header has alg twice", raw(`{"alg":"ES256","alg":"none"}`) + "." + parts[1] + "." + parts[2], `"alg" twice`},
		{"twice in an object in the header", raw(`{"alg":"ES256","x":{"a":1,"a":2}}`) + "." + parts[1] + "." + parts[2], `"a" twice`},
		{"twice in a list in the header", raw(`{"alg":"ES256","x":[{"a":1,"a":2}]}`) + "." + parts[1] + "." + parts[2], `"a" twice`},
		{"header without alg", raw(`{"kid":"1"}`) + "." + parts[1] + "." + parts[2], "no alg"},
		{"alg is a number", raw(`{"alg":1}`) + "." + parts[1] + "." + parts[2], "no alg"},
		{"kid is a number", sign(map[string]any{"kid": 1}), "the kid"},
		{"kid is huge", sign(map[string]any{"kid": strings.Repeat("k", 257)}), "the kid"},
		{"header is huge", sign(map[string]any{"x5c": strings.Repeat("c", 16<<10)}), "more than 16384 bytes"},
		{"header not UTF-8", raw("{\"alg\":\"\xff\"}") + "." + parts[1] + "." + parts[2], "not UTF-8"},
		{"crit", sign(map[string]any{"crit": []string{"b64"}, "b64": false}), "crit"},
		{"crit, empty", sign(map[string]any{"crit": []string{}}), "crit"},
		{"a logout token", sign(map[string]any{"typ": "logout+jwt"}), "its type"},
		{"a security event", sign(map[string]any{"typ": "application/secevent+JWT"}), "its type"},
		{"no payload", parts[0] + ".." + parts[2], body + "is not a JSON object"},
		{"payload is no JSON", parts[0] + "." + raw("{") + "." + parts[2], body + "is not a JSON object"},
		{"payload is a text", parts[0] + "." + raw(`"x"`) + "." + parts[2], body + "is not a JSON object"},
		{"signed, iss twice", signRaw(ours + `"iss":"` + iss.URL() + `"}`), `"iss" twice`},
		{"signed, roles twice", signRaw(ours + `"roles":["a"],"roles":["b"]}`), `"roles" twice`},
		{"signed, 17 deep", signRaw(ours + `"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + "}"), "more than 16 deep"},
		{"payload is 10,000 deep", parts[0] + "." + raw(strings.Repeat(`{"a":`, 8000)) + "." + parts[2], body + "is not a JSON object"},
		{"payload: closes, no open", parts[0] + "." + raw(`}`) + "." + parts[2], body + "is not a JSON object"},
		{"payload: mixed delimiters", parts[0] + "." + raw(`{"a":[}]`) + "." + parts[2], body + "is not a JSON object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), test.token)
			reason := cmp.Or(other[test.name], auth.ReasonMalformed)
			if e := refusal(t, err, test.token, reason); !strings.Contains(e.Detail, test.why) {
				t.Errorf("refused because %q, want %q", e.Detail, test.why)
			}
		})
	}
}

// What is taken for a token is not shown to PostgreSQL as a password, nor the other way round.
func TestWhatLooksLikeAToken(t *testing.T) {
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	head, body := raw(`{"alg":"ES256"}`), raw(`{}`)
	for _, test := range []struct {
		name, password string
		token          bool
	}{
		{"a token", head + "." + body + ".AAAA", true},
		{"a token without a signature", head + "." + body + ".", true},
		{"a token whose parts are nonsense", head + ".AAAA.AAAA", true},
		{"two parts", head + "." + body, false},
		{"four parts", head + "." + body + ".AAAA.AAAA", false},
		{"nothing in the middle", head + "..AAAA", false},
		{"a middle that is not base64url", head + ".pass word.AAAA", false},
		{"an end that is not base64url", head + "." + body + ".pass word", false},
		{"a beginning that is not base64url", "pass word." + body + ".AAAA", false},
		{"a header without alg", raw(`{"kid":"1"}`) + "." + body + ".AAAA", false},
		{"a header that goes on", raw(`{"alg":"ES256"}{}`) + "." + body + ".AAAA", false},
		{"a header that is huge", raw(`{"alg":"ES256","x":"`+strings.Repeat("x", 16<<10)+`"}`) + "." + body + ".AAAA", false},
		{"a password with dots", "correct.horse.battery", false},
	} {
		if got := auth.LooksLikeToken(test.password); got != test.token {
			t.Errorf("%s: it looks like a token: %v", test.name, got)
		}
	}
}

func TestNamesOfClaimsAreComparedExactly(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	claims := goodClaims(iss, c)
	claims["ISS"] = claims["iss"]
	delete(claims, "iss")
	token, err := iss.SignPayload("", nil, claims)
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifierFor(t, iss, c).Verify(t.Context(), token)
	refusal(t, err, token, auth.ReasonWrongIssuer)
}

func TestTypesThatAreAccepted(t *testing.T) {
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	v := verifierFor(t, iss, c)
	for _, typ := range []any{nil, "JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"} {
		token, err := iss.Sign("", map[string]any{"typ": typ}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("typ %v: %v", typ, err)
		}
	}
}

// A key that says that it is for verifying signatures verifies them.
func TestAKeyThatSaysWhatItIsFor(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	iss := authtest.Start(t, authtest.Options{Now: c.Now})
	iss.Publish(mustJWK(t, &curve.PublicKey, map[string]any{"kid": "own", "use": "sig", "key_ops": []string{"verify"}}))
	requireVerified(t, verifierFor(t, iss, c), forge(t, "ES256", curve, map[string]any{"alg": "ES256", "kid": "own"}, goodClaims(iss, c)))
}

func TestKeysThatAreNotUsed(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ones := func(bytes int) string { // a number of that size
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", bytes)))
	}
	for _, test := range []struct {
		name    string
		alg     string
		private any
		public  any
		fields  map[string]any
	}{
		{"RSA with 1024 bits", "RS256", weak, &weak.PublicKey, nil},
		{"RSA with 8,200 bits", "RS256", weak, &weak.PublicKey, map[string]any{"n": ones(1025)}},
		{"RSA with the exponent 1", "RS256", weak, &weak.PublicKey, map[string]any{"n": ones(256), "e": "AQ"}},
		{"RSA with an even exponent", "RS256", weak, &weak.PublicKey, map[string]any{"n": ones(256), "e": "BA"}},
		{"for encryption", "ES256", curve, &curve.PublicKey, map[string]any{"use": "enc"}},
		{"for key agreement", "ES256", curve, &curve.PublicKey, map[string]any{"key_ops": []string{"deriveKey"}}},
		{"private", "ES256", curve, curve, nil},
		{"symmetric", "HS256", []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef0123456789abcdef"),
			map[string]any{"alg": "HS256"}},
		{"off its curve", "ES256", curve, &curve.PublicKey, map[string]any{"y": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}},
		{"Ed25519 too short", "EdDSA", ed, ed.Public(), map[string]any{"x": "AAAA"}},
		{"unknown kind", "ES256", curve, &curve.PublicKey, map[string]any{"kty": "PQ"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			iss := authtest.Start(t, authtest.Options{Now: c.Now})
			fields := map[string]any{"kid": "odd"}
			for name, value := range test.fields {
				fields[name] = value
			}
			iss.Publish(mustJWK(t, test.public, fields))
			v := verifierFor(t, iss, c)
			token := forge(t, test.alg, test.private, map[string]any{"alg": test.alg, "kid": "odd"}, goodClaims(iss, c))
			_, err := v.Verify(t.Context(), token)
			want := auth.ReasonUnknownKey
			if test.alg == "HS256" {
				want = auth.ReasonBadAlgorithm
			}
			refusal(t, err, token, want)
			if _, err := v.Verify(t.Context(), iss.Token(nil)); err != nil {
				t.Errorf("the odd key spoils the good ones: %v", err)
			}
		})
	}
}
