// Where connect and tunnel go: which gprxy, which database, as whom, and over which TLS.

package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gprxy/cmd/settings"

	"github.com/spf13/pflag"
)

// The sslmodes connect and tunnel take, with libpq's meanings.
const (
	sslDisable    = "disable"
	sslPrefer     = "prefer"
	sslRequire    = "require"
	sslVerifyCA   = "verify-ca"
	sslVerifyFull = "verify-full"

	// rootSystem in target.rootCert means the CAs this machine trusts.
	rootSystem = "system"

	defaultProxyPort = "7777"
)

var sslModes = []string{sslDisable, sslPrefer, sslRequire, sslVerifyCA, sslVerifyFull}

// target is one gprxy and what is wanted of it. It holds no secret.
type target struct {
	host, port string
	database   string
	account    string // the account sent as the startup user; "": the person
	sslMode    string // one of sslModes
	rootCert   string // PEM file, or rootSystem; not used below verify-ca
	guessedTLS string // why sslMode and rootCert are what they are; "" if the person said so

	known *knownProxies // that its certificate is to be one of, if it was met before; nil: as sslMode says
}

func (t target) address() string {
	if t.isUnix() {
		return socketPath(t.host, t.port)
	}
	return net.JoinHostPort(t.host, t.port)
}

// targetOptions are the flags that name a target.
type targetOptions struct {
	server, host, port, database, account, sslMode, rootCert string
	newCertificate                                           bool
}

func (o *targetOptions) flags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.server, "server", "s", "", "where gprxy is, short -s: `HOST`, HOST:PORT, postgres://HOST:PORT/DB, or the folder of a "+
		"Unix socket; else PROXY_URL")
	fs.StringVar(&o.host, "host", "", "the same as --server")
	fs.StringVarP(&o.database, "database", "d", "", "the database `NAME`, short -d")
	fs.StringVarP(&o.port, "port", "p", "", "gprxy's `PORT`, short -p; else "+defaultProxyPort)
	fs.StringVarP(&o.account, "account", "U", "", "the `ACCOUNT` or role you want, short -U; else gprxy chooses among yours")
	fs.StringVar(&o.sslMode, "sslmode", "", "how much TLS, with libpq's `WORD`: "+strings.Join(sslModes,
		", ")+"; else verify-full; of no account on a Unix socket")
	fs.StringVar(&o.rootCert, "sslrootcert", "", "PEM `FILE` of the CAs that may sign gprxy's certificate, or the word system")
	fs.BoolVar(&o.newCertificate, "new-certificate", false, "on this machine: gprxy has been given another certificate than it had when "+
		"it was last met")
}

// target puts flags, PROXY_URL and defaults together. proxyURL is the checked setting, or "".
func (o *targetOptions) target(c *call, proxyURL string) (target, error) {
	instead := "gprxy " + c.command.name + " -s proxy.example.com -d mydb"
	if o.server != "" && o.host != "" && o.server != o.host {
		return target{}, usagef(instead, "--server and --host are the same, but are given as %s and %s", o.server, o.host)
	}
	o.server = first(o.server, o.host)
	given := first(o.server, proxyURL)
	if given == "" {
		return target{}, usagef(instead+", or set PROXY_URL", "no server is named")
	}
	t, err := parseTarget(given)
	if err != nil {
		return target{}, usagef(instead, "--server, --host or PROXY_URL %s", err)
	}
	t.database, t.account = first(o.database, t.database), first(o.account, t.account)
	t.sslMode, t.rootCert = first(o.sslMode, t.sslMode), first(o.rootCert, t.rootCert)
	if t.port, err = choosePort(o.port, t.port); err != nil {
		return target{}, err
	}
	if t.database == "" {
		return target{}, usagef(instead, "no database is named")
	}
	for what, name := range map[string]string{"database": t.database, "account": t.account} {
		if strings.ContainsRune(name, 0) || len(name) > settings.MaxIdentifier {
			return target{}, usagef("--"+what+" with a name as PostgreSQL has it", "--%s is no name (at most %d bytes)", what,
				settings.MaxIdentifier)
		}
	}
	if err := t.chooseTLS(c); err != nil {
		return t, err
	}
	return t, o.meet(c, &t)
}

// meet is for a gprxy on loopback that nobody has said anything about.
func (o *targetOptions) meet(c *call, t *target) error {
	if t.known == nil {
		if o.newCertificate && t.isUnix() {
			return usagef("gprxy "+c.command.name+" without --new-certificate",
				"--new-certificate: there is no TLS on a Unix socket, and no certificate")
		}
		if o.newCertificate {
			return usagef("gprxy "+c.command.name+" without --new-certificate",
				"--new-certificate is for a gprxy on this machine whose certificate is known from before; this one's is verified in another way "+
					"(--sslmode, --sslrootcert)")
		}
		return nil
	}
	if o.newCertificate {
		if err := t.known.forget(t.address()); err != nil {
			return err
		}
	}
	met, err := t.known.met(t.address())
	if len(met) > 0 {
		t.sslMode, t.guessedTLS = sslRequire, "it had a certificate when it was last met ("+t.known.path+")"
	}
	return err
}

