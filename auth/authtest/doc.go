// Package authtest is a real OpenID Connect issuer on loopback, for tests and
// the demo. People log in at its login page, clients get their tokens with PKCE,
// by device code and by rotated refresh tokens, and revoke them; tests mint
// tokens with any claims, rotate keys, and make the issuer misbehave.
//
//	client                       issuer                              person
//	  | --- /device/code ---------> |                                   |
//	  | --- browser: /authorize --> | login page <--- name, password -- |
//	  |                             | /device    <--- code, approval -- |
//	  | <-- code, state, iss ------ |                                   |
//	  | --- /token ---------------> | authorization_code, device_code, refresh_token
//	  | --- /revoke, /userinfo ---> |
//
// Each endpoint is a file with one handler, listed in routes (issuer.go); what
// an endpoint needs to remember is a field of Issuer guarded by its mutex.
// Everything that came of one login is one grant, and ends with it (grant.go).
package authtest
