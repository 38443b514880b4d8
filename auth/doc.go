// Package auth decides who a login is and which service account serves it.
//
// A login proves an identity with a token (Verifier) or, elsewhere, with a
// database password; both end in an Identity. Roles then turns the identity's
// roles into the one Account whose pool serves the session:
//
//	token ── Verifier.Verify ──> Identity ── Roles.For ──> Account
//
// Everything in a token is a stranger's until its signature was checked, and
// every size in it is bounded before that.
package auth
