// gprxy tunnel: a port or socket on this machine for tools that can do neither tokens nor verified TLS.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
	"gprxy/listener"
	"gprxy/session/tunnel"
)

const (
	// What a tool has from its connection to the end of the login; gprxy itself allows as much by default.
	tunnelLoginTimeout = 60 * time.Second
	// What gprxy has to answer before the tunnel says that it is not there.
	tunnelCheckTimeout = 5 * time.Second
	// What running queries have to finish after Ctrl-C.
	tunnelDrainTimeout = 10 * time.Second
)

func tunnelCommand() command {
	return command{
		name:    "tunnel",
		summary: "a local port for tools, without password and TLS",
		about: "For DBeaver, DataGrip, pgAdmin, Metabase and the like: they connect to this machine without a password, the tunnel connects " +
			"on to gprxy " +
			"with verified TLS and your token, renewed for each connection as needed. Tools that insist on TLS get it, with a certificate made " +
			"here. Runs until Ctrl-C, which lets running queries finish for 10 s. " +
			"A TCP port is open to everybody who can use this machine; with --socket only you can connect.",
		examples: []example{
			{"gprxy tunnel -s proxy.example.com -d app", "listens on 127.0.0.1:6432 and prints what to paste into the tool"},
			{"gprxy tunnel -s proxy.example.com -d app -U app_writer --listen 127.0.0.1:6433", "as another of your accounts, on another port"},
			{"gprxy tunnel -s proxy.example.com -d app --socket /home/me/.gprxy/tunnel", "a Unix socket that no other user of the machine can open"},
		},
		options: func() options { return &tunnelOptions{} },
	}
}

type tunnelOptions struct {
	to     targetOptions
	listen tunnelListenOptions

	// Complete after validate.
	sso    *ssoSettings
	target target
}

func (o *tunnelOptions) flags(fs *pflag.FlagSet) {
	o.to.flags(fs)
	o.listen.flags(fs)
	settings.AddPersonFlags(fs, settings.WhichLogin...)
}

func (o *tunnelOptions) validate(c *call) (err error) {
	if err := o.listen.validate(c); err != nil {
		return err
	}
	if o.sso, err = loadSSO(c); err != nil {
		return err
	}
	if o.target, err = o.to.target(c, o.sso.proxyURL); err != nil {
		return err
	}
	return o.to.checkOrigin(c, o.sso, o.target)
}

func (o *tunnelOptions) run(ctx context.Context, c *call) error {
	who, err := o.sso.tokens(ctx)
	if err != nil {
		return err // now, rather than to a tool that may hide it
	}
	config, err := o.config(c)
	if err != nil {
		return err
	}
	root := o.secureNear(c, &config)
	t, err := tunnel.New(config)
	if err != nil {
		return err
	}
	d, err := o.listen.open(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	o.check(ctx, c, t)
	o.announce(c, d, who, root)
	return serveTunnel(ctx, c, t, config.Log, d.Listener)
}

func (o *tunnelOptions) config(c *call) (tunnel.Config, error) {
	config, err := o.target.tlsConfig()
	if err != nil {
		return tunnel.Config{}, err
	}
	log := newLogger(c.IO, c.Environment, settings.LogProduction, settings.FormatText)
	if o.target.known != nil {
		o.target.known.tell = func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) }
	}
	return tunnel.Config{
		Network:      o.target.network(),
		Address:      o.target.address(),
		TLS:          config,
		OrPlain:      o.target.orPlain,
		User:         o.target.account,
		Database:     o.target.database,
		Token:        o.token,
		LoginTimeout: tunnelLoginTimeout,
		Log:          log,
	}, nil
}

// secureNear gives tools that insist on TLS a certificate for this machine's names, and returns the file of the CA that
// signed it. The folder is not that of PROXY_CERT=auto: whoever trusts a gprxy by that CA must not trust a tunnel for it.
// Without TLS the tunnel serves all other tools, so a folder that cannot be written is no reason to fail. On a Unix
// socket nobody asks for TLS.
func (o *tunnelOptions) secureNear(c *call, config *tunnel.Config) (root string) {
	if o.listen.socket != "" || c.home() == "" {
		return ""
	}
	files, err := listener.EnsureLocalCA(filepath.Join(c.home(), ".gprxy", "tls", "tunnel"), "")
	if err == nil {
		var certificate *listener.Certificate
		if certificate, err = listener.LoadCertificate(files.CertFile, files.KeyFile, config.Log); err == nil {
			config.NearTLS = certificate.ServerConfig()
			return files.RootFile
		}
	}
	c.warn("tools that insist on TLS cannot use this tunnel: " + err.Error())
	return ""
}

