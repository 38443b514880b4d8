// Where PostgreSQL is: the forms that people write, and which of them DB_HOST takes.

package settings

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// hostName is what a resolver may be asked for. Underscores are no part of host names, but of those that containers have.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

const maxHostName = 253 // bytes (RFC 1035)

// databaseHost takes one name, one address, or the folder of a Unix socket, and none of the other forms that PostgreSQL's
// own tools have for it. What may hold a password is not quoted.
func databaseHost(field func(*Settings) *string) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		if bad := checkDatabaseHost(t); bad != nil {
			return bad
		}
		*field(s) = t
		return nil
	}
}

func checkDatabaseHost(t string) *badValue {
	const alone = "set it to the host name alone"
	name, port, err := net.SplitHostPort(t)
	_, notAddress := netip.ParseAddr(t)
	switch {
	case strings.Contains(t, "://") || strings.ContainsAny(t, "@="):
		return &badValue{"holds more than a host, such as a whole URL", alone + "; port, user, password and database have settings of their own"}
	case strings.HasPrefix(t, "/"):
		return checkSocketFolder(t)
	case notAddress == nil:
		return checkDatabaseAddress(t)
	case strings.Contains(t, ","):
		return &badValue{fmt.Sprintf("is %q, which is a list", t),
			"set it to one host: a name with several addresses is tried one after the other"}
	case strings.HasPrefix(t, "[") && err != nil:
		return &badValue{fmt.Sprintf("is %q", t), "write an IPv6 address without brackets: " + strings.Trim(t, "[]")}
	case err == nil && name == "":
		return &badValue{fmt.Sprintf("is %q, which holds a port and no host", t), "set it to the host name, and DB_PORT to " + port}
	case err == nil && port == "":
		return &badValue{fmt.Sprintf("is %q, which ends in a colon", t), "set it to " + name}
	case err == nil:
		return &badValue{fmt.Sprintf("is %q, which holds a port", t), fmt.Sprintf("set it to %s, and DB_PORT to %s", name, port)}
	case strings.HasPrefix(t, ".") || strings.HasPrefix(t, "~"):
		return &badValue{fmt.Sprintf("is %q", t), "write the folder of a Unix socket from its root, such as /var/run/postgresql"}
	case strings.Contains(t, "/"):
		return &badValue{fmt.Sprintf("is %q, which holds more than a host", t), alone + "; the database is the client's to name"}
	case strings.ContainsFunc(t, unicode.IsSpace):
		return &badValue{fmt.Sprintf("is %q, which holds a space", t), "set it to one host name or address"}
	case looksLikeAddress(t):
		return &badValue{fmt.Sprintf("is %q, which is no address", t),
			"write four numbers from 0 to 255 without leading zeros, such as 10.0.0.5, or a host name"}
	case !hostName.MatchString(t) || len(t) > maxHostName:
		return &badValue{fmt.Sprintf("is %q, which is no host name", shorten(t)),
			"set it to a host name, an address, or the folder of a Unix socket"}
	}
	return nil
}

// checkSocketFolder: libpq's form. That there is such a folder need not be true yet.
func checkSocketFolder(t string) *badValue {
	if base := filepath.Base(t); strings.HasPrefix(base, ".s.PGSQL.") {
		folder, port := filepath.Dir(t), strings.TrimPrefix(base, ".s.PGSQL.")
		return &badValue{fmt.Sprintf("is %q, which is the socket itself", t), fmt.Sprintf("set it to its folder, %s, and DB_PORT to %s", folder,
			port)}
	}
	if strings.Contains(t, ",") {
		return &badValue{fmt.Sprintf("is %q, which is a list", t), "set it to one folder"}
	}
	return nil
}

func checkDatabaseAddress(t string) *badValue {
	if netip.MustParseAddr(t).IsUnspecified() {
		return &badValue{fmt.Sprintf("is %q, which is where servers listen, and no server", t),
			"set it to the address of PostgreSQL's machine; localhost for this one"}
	}
	return nil
}

// looksLikeAddress: numbers and dots alone are no name.
func looksLikeAddress(t string) bool {
	return !strings.ContainsFunc(t, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
}

// shorten bounds what is quoted.
func shorten(t string) string {
	if r := []rune(t); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return t
}
