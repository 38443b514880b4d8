// PROXY_HOST: a list of addresses, names and folders of Unix sockets, and what the list means for other settings.

package settings

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	MaxListen = 64 // sockets
	// What the kernel has room for (sun_path), with the byte that ends it: 104 bytes on BSD and macOS, 108 on Linux.
	maxSocketPathLinux = 107
	maxSocketPathBSD   = 103
)

// listenHosts takes what PostgreSQL's listen_addresses and unix_socket_directories take, in one list.
func listenHosts(s *Settings, _ *loader, t string) *badValue {
	var hosts []string
	for entry := range strings.SplitSeq(t, ",") {
		entry = strings.TrimSpace(entry)
		if bad := checkListenHost(entry); bad != nil {
			return bad
		}
		if slices.Contains(hosts, entry) {
			return &badValue{fmt.Sprintf("names %q twice", shorten(entry)), "name each address and folder once"}
		}
		hosts = append(hosts, entry)
	}
	if len(hosts) > MaxListen {
		return &badValue{fmt.Sprintf("names more than %d addresses", MaxListen), "name fewer; 0.0.0.0 stands for every interface"}
	}
	s.ProxyHost = strings.Join(hosts, ",")
	return nil
}

func checkListenHost(t string) *badValue {
	const alone = "set it to the address or host name alone"
	name, port, err := net.SplitHostPort(t)
	_, notAddress := netip.ParseAddr(t)
	switch {
	case t == "":
		return &badValue{"has an empty entry in its list", "write addresses and folders with one comma between them, such as " +
			"127.0.0.1,/run/gprxy"}
	case IsUnixHost(t):
		return checkListenFolder(t)
	case strings.Contains(t, "://") || strings.ContainsAny(t, "@="): // may hold a password: not quoted
		return &badValue{"holds more than a host, such as a whole URL", alone + "; the port is PROXY_PORT's"}
	case notAddress == nil:
		return nil
	case t == "*":
		return &badValue{`is "*"`, "write 0.0.0.0 for every interface of IPv4, or :: for those of IPv6, too"}
	case strings.HasPrefix(t, "[") && err != nil:
		return &badValue{fmt.Sprintf("is %q", shorten(t)), "write an IPv6 address without brackets: " + strings.Trim(shorten(t), "[]")}
	case err == nil && name == "":
		return &badValue{fmt.Sprintf("is %q, which holds a port and no host", shorten(t)),
			"set it to 0.0.0.0 for every interface, and PROXY_PORT to " + shorten(port)}
	case err == nil && port == "":
		return &badValue{fmt.Sprintf("is %q, which ends in a colon", shorten(t)), "set it to " + shorten(name)}
	case err == nil:
		return &badValue{fmt.Sprintf("is %q, which holds a port", shorten(t)), fmt.Sprintf("set it to %s, and PROXY_PORT to %s", shorten(name),
			shorten(port))}
	case strings.HasPrefix(t, ".") || strings.HasPrefix(t, "~"):
		return &badValue{fmt.Sprintf("is %q", shorten(t)), "write the folder of a Unix socket from its root, such as /run/gprxy"}
	case strings.Contains(t, "/"):
		return &badValue{fmt.Sprintf("is %q, which holds more than a host", shorten(t)), alone + "; a folder for a Unix socket begins with /"}
	case strings.ContainsFunc(t, unicode.IsSpace):
		return &badValue{fmt.Sprintf("is %q, which holds a space", shorten(t)), "separate addresses by commas"}
	case looksLikeAddress(t):
		return &badValue{fmt.Sprintf("is %q, which is no address", shorten(t)),
			"write four numbers from 0 to 255 without leading zeros, such as 10.0.0.5"}
	case !hostName.MatchString(t) || len(t) > maxHostName:
		return &badValue{fmt.Sprintf("is %q, which is no host name", shorten(t)),
			"set it to an address, a host name, or the folder of a Unix socket"}
	}
	return nil
}

