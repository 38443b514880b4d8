// Who a login has been proved to be.

package auth

import "time"

// The ways an identity can be proved, as the event log names them.
const (
	MethodToken    = "token"    // a token in place of the password
	MethodOAuth    = "oauth"    // a token by SASL OAUTHBEARER
	MethodDevice   = "device"   // a token that gprxy fetched, while the person logged in with a browser
	MethodPassword = "password" // a database password
)

// Identity is who a login has been proved to be. Its strings are free of
// control characters and at most 256 bytes each, so they are safe to log.
type Identity struct {
	User    string   // the person, as the configured claim (or the password login) names them: one spelling for one person
	Method  string   // one of the Method constants
	Issuer  string   // who vouches for it; empty for a password
	Subject string   // the issuer's own stable name for the person; may be empty
	Roles   []string // as the token spells them, in its order, without duplicates; nil if none
	TokenID string   // tells tokens apart in the log without revealing one
	Expires time.Time

	Spelled      string // User as the token spells it
	RolesIgnored int    // entries of the roles claim that cannot be a mapped role
	RolesOverage bool   // the issuer left the roles out of the token, because they are too many
}