// token is asked for each connection: by then the last one may have expired, or another login taken its place.
func (o *tunnelOptions) token(ctx context.Context) (auth.Secret, error) {
	t, err := o.sso.tokens(ctx)
	if err != nil {
		return "", err
	}
	return t.Password(), nil
}

// check only warns: the VPN may come up later.
func (o *tunnelOptions) check(ctx context.Context, c *call, t *tunnel.Tunnel) {
	ctx, done := context.WithTimeout(ctx, tunnelCheckTimeout)
	defer done()
	if err := t.Check(ctx); err != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		c.warn(err.Error())
	}
}

// announce prints what to paste.
func (o *tunnelOptions) announce(c *call, d *tunnelListener, who sso.Tokens, root string) {
	user := first(o.target.account, first(who.User, who.Subject))
	fmt.Fprintf(c.Out, "Tunnel to %s as %s. On this side: no password, and no need for TLS.\n\n", terminal.Printable(o.target.address()),
		terminal.Printable(first(who.User, who.Subject)))
	uri := d.connectionURL(user, o.target.database)
	fmt.Fprintf(c.Out, "  psql   psql '%s'\n  URL    %s\n", uri, uri)
	if jdbc := d.jdbcURL(user, o.target.database); jdbc != "" {
		fmt.Fprintf(c.Out, "  JDBC   %s\n", jdbc)
	}
	if root != "" {
		fmt.Fprintf(c.Out, "\nA tool that insists on TLS: sslmode=require, or verify-full with sslrootcert=%s\n", terminal.Printable(root))
	}
	fmt.Fprintln(c.Out, "\nCtrl-C ends it.")
	if d.socket == "" {
		c.warn("every user of this machine can connect to " + d.Addr().String() + " and is then you; if there are others, use --socket")
	}
	if risk := o.target.strangersMayListen(); risk != "" {
		c.warn(risk)
	}
	if o.target.isUnix() {
		return
	}
	if o.target.known == nil && (o.target.sslMode == sslDisable || o.target.sslMode == sslRequire) || o.target.sslMode == sslPrefer &&
		!settings.IsLoopback(o.target.host) {
		c.warn("with --sslmode " + o.target.sslMode + " nothing proves that gprxy is who gets your token; verify-full does")
	}
}

// connectionURL is what libpq and its kin understand.
func (d *tunnelListener) connectionURL(user, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Host: d.Addr().String(), Path: "/" + database}
	query := "sslmode=disable"
	if d.socket != "" {
		u.Host = ""
		query = "host=" + strings.ReplaceAll(url.QueryEscape(d.dir), "+", "%20") + "&port=" + tunnelPort
	}
	u.RawQuery = query
	u.RawPath = "/" + url.PathEscape(database)
	return u.String()
}

// jdbcURL is "" for a Unix socket, which JDBC cannot use.
func (d *tunnelListener) jdbcURL(user, database string) string {
	if d.socket != "" {
		return ""
	}
	return fmt.Sprintf("jdbc:postgresql://%s/%s?user=%s&sslmode=disable", d.Addr(), url.QueryEscape(database), url.QueryEscape(user))
}

// serveTunnel serves until ctx ends, then lets what is running finish.
func serveTunnel(ctx context.Context, c *call, t *tunnel.Tunnel, log *slog.Logger, l net.Listener) error {
	server := &listener.Server{Handle: t.ServeConn, Log: log}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ctx, l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		failed <- nil
	}
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), tunnelDrainTimeout)
	defer done()
	t.Drain()
	if n := server.Open(); n > 0 {
		c.note("stopping: running queries may finish, Ctrl-C again ends at once")
	}
	if server.Shutdown(limit, killGrace) != nil {
		c.warn("connections were cut off")
	}
	<-failed // Serve has returned: its listener is closed
	return err
}
