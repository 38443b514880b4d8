// The ways to log in, good ones and those that are to be refused.
package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"gprxy/auth/authtest"
)

// login is what a client says it is, and what the log has to make of it.
type login struct {
	user, password, database string
	parameter                string // one that must not be set

	person, account string // in the log, if it is let in
	sqlstate        string // of its refusal; "": it is to be let in
	reason          string // of that, in the log
	unjudged        bool   // refused before a password or token was looked at: many of these are counted, not recorded
	knocks          bool   // it is no client of PostgreSQL's
}

// pickLogin takes one of the ways. Every person comes once, so that nobody is taken for another.
func (r *round) pickLogin(random *rand.Rand) login {
	person := fmt.Sprintf("p%d@example.com", r.row.Add(1))
	expired := time.Now().Add(-time.Hour).Unix()
	switch random.IntN(16) {
	case 0:
		return login{user: "alice", password: "wrong", database: database, sqlstate: "28P01", reason: "rejected_by_postgresql"}
	case 1:
		return login{user: "bob", password: r.token(person, "reader", "exp", expired), database: database, sqlstate: "28P01", reason: "expired"}
	case 2:
		return login{user: "bob", password: r.token(person, "baker"), database: database, sqlstate: "28000", reason: "no_mapped_role"}
	case 3:
		return login{user: "bob", password: r.token(person, "reader"), database: "nowhere", person: person, sqlstate: "3D000",
			reason: "postgresql_3d000"}
	case 4:
		return login{user: "bob", password: r.token(person, "reader"), database: database, parameter: "role", sqlstate: "42501",
			reason: "parameter_denied", unjudged: true}
	case 5:
		return login{knocks: true}
	case 6, 7:
		return login{user: "alice", password: secretOf("alice"), database: database, person: "alice", account: "gprxy_service"}
	case 8, 9, 10:
		return login{user: "bob", password: r.token(person, "writer"), database: database, person: person, account: "app_writer"}
	default:
		return login{user: "bob", password: r.token(person, "reader"), database: database, person: person, account: "app_reader"}
	}
}

// token is one of the issuer's, with more claims as name and value.
func (r *round) token(person, role string, more ...any) string {
	claims := authtest.Claims{"email": person, "roles": []string{role}}
	for i := 0; i+1 < len(more); i += 2 {
		claims[more[i].(string)] = more[i+1]
	}
	return r.issuer.Token(claims)
}
