// A gprxy behind a Unix socket: named by its folder, as libpq's host is, and without TLS, as libpq does without.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

// socketPath is where the socket of a folder or of an abstract name is.
func socketPath(folder, port string) string {
	return strings.TrimSuffix(folder, "/") + "/" + settings.SocketPrefix + port
}

func (t target) isUnix() bool { return settings.IsUnixHost(t.host) }

// network and address are for a net.Dialer.
func (t target) network() string {
	if t.isUnix() {
		return "unix"
	}
	return "tcp"
}

// checkTargetFolder looks at the text alone. It quotes nothing, as parseTarget.
func checkTargetFolder(folder string) error {
	switch {
	case strings.Contains(folder, "/"+settings.SocketPrefix):
		return errors.New("is a socket; write its folder, such as /run/gprxy, and what stands behind " + settings.SocketPrefix + " with --port")
	case strings.Contains(folder, ","):
		return errors.New("is a list; write one folder, such as /run/gprxy")
	case folder == "@" || strings.HasPrefix(folder, "@") && strings.ContainsAny(folder[1:], "@:/?#"):
		return errors.New("is no host; an abstract socket is one @ and a name, such as @gprxy")
	case strings.ContainsFunc(folder, unicode.IsControl) || strings.ContainsAny(folder, "?#"):
		return errors.New("is no folder; write it as it is, such as /run/gprxy")
	case len(socketPath(folder, "65535")) > settings.LongestSocketPath():
		return fmt.Errorf("is too long a folder: the name of a socket may have %d bytes", settings.LongestSocketPath())
	}
	return nil
}

// chooseNoTLS is chooseTLS for a Unix socket: like psql it has no TLS, whatever sslmode says.
func (t *target) chooseNoTLS() { t.sslMode, t.rootCert = sslDisable, rootSystem }

// strangersMayListen warns of a place where anybody on this machine could make a socket in gprxy's absence: on loopback it
// would be found out by its certificate.
func (t target) strangersMayListen() string {
	if !t.isUnix() {
		return ""
	}
	if info, err := os.Stat(t.host); t.host[0] == '/' && (err != nil || info.Mode().Perm()&0o002 == 0) {
		return ""
	}
	return "any user of this machine may listen at " + terminal.Printable(t.address()) +
		" while gprxy does not, and would get your token: better a folder that gprxy's user alone can write in"
}

// explainSocket is nil for what is no matter of a Unix socket.
func (t target) explainSocket(err error) error {
	where := "gprxy at " + t.address()
	switch {
	case !t.isUnix():
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be reached: there is no such socket; check --server (its folder) and --port, and that gprxy runs", where)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s cannot be reached: nothing listens there; check --server (its folder) and --port, and that gprxy runs", where)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be used by you; ask whoever runs it for PROXY_SOCKET_PERMISSIONS, and to let you into the folder", where)
	}
	return nil
}

// dial is for pgconn, which would take an abstract name for a host's.
func (t target) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, t.network(), t.address())
}

// libpqDefaults are the folders that libpqs are built to look in.
var libpqDefaults = []string{"/tmp", "/var/run/postgresql", "/run/postgresql"}

// libpqHost is t.host for psql. In a password file libpq looks for "localhost" in place of the folder that is its default,
// and the token would be there for whoever listens on that port; in another spelling the folder is as any other.
func (t target) libpqHost() string {
	if slices.Contains(libpqDefaults, strings.TrimRight(t.host, "/")) {
		return strings.TrimRight(t.host, "/") + "/."
	}
	return t.host
}