func checkListenFolder(t string) *badValue {
	longest := LongestSocketPath()
	folder, port, whole := strings.Cut(t, "/"+SocketPrefix)
	switch {
	case strings.ContainsFunc(t, unicode.IsControl):
		return &badValue{"holds a control character", "set it to the folder of a Unix socket, such as /run/gprxy"}
	case whole:
		return &badValue{fmt.Sprintf("is %q, which is the socket itself", shorten(t)),
			fmt.Sprintf("set it to its folder, %s, and PROXY_PORT to %s", shorten(folder), shorten(port))}
	case t == "@":
		return &badValue{`is "@", which is no name`, "write an abstract socket's name after it, such as @gprxy"}
	case t[0] == '@' && strings.Contains(t[1:], "@"):
		return &badValue{"holds more than an abstract name", "write one @ and a name, such as @gprxy"}
	case t[0] == '@' && runtime.GOOS != "linux":
		return &badValue{fmt.Sprintf("is %q, and abstract sockets are Linux's", shorten(t)), "set it to a folder, such as /run/gprxy"}
	case len(t)+len("/"+SocketPrefix+"65535") > longest:
		return &badValue{fmt.Sprintf("names %q, whose socket would have a name longer than %d bytes", shorten(t), longest),
			"choose a shorter folder"}
	case t[0] == '@':
		return nil
	}
	info, err := os.Stat(t)
	switch {
	case err != nil:
		return &badValue{"names a folder that cannot be used: " + err.Error(), "make it, for gprxy's user to write in: mkdir " + t}
	case !info.IsDir():
		return &badValue{fmt.Sprintf("names %q, which is no folder", shorten(t)), "set it to the folder that the socket is to be in"}
	}
	return nil
}

// SocketPrefix is how the names of PostgreSQL's Unix sockets begin; the port follows.
const SocketPrefix = ".s.PGSQL."

// IsUnixHost tells a folder, or an abstract name, from an address, as libpq does.
func IsUnixHost(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@")
}

// socketMode reads permissions as chmod and PostgreSQL's unix_socket_permissions have them.
func socketMode(s *Settings, _ *loader, t string) *badValue {
	n, err := strconv.ParseUint(t, 8, 16)
	if err != nil || n > 0o777 {
		return &badValue{fmt.Sprintf("is %q", shorten(t)), "write permissions as chmod takes them: 0777 for everybody, 0770 for user and " +
			"group, 0700 for gprxy's user alone"}
	}
	if n&0o200 == 0 {
		return &badValue{fmt.Sprintf("is %q, with which nobody could connect", t), "let at least the owner write, such as 0700"}
	}
	s.SocketMode = os.FileMode(n)
	return nil
}

// ListenHosts are the entries of PROXY_HOST.
func (s Settings) ListenHosts() []string { return strings.Split(s.ProxyHost, ",") }

// beyondLoopback are the entries that clients on other machines may reach.
func (s Settings) beyondLoopback() string {
	var open []string
	for _, h := range s.ListenHosts() {
		if h != "" && !IsUnixHost(h) && !IsLoopback(h) {
			open = append(open, h)
		}
	}
	return strings.Join(open, ",")
}

// CertificateHost is what a certificate made for development is to name: the first address.
func (s Settings) CertificateHost() string {
	for _, h := range s.ListenHosts() {
		if !IsUnixHost(h) {
			return h
		}
	}
	return ""
}

// checkListen: a Unix socket's file is named after the port, so one must be known.
func checkListen(s *Settings, l *loader) {
	if s.ProxyPort == 0 && s.ProxyHost != "" && !slices.ContainsFunc(s.ListenHosts(), func(h string) bool { return !IsUnixHost(h) }) &&
		!l.bad("PROXY_PORT") {
		l.problem("PROXY_PORT", "is 0, but a Unix socket's name has a port in it", "set it to a port, such as 7777 (psql -p 7777)")
	}
}

// LongestSocketPath is what the kernel has room for.
func LongestSocketPath() int {
	if runtime.GOOS == "linux" {
		return maxSocketPathLinux
	}
	return maxSocketPathBSD
}
