// A gprxy on this machine is known again by its certificate.

package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gprxy/listener"
)

// doorman answers an SSLRequest as gprxy does, with the certificate of a folder, or with none ("").
type doorman struct {
	net.Listener
	config atomic.Pointer[tls.Config]
}

func newDoorman(t *testing.T) *doorman {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &doorman{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.answer(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return d
}

func (d *doorman) answer(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
		return
	}
	config := d.config.Load()
	if config == nil {
		conn.Write([]byte("N"))
		return
	}
	conn.Write([]byte("S"))
	tls.Server(conn, config).Handshake()
}

func (d *doorman) shows(t *testing.T, dir string, withRoot bool) {
	t.Helper()
	files, err := listener.EnsureLocalCA(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if withRoot {
		root, err := tls.LoadX509KeyPair(files.RootFile, filepath.Join(dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		pair.Certificate = append(pair.Certificate, root.Certificate...)
	}
	d.config.Store(&tls.Config{Certificates: []tls.Certificate{pair}})
}

func TestAProxyOnThisMachineIsKnownAgain(t *testing.T) {
	home, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	d := newDoorman(t)
	var said []string
	meet := func(args ...string) error {
		t.Helper()
		env := fixedEnvironment(t, "HOME="+home)
		var o targetOptions
		fs := newFlagSet("connect")
		o.flags(fs)
		if err := fs.Parse(append([]string{"--host", d.Addr().String(), "-d", "app"}, args...)); err != nil {
			t.Fatal(err)
		}
		c := &call{IO: IO{Err: t.Output()}, Environment: env, command: connectCommand(), set: fs}
		to, err := o.target(c, "")
		if err != nil {
			return err
		}
		said = nil
		if to.known != nil {
			to.known.tell = func(format string, args ...any) { said = append(said, format) }
		}
		err = to.probe(context.Background())
		if plain := to.orPlain(); err == nil && d.config.Load() != nil && to.known != nil && plain {
			t.Error("a login without TLS would be next")
		}
		return err
	}
	changed := func(err error) bool { _, is := errors.AsType[*changedError](err); return is }

	if err := meet(); err != nil || len(said) != 0 {
		t.Errorf("without TLS: %v, said %q", err, said)
	}
	d.shows(t, first, true)
	if err := meet(); err != nil || len(said) != 1 || !strings.Contains(said[0], "met for the first time") {
		t.Errorf("the first time: %v, said %q", err, said)
	}
	if err := meet(); err != nil || len(said) != 0 {
		t.Errorf("the second time: %v, said %q", err, said)
	}
	d.shows(t, second, true)
	err := meet()
	if !changed(err) || !strings.Contains(err.Error(), "somebody else may listen there") ||
		!strings.Contains(err.Error(), "add --new-certificate once") {
		t.Errorf("another certificate: %v", err)
	}
	if err := meet("--sslmode", "require"); err != nil {
		t.Errorf("as the person said: %v", err)
	}
	d.config.Store(nil)
	if err := meet(); !errors.Is(err, errNoTLS) || !strings.Contains(err.Error(), "had a certificate when it was last met") ||
		!strings.Contains(err.Error(), "--new-certificate") {
		t.Errorf("no TLS any more: %v", err)
	}
	// The same CA makes it a new certificate, for the same names, and then for others.
	if err := errors.Join(os.Remove(filepath.Join(first, "server.crt")), os.Remove(filepath.Join(first, "server.key"))); err != nil {
		t.Fatal(err)
	}
	d.shows(t, first, true)
	if err := meet(); err != nil {
		t.Errorf("renewed by its CA: %v", err)
	}
	if err := os.Remove(filepath.Join(first, "server.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.EnsureLocalCA(first, "other.example.com"); err != nil {
		t.Fatal(err)
	}
	d.shows(t, first, true)
	if err := meet(); !changed(err) {
		t.Errorf("by the same CA for other names: %v", err)
	}
	d.shows(t, second, false)
	if err := meet("--new-certificate"); err != nil || len(said) != 1 {
		t.Errorf("with --new-certificate: %v, said %q", err, said)
	}
	if err := meet(); err != nil {
		t.Errorf("from then on: %v", err)
	}
	if err := meet("--new-certificate", "--sslmode", "verify-full"); err == nil || !strings.Contains(err.Error(), "verified in another way") {
		t.Errorf("--new-certificate where it means nothing: %v", err)
	}
	known := filepath.Join(home, ".gprxy", "known_proxies")
	if info, err := os.Stat(known); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", known, info, err)
	}
	if err := errors.Join(os.Remove(known), os.Mkdir(known, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := meet(); err == nil || !strings.Contains(err.Error(), "to begin anew") {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

func TestHostIsServer(t *testing.T) {
	for args, wrong := range map[string]string{
		"--host proxy:6000 -d app":                       "",
		"--host proxy:6000 --server proxy:6000 -d app":   "",
		"-s proxy --host other -d app":                   "--server and --host are the same, but are given as proxy and other",
		"--host postgres://u:topsecret@proxy/app -d app": "--server, --host or PROXY_URL holds a password",
	} {
		to, _, err := aim(t, nil, "elsewhere", strings.Fields(args)...)
		if wrong == "" && (err != nil || to.address() != "proxy:6000") || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s leads to %s, %v; want %q", args, to.address(), err, wrong)
		}
	}
}

// With a real gprxy whose certificate is replaced: psql, prompt and tunnel send it no token.
func TestNoTokenForAChangedCertificate(t *testing.T) {
	t.Parallel()
	i := newPersonInstall(t)
	proxy := i.start("PROXY_CERT=auto")
	_, port, _ := net.SplitHostPort(proxy.addr)
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	to := []string{"connect", "--host", "127.0.0.1:" + port, "-d", "postgres"}
	psql := func(p *personAtShell) *personAtShell { havePsql(t); return p }
	prompt := func(p *personAtShell) *personAtShell { return p.withoutPsql() }
	if got := prompt(p).expect(0, []string{"met for the first time; from now on it must have this certificate (key SHA256:"}, "select 1;",
		to...); strings.Contains(got.out, "met for") {
		t.Errorf("it stands in the output:\n%s", got.out)
	}
	for _, way := range []func(*personAtShell) *personAtShell{psql, prompt} {
		if got := way(p).expect(0, nil, "select 1;", to...); got.err != "" {
			t.Errorf("the second time it says %s", got.err)
		}
	}
	proxy.Process.Signal(syscall.SIGTERM)
	proxy.wait()
	other, err := listener.EnsureLocalCA(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	i.start("PROXY_PORT="+port, "PROXY_CERT="+other.CertFile, "PROXY_KEY="+other.KeyFile)
	for _, way := range []func(*personAtShell) *personAtShell{psql, prompt} {
		way(p).expect(2, []string{"is not trusted", "somebody else may listen there", "--new-certificate"}, "select 1;", to...)
	}
	tunnel := p.command("tunnel", "--host", "127.0.0.1:"+port, "-d", "postgres", "--listen", "127.0.0.1:0")
	u := i.follow(tunnel)
	waitFor(t, "the tunnel warns", func() bool {
		return strings.Contains(u.output(), "so the token was not sent") && strings.Contains(u.output(), "--new-certificate")
	})
	u.Process.Kill()
	u.end()
	if got, err := i.command("audit", "--type", "auth.failed", "--json").Output(); err != nil || len(got) != 0 {
		t.Errorf("a token came to the changed gprxy: %v\n%s", err, got)
	}
	psql(p).expect(0, nil, "select 1;", append(to, "--new-certificate")...)
	prompt(p).expect(0, nil, "select 1;", to...)
	p.kept(p.secrets())
}
