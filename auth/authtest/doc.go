// Package authtest is a real OpenID Connect issuer on loopback, for tests and
// the demo: discovery, a key set with several kinds of keys, tokens with any
// claims, key rotation, and ways to misbehave.
//
// Each endpoint is a file with one handler, listed in routes (issuer.go); what
// an endpoint needs to remember is a field of Issuer guarded by its mutex.
package authtest
