// Which service account serves a person: role mapping.

package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Account is the service account that serves a session, and why it was chosen.
type Account struct {
	User     string // the PostgreSQL role to log in as
	Password Secret
	Role     string // the role it was chosen for, as the token spells it (or the settings, for DEFAULT_ROLE)
	Rule     string // one of the Rule constants
}

// Rule is how an account was chosen, in the words of the event log.
const (
	RuleRequested   = "requested"    // the startup user named it, and the person holds it
	RulePriority    = "priority"     // ROLE_PRIORITY decided among several
	RuleOnlyRole    = "only_role"    // exactly one role of the person is mapped
	RuleTokenOrder  = "token_order"  // several are mapped, the token's first one wins
	RuleDefaultRole = "default_role" // none is mapped, DEFAULT_ROLE steps in
)

// Reasons of a RoleError, in the words of the event log.
const (
	ReasonNoMappedRole   = "no_mapped_role"   // none of the roles has an account, and there is no default
	ReasonAccountNotHeld = "account_not_held" // the startup user names an account that none of the roles gives
	ReasonRolesOverage   = "groups_overage"   // the issuer left the groups out of the token, because they are too many
)

// RoleError is a proved identity that gets no service account.
type RoleError struct {
	Reason    string   // one of the reasons above
	Roles     []string // the person's roles
	Requested string   // the startup user
}

func (e *RoleError) Error() string {
	held := "no roles"
	if n := len(e.Roles); n > 0 {
		quoted := make([]string, min(n, 5))
		for i := range quoted {
			quoted[i] = quote(e.Roles[i])
		}
		held = "the roles " + strings.Join(quoted, ", ")
		if n > len(quoted) {
			held += fmt.Sprintf(" and %d more", n-len(quoted))
		}
	}
	if e.Reason == ReasonRolesOverage {
		return "the issuer left the person's groups out of the token, because they are too many (groups overage)"
	}
	if e.Reason == ReasonAccountNotHeld {
		return fmt.Sprintf("none of the person's roles gives the account %s (%s)", quote(e.Requested), held)
	}
	return fmt.Sprintf("no service account is mapped to the person (%s)", held)
}

// Roles maps roles to service accounts. It never changes; safe for concurrent use.
type Roles struct {
	logins      map[string]Login // by normalised role
	rank        map[string]int   // ROLE_PRIORITY: position by normalised role, 0 first
	defaultRole string           // normalised; empty: none
	defaultName string           // as the settings spell it
}

// grant is a mapped role that a person holds.
type grant struct {
	role string // as the token spells it
	key  string // normalised
	Login
}

// For chooses the account that serves id. The startup packet's user is a request,
// not an identity: if it names an account or a role that id's roles give, that
// one serves; if it names one they do not give, the login is refused; any
// other name leaves the choice to the rules. Every error is a *RoleError.
//
// Whose roles are not in the token, although there are some, gets no DEFAULT_ROLE: it is for people who
// have none.
func (r *Roles) For(id Identity, requested string) (Account, error) {
	grants := r.grants(id.Roles)
	if len(grants) == 0 && id.RolesOverage {
		return Account{}, &RoleError{ReasonRolesOverage, id.Roles, requested}
	}
	rule := RuleTokenOrder
	switch {
	case len(grants) == 0 && r.defaultRole != "":
		grants = []grant{{r.defaultName, r.defaultRole, r.logins[r.defaultRole]}}
		rule = RuleDefaultRole
	case len(grants) == 1:
		rule = RuleOnlyRole
	case len(grants) > 1 && r.sortByPriority(grants):
		rule = RulePriority
	}
	g, ok := r.requestedGrant(grants, requested)
	switch {
	case ok && rule == RuleDefaultRole:
		return g.account(RuleDefaultRole), nil // the record must show that no role of the person gave it
	case ok:
		return g.account(RuleRequested), nil
	case r.names(requested):
		return Account{}, &RoleError{ReasonAccountNotHeld, id.Roles, requested}
	case len(grants) == 0:
		return Account{}, &RoleError{ReasonNoMappedRole, id.Roles, requested}
	}
	return grants[0].account(rule), nil
}

// Maps reports whether the role has an account.
func (r *Roles) Maps(role string) bool {
	_, mapped := r.logins[normaliseRole(role)]
	return mapped
}

// Logins returns every mapped account, sorted by role; Rule is empty.
func (r *Roles) Logins() []Account {
	accounts := make([]Account, 0, len(r.logins))
	for _, key := range slices.Sorted(maps.Keys(r.logins)) {
		accounts = append(accounts, grant{key, key, r.logins[key]}.account(""))
	}
	return accounts
}

// grants returns the mapped ones of roles in their order, each once.
func (r *Roles) grants(roles []string) []grant {
	var grants []grant
	seen := map[string]bool{}
	for _, role := range roles {
		key := normaliseRole(role)
		login, mapped := r.logins[key]
		if mapped && !seen[key] {
			seen[key] = true
			grants = append(grants, grant{role, key, login})
		}
	}
	return grants
}

// sortByPriority puts the roles of ROLE_PRIORITY first, the others after them
// in the token's order. It reports whether that decided who is first.
func (r *Roles) sortByPriority(grants []grant) bool {
	slices.SortStableFunc(grants, func(a, b grant) int { return r.position(a.key) - r.position(b.key) })
	return r.position(grants[0].key) < len(r.rank)
}

func (r *Roles) position(key string) int {
	if position, listed := r.rank[key]; listed {
		return position
	}
	return len(r.rank)
}

// requestedGrant finds the grant that the startup user names, by account before role.
func (r *Roles) requestedGrant(grants []grant, requested string) (grant, bool) {
	for _, g := range grants {
		if g.User == requested {
			return g, true
		}
	}
	key := normaliseRole(requested)
	for _, g := range grants {
		if g.key == key {
			return g, true
		}
	}
	return grant{}, false
}

// names reports whether any mapping has this account or role.
func (r *Roles) names(requested string) bool {
	if _, mapped := r.logins[normaliseRole(requested)]; mapped {
		return true
	}
	for _, login := range r.logins {
		if login.User == requested {
			return true
		}
	}
	return false
}

func (g grant) account(rule string) Account {
	return Account{User: g.User, Password: g.Password, Role: g.role, Rule: rule}
}
