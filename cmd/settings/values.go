// What the text of a setting may be, and what to type when it is something else.

package settings

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gprxy/auth"
	"gprxy/pool"
)

const (
	maxValue      = 64 << 10 // bytes of any one value
	MaxIdentifier = 63       // bytes of a PostgreSQL name
)

// fill puts the strongest value of a row, or its default, into s.
func (l *loader) fill(s *Settings, row Row) {
	if row.Prefix {
		row.parse(s, l, "")
		return
	}
	g, ok := l.lookup(row, row.Name)
	if !ok {
		g = given{variable: row.Name, text: row.Default}
	}
	blank := false
	if !row.Secret {
		trimmed := strings.TrimSpace(g.text)
		blank = trimmed == "" && g.text != ""
		g.text = trimmed
	}
	switch {
	case blank: // empty means the default; this may have been meant to be a value
		l.problem(g.variable, "holds nothing but blanks", "set a value, or leave it out for "+cmp.Or(row.Default, "none"))
		return
	case g.text == "":
		return
	}
	if bad := row.check(s, l, g.text); bad != nil {
		l.problem(g.variable, bad.wrong, bad.instead)
	}
}

// check refuses what no setting may be, then lets the row parse the text.
func (r Row) check(s *Settings, l *loader, text string) *badValue {
	if len(text) > maxValue {
		return &badValue{"is longer than 64 kB", "set a shorter value"}
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return &badValue{"holds a control character", "type it without line breaks, tabs or other control characters"}
	}
	if len(r.Allowed) > 0 && !slices.Contains(r.Allowed, text) {
		return &badValue{fmt.Sprintf("is %q", text), "use one of: " + strings.Join(r.Allowed, ", ")}
	}
	return r.parse(s, l, text)
}

func (l *loader) problem(variable, wrong, instead string) {
	l.problems = append(l.problems, Problem{Variable: variable, Wrong: wrong, Instead: instead})
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func text(field func(*Settings) *string) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		*field(s) = t
		return nil
	}
}

func onOff(field func(*Settings) *bool) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		*field(s) = t == "on"
		return nil
	}
}

func secret(field func(*Settings) *auth.Secret) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		*field(s) = auth.Secret(t)
		return nil
	}
}

func account(field func(*Settings) *string) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		if len(t) > MaxIdentifier {
			return &badValue{"is longer than a PostgreSQL name (63 bytes)", "set the name of the role as PostgreSQL has it"}
		}
		*field(s) = t
		return nil
	}
}

func port(lowest uint64, field func(*Settings) *uint16) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		n, err := strconv.ParseUint(t, 10, 16)
		if err != nil || n < lowest {
			return &badValue{fmt.Sprintf("is %q", t), fmt.Sprintf("use a port number from %d to 65535", lowest)}
		}
		*field(s) = uint16(n)
		return nil
	}
}

func count(field func(*Settings) *int) func(*Settings, *loader, string) *badValue {
	return number(1, 10_000, field)
}

func number(lowest, highest int, field func(*Settings) *int) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		n, err := strconv.Atoi(t)
		if err != nil || n < lowest || n > highest {
			return &badValue{fmt.Sprintf("is %q", t), fmt.Sprintf("use a number from %d to %d", lowest, highest)}
		}
		*field(s) = n
		return nil
	}
}

func duration(lowest, highest time.Duration, field func(*Settings) *time.Duration) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		d, err := time.ParseDuration(t)
		if _, bare := strconv.ParseUint(t, 10, 64); err != nil && bare == nil {
			return &badValue{fmt.Sprintf("is %q, which has no unit", t), fmt.Sprintf("write %ss, or %sms for milliseconds", t, t)}
		}
		if err != nil {
			return &badValue{fmt.Sprintf("is %q", t), "use a duration such as 500ms, 10s or 2m"}
		}
		if d < lowest || d > highest {
			return &badValue{fmt.Sprintf("is %q", t), fmt.Sprintf("use a duration from %s to %s", short(lowest), short(highest))}
		}
		*field(s) = d
		return nil
	}
}

// short writes a duration without the empty parts that Duration.String keeps: 1h rather than 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// filePath takes a file name; a leading ~/ is the home folder, because .env files are not read by a shell.
func filePath(field func(*Settings) *string) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, l *loader, t string) *badValue {
		rest, tilde := strings.CutPrefix(t, "~/")
		if tilde {
			home := l.home()
			if home == "" {
				return &badValue{"starts with ~, but there is no home folder", "set HOME, or give the whole path"}
			}
			t = filepath.Join(home, rest)
		}
		*field(s) = t
		return nil
	}
}

func issuer(s *Settings, _ *loader, t string) *badValue {
	u, err := url.Parse(t)
	switch {
	case strings.Contains(t, "@"): // may hold a password: not quoted
		return &badValue{"holds a user or a password", "use the issuer exactly as the iss claim of a token has it"}
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return &badValue{fmt.Sprintf("is %q", t), "use the issuer's URL, such as https://dev-abc.eu.auth0.com/"}
	case u.RawQuery != "" || u.Fragment != "":
		return &badValue{"holds more than a URL's host and path", "use the issuer exactly as the iss claim of a token has it"}
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return &badValue{fmt.Sprintf("is %q, which is not encrypted", t), "use https; http is for an issuer on this machine only"}
	}
	s.OIDCIssuer = t
	return nil
}

// IsLoopback tells whether a host is this machine, by its address or as localhost.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tenant folds AUTH0_TENANT into the issuer. Its row stands before OIDC_ISSUER's, so checkSettings can
// tell whether the two differ.
func tenant(s *Settings, l *loader, t string) *badValue {
	bare := strings.TrimSuffix(strings.TrimPrefix(t, "https://"), "/")
	if bare != t {
		return &badValue{fmt.Sprintf("is %q", t), "write the domain alone: " + bare}
	}
	if !strings.Contains(t, ".") || strings.ContainsAny(t, "/:@?# ") {
		return &badValue{fmt.Sprintf("is %q", t), "write the whole domain, such as dev-abc.eu.auth0.com"}
	}
	l.tenantIssuer = "https://" + t + "/"
	s.OIDCIssuer = l.tenantIssuer
	return nil
}

// extensions reads a list of names.
func extensions(s *Settings, _ *loader, text string) *badValue {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !pool.IsExtensionName(name) {
			return &badValue{fmt.Sprintf("holds %q, which is not the name of an extension", name),
				"name extensions as pg_extension does, with commas between them"}
		}
		s.PoolStatelessExtensions = append(s.PoolStatelessExtensions, name)
	}
	return nil
}
