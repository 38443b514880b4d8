// Package sso is the command line's side of single sign-on: it logs a person in
// at the company's OpenID Connect issuer and keeps the tokens fresh in a file.
//
//	LoginBrowser  authorization code with PKCE (RFC 6749, 7636), callback on loopback (RFC 8252)
//	LoginDevice   device grant (RFC 8628), for a machine without a browser
//	Refresh       a new access token; rotated refresh tokens are kept whatever else fails
//	Revoke        RFC 7009
//
//	Login… ──> Tokens ── Store.Save ──> ~/.gprxy/credentials ── Store.Valid ──> Tokens.Password
//
// Every login ends with a verified ID token, or with an error and nothing to
// save. The package knows nothing of terminals or flags: the caller shows
// addresses and codes, and opens the browser.
package sso
