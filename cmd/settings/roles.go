// ROLE_MAPPING_<ROLE>, ROLE_PRIORITY and DEFAULT_ROLE: from role to service account.

package settings

import (
	"slices"
	"strings"
	"unicode"

	"gprxy/auth"
)

const maxMappings = 1000

// roleMappings reads every ROLE_MAPPING_<ROLE> and ROLE_MAPPING_<ROLE>_FILE of all sources.
func roleMappings(s *Settings, l *loader, _ string) *badValue {
	row := Row{Name: "ROLE_MAPPING_", Secret: true}
	names := l.names(row.Name)
	if len(names) > maxMappings {
		l.problem("ROLE_MAPPING_*", "are more than 1000", "map fewer roles")
		return nil
	}
	s.Roles.Mapping = make(map[string]auth.Login, len(names))
	seen := map[string]string{}
	for _, name := range names {
		g, ok := l.lookup(row, name)
		if !ok {
			l.ifEmpty(name)
			continue
		}
		login, bad := parseMapping(g.text)
		if bad != nil && strings.HasSuffix(g.variable, "_FILE") {
			bad = inFile(bad)
			bad.wrong = "names a file that " + bad.wrong
		}
		if bad != nil {
			l.problem(g.variable, bad.wrong, bad.instead)
			continue
		}
		role := strings.TrimPrefix(name, row.Name)
		if other, twice := seen[normalRole(role)]; twice {
			l.problem(name, "and "+other+" map the same role", "keep one of the two")
			continue
		}
		if strings.Trim(role, "_") == "" {
			l.problem(g.variable, "names no role", "write ROLE_MAPPING_<ROLE>=username:password, such as ROLE_MAPPING_READER")
			continue
		}
		if other, differs := l.otherPassword(s, login); differs {
			l.problem(g.variable, "gives "+login.User+" another password than "+other, "set the same password in both")
			continue
		}
		seen[normalRole(role)] = name
		s.Roles.Mapping[role] = login
	}
	return nil
}

// otherPassword names a setting that has another password for the same PostgreSQL role: one of the two
// must be wrong, and sessions of that role share their connections.
func (l *loader) otherPassword(s *Settings, login auth.Login) (string, bool) {
	if s.ServiceUser == login.User && s.ServicePassword != "" && s.ServicePassword != login.Password {
		return "GPRXY_PASS", true
	}
	for role, other := range s.Roles.Mapping {
		if other.User == login.User && other.Password != login.Password {
			return "ROLE_MAPPING_" + role, true
		}
	}
	return "", false
}

// ifEmpty refuses a mapping that is set to nothing, unless a problem with it was already told.
func (l *loader) ifEmpty(name string) {
	told := func(p Problem) bool { return strings.TrimSuffix(p.Variable, "_FILE") == name }
	if !slices.ContainsFunc(l.problems, told) {
		l.problem(name, "is empty", "set it to username:password of the service account, or remove it")
	}
}

const mappingInstead = "set it to username:password of the service account"

// inFile says the same of a mapping that stands in a file: people write the password alone into it.
func inFile(bad *badValue) *badValue {
	const instead = "write username:password of the service account into the file"
	return &badValue{bad.wrong, strings.Replace(bad.instead, mappingInstead, instead, 1)}
}

// parseMapping takes username:password apart at the first colon; the password may hold more of them.
func parseMapping(text string) (auth.Login, *badValue) {
	const instead = mappingInstead
	user, password, colon := strings.Cut(text, ":")
	switch {
	case len(text) > maxValue:
		return auth.Login{}, &badValue{"is longer than 64 kB", instead}
	case strings.ContainsFunc(text, unicode.IsControl):
		return auth.Login{}, &badValue{"holds a control character", instead + ", on one line"}
	case !colon:
		return auth.Login{}, &badValue{"has no password", instead}
	case user == "":
		return auth.Login{}, &badValue{"has no user name before the colon", instead}
	case password == "":
		return auth.Login{}, &badValue{"has no password after the colon", instead}
	case strings.TrimSpace(user) != user:
		return auth.Login{}, &badValue{"has a space around the user name", instead + ", without spaces"}
	case len(user) > MaxIdentifier:
		return auth.Login{}, &badValue{"has a user name longer than a PostgreSQL name (63 bytes)", instead}
	}
	return auth.Login{User: user, Password: auth.Secret(password)}, nil
}

func rolePriority(s *Settings, _ *loader, text string) *badValue {
	for role := range strings.SplitSeq(text, ",") {
		role = strings.TrimSpace(role)
		if role == "" {
			continue
		}
		if slices.ContainsFunc(s.Roles.Priority, func(r string) bool { return normalRole(r) == normalRole(role) }) {
			return &badValue{"names " + role + " twice", "name each role once, strongest first"}
		}
		s.Roles.Priority = append(s.Roles.Priority, role)
	}
	return nil
}

// normalRole is a role's name as a variable can hold it. It must be the rule by which auth compares
// roles (a test sees to it): a letter beyond ASCII never becomes an ASCII one.
func normalRole(role string) string {
	var b strings.Builder
	gap := false
	for _, r := range role {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = true
			continue
		}
		if gap {
			b.WriteByte('_')
			gap = false
		}
		if upper := unicode.ToUpper(r); r <= unicode.MaxASCII || upper > unicode.MaxASCII {
			r = upper
		}
		b.WriteRune(r)
	}
	if gap {
		b.WriteByte('_')
	}
	return b.String()
}
