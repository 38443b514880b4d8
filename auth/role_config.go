// Checking the role mapping as the settings give it.

package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// maxUserBytes is PostgreSQL's NAMEDATALEN-1: it cuts longer names in silence,
// and the account in the record would not be the one that served.
const maxUserBytes = 63

// Login is a PostgreSQL role and its password.
type Login struct {
	User     string
	Password Secret
}

// RolesConfig is the role mapping as the settings give it. Role names are
// compared after normalising, so DB_READER serves db-reader and db.reader too.
type RolesConfig struct {
	Mapping  map[string]Login // by the ROLE of ROLE_MAPPING_<ROLE>, any case
	Priority []string         // ROLE_PRIORITY, first wins; may be empty
	Default  string           // DEFAULT_ROLE; empty: a login without a mapped role is refused
}

// NewRoles checks the mapping and reports every mistake in it at once.
func NewRoles(c RolesConfig) (*Roles, error) {
	r := &Roles{logins: map[string]Login{}, rank: map[string]int{}}
	wrong := errors.Join(r.addMapping(c.Mapping), r.addPriority(c.Priority), r.addDefault(c.Default))
	if wrong != nil {
		return nil, wrong
	}
	return r, nil
}

func (r *Roles) addMapping(mapping map[string]Login) error {
	var wrong []error
	spelled := map[string]string{}
	passwords := map[string]Secret{}
	for _, role := range slices.Sorted(maps.Keys(mapping)) {
		login := mapping[role]
		key := normaliseRole(role)
		if other, taken := spelled[key]; taken {
			wrong = append(wrong, fmt.Errorf("ROLE_MAPPING_%s and ROLE_MAPPING_%s are the same role; keep one", other, role))
		}
		spelled[key] = role
		if err := checkMapping(key, login); err != nil {
			wrong = append(wrong, fmt.Errorf("ROLE_MAPPING_%s: %w", role, err))
		}
		if password, known := passwords[login.User]; known && password != login.Password {
			wrong = append(wrong, fmt.Errorf("ROLE_MAPPING_%s: another mapping gives %s a different password", role, quote(login.User)))
		}
		passwords[login.User] = login.Password
		r.logins[key] = login
	}
	return errors.Join(wrong...)
}

func checkMapping(key string, login Login) error {
	switch {
	case strings.Trim(key, "_") == "":
		return errors.New("the role's name is missing; write ROLE_MAPPING_<ROLE>=username:password")
	case login.User == "":
		return errors.New("the username is missing; write username:password")
	case login.Password == "":
		return errors.New("the password is missing; write username:password")
	case len(login.User) > maxUserBytes:
		return fmt.Errorf("the username has more than %d bytes, which PostgreSQL would cut off", maxUserBytes)
	case strings.ContainsFunc(login.User, unicode.IsControl):
		return errors.New("the username contains a control character")
	case strings.Contains(login.Password.Reveal(), "\x00"):
		return errors.New("the password contains a zero byte")
	}
	return nil
}

func (r *Roles) addPriority(priority []string) error {
	var wrong []error
	for _, role := range priority {
		key := normaliseRole(role)
		if _, mapped := r.logins[key]; !mapped {
			wrong = append(wrong, fmt.Errorf("ROLE_PRIORITY: the role %s has no ROLE_MAPPING_%s", quote(role), key))
		}
		if _, twice := r.rank[key]; twice {
			wrong = append(wrong, fmt.Errorf("ROLE_PRIORITY: the role %s stands twice", quote(role)))
			continue
		}
		r.rank[key] = len(r.rank)
	}
	return errors.Join(wrong...)
}

func (r *Roles) addDefault(role string) error {
	if role == "" {
		return nil
	}
	key := normaliseRole(role)
	if _, mapped := r.logins[key]; !mapped {
		return fmt.Errorf("DEFAULT_ROLE: the role %s has no ROLE_MAPPING_%s", quote(role), key)
	}
	r.defaultRole, r.defaultName = key, role
	return nil
}

// normaliseRole gives the form in which role names are compared: upper case,
// every run of other characters than letters and digits one "_". Letters
// beyond ASCII never become ASCII ones, else a group named "admın" (its
// dotless i is an I in upper case) would be ADMIN.
func normaliseRole(role string) string {
	var b strings.Builder
	gap := false
	for _, c := range role {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			gap = true
			continue
		}
		if gap {
			b.WriteByte('_')
			gap = false
		}
		if upper := unicode.ToUpper(c); c < unicode.MaxASCII || upper > unicode.MaxASCII {
			c = upper
		}
		b.WriteRune(c)
	}
	if gap {
		b.WriteByte('_')
	}
	return b.String()
}