// checkOrigin looks at an address that only .env names. The folder may be somebody else's, a cloned
// repository say, and whoever is at that address gets the person's token. So it may lead to this machine only.
func (o *targetOptions) checkOrigin(c *call, s *ssoSettings, t target) error {
	if o.server != "" || s.proxyVia == "" {
		return nil
	}
	if !settings.IsLoopback(t.host) && !t.isUnix() {
		return usagef(fmt.Sprintf("gprxy %s -s %s, if you trust it with your login, or set PROXY_URL in the environment", c.command.name,
			t.address()),
			"PROXY_URL in %s leads to %s, and your token would be sent there", s.proxyVia, t.address())
	}
	c.note("gprxy is at %s, as PROXY_URL in %s says.", t.address(), s.proxyVia)
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func choosePort(flag, inServer string) (string, error) {
	if flag == "" {
		return first(inServer, defaultProxyPort), nil
	}
	if n, err := strconv.ParseUint(flag, 10, 16); err != nil || n == 0 {
		return "", wrongValue("port", flag, "--port with a number from 1 to 65535")
	}
	if inServer != "" && inServer != flag {
		return "", usagef("say the port once", "--port is %s, but the server's address says %s", flag, inServer)
	}
	return flag, nil
}

// parseTarget takes HOST, HOST:PORT, an IPv6 address with or without brackets, the folder of a Unix socket, or a postgres URL. Its
// errors never quote the text: it may hold a password.
func parseTarget(text string) (target, error) {
	if strings.Contains(text, "://") {
		return parseTargetURL(text)
	}
	if settings.IsUnixHost(text) {
		return target{host: text}, checkTargetFolder(text)
	}
	if strings.ContainsAny(text, "@/?# \t\x00") {
		return target{}, errors.New("is no host; write HOST, HOST:PORT or postgres://HOST:PORT/DATABASE")
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		if host == "" {
			host = "localhost"
		}
		return target{host: host, port: port}, checkPort(port)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if host == "" || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return target{}, errors.New("is no host; write HOST, HOST:PORT or [IPV6]:PORT")
	}
	return target{host: host}, nil
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("has the port %q; use a number from 1 to 65535", port)
	}
	return nil
}

func parseTargetURL(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return target{}, errNoTargetURL
	}
	if _, secret := u.User.Password(); secret {
		return target{}, errors.New("holds a password; leave it out, the token takes its place")
	}
	if u.Fragment != "" || strings.Contains(strings.Trim(u.Path, "/"), "/") {
		return target{}, errors.New("holds more than HOST:PORT/DATABASE")
	}
	t := target{host: u.Hostname(), port: u.Port(), database: strings.Trim(u.Path, "/"), account: u.User.Username()}
	if t.port != "" {
		if err := checkPort(t.port); err != nil {
			return target{}, err
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, errors.New("has a query that cannot be understood")
	}
	for name, values := range query {
		switch name {
		case "sslmode":
			t.sslMode = values[len(values)-1]
		case "sslrootcert":
			t.rootCert = values[len(values)-1]
		case "host", "port":
			if err := t.beUnix(u, query); err != nil {
				return target{}, err
			}
		default:
			return target{}, fmt.Errorf("has the parameter %q; only sslmode and sslrootcert count, and host and port for a Unix socket", name)
		}
	}
	if t.host == "" {
		return target{}, errNoTargetURL
	}
	return t, nil
}

var errNoTargetURL = errors.New("is no URL of gprxy; write postgres://HOST:PORT/DATABASE, or " +
	"postgres:///DATABASE?host=/run/gprxy&port=PORT for a Unix socket")

// beUnix takes host and port as parameters, which is how libpq's URLs name a Unix socket.
func (t *target) beUnix(u *url.URL, query url.Values) error {
	t.host, t.port = query.Get("host"), query.Get("port")
	if u.Host != "" || len(query["host"]) != 1 || len(query["port"]) > 1 || !settings.IsUnixHost(t.host) {
		return errNoTargetURL
	}
	if t.port != "" {
		if err := checkPort(t.port); err != nil {
			return err
		}
	}
	return checkTargetFolder(t.host)
}

// chooseTLS checks what was said about TLS and fills in the rest: verify-full, but on loopback only if
// gprxy's own development CA is there to verify with, since a gprxy on loopback needs no TLS. libpq's
// PGSSLMODE and PGSSLROOTCERT do not count: they were set for other servers, and must not weaken this.
func (t *target) chooseTLS(c *call) error {
	if t.sslMode != "" && !slices.Contains(sslModes, t.sslMode) {
		return wrongValue("sslmode", t.sslMode, "--sslmode with one of "+strings.Join(sslModes, ", "))
	}
	if t.isUnix() {
		t.chooseNoTLS()
		return nil
	}
	if t.rootCert != "" && t.rootCert != rootSystem {
		if rest, tilde := strings.CutPrefix(t.rootCert, "~/"); tilde {
			t.rootCert = filepath.Join(c.home(), rest)
		}
		if !filepath.IsAbs(t.rootCert) {
			t.rootCert = filepath.Join(c.Dir, t.rootCert)
		}
	}
	own := filepath.Join(c.home(), ".gprxy", "tls", "root.crt")
	hasOwn := isFile(own) && c.home() != ""
	switch {
	case t.sslMode != "":
	case t.rootCert != "" || !settings.IsLoopback(t.host):
		t.sslMode = sslVerifyFull
	case hasOwn:
		t.sslMode, t.rootCert = sslVerifyFull, own
		t.guessedTLS = "there is a local CA at " + own
	default:
		t.sslMode, t.known = sslPrefer, knownIn(c.home())
	}
	if t.rootCert == "" {
		t.rootCert = rootSystem
		if libpq := filepath.Join(c.home(), ".postgresql", "root.crt"); settings.IsLoopback(t.host) && hasOwn {
			t.rootCert = own
		} else if c.home() != "" && isFile(libpq) {
			t.rootCert = libpq
		}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && err == nil && info.Mode().IsRegular()
}
