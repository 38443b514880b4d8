// The proxy as a whole: every part opened in order, run, and closed in reverse.

package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gprxy/auth"
	"gprxy/cmd/metrics"
	"gprxy/cmd/settings"
	"gprxy/listener"
	"gprxy/pool"
	"gprxy/session"
	"gprxy/store"
)

const (
	// What the identity provider and PostgreSQL are given to answer while the proxy starts.
	startCheckTimeout = 10 * time.Second
	// What sessions are given to say goodbye once the shutdown's time is up.
	killGrace = 5 * time.Second
	// What closing pools and log may take at the end.
	closeTimeout = 20 * time.Second
	// How long a client waits for a connection to PostgreSQL before it is told what for.
	waitNotice = 5 * time.Second
	// How long a host may not answer while something is sent to it: about seven times, or eight.
	peerTimeout = 25 * time.Second
)

// proxy holds what `gprxy start` runs. The fields stand in the order in which they are opened.
type proxy struct {
	settings settings.Settings
	log      *slog.Logger

	secrets *settings.Secrets

	metrics     *metrics.Server // nil: nobody may look
	metricsWait bool            // its address is another process's still

	events *store.DB
	signer *store.SignerKey // of checkpoints; nil: none are made
	tokens *auth.Verifier   // nil: no token login
	pools  *pool.Pools

	certificate *listener.Certificate // that clients see; nil: none

	handler *session.Handler
	server  *listener.Server
	sockets []net.Listener

	checks sync.WaitGroup // of what may be wrong outside, while the proxy already serves
	upkeep sync.WaitGroup // of the event log, for as long as the proxy serves
}

// openProxy opens every part. On failure nothing is left open.
func openProxy(ctx context.Context, s settings.Settings, log *slog.Logger, env Environment) (*proxy, error) {
	p := &proxy{settings: s, log: log}
	if err := p.open(ctx, env); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

// open goes from what is most likely to be wrong to what has effects: nothing is written to the
// log of another proxy.
func (p *proxy) open(ctx context.Context, env Environment) (err error) {
	secured, err := p.serverTLS(env.home())
	if err != nil {
		return err
	}
	if p.sockets, err = listen(ctx, p.settings, env); err != nil {
		return err
	}
	p.secrets = settings.NewSecrets(p.settings, p.log)
	if err := p.openMetrics(ctx); err != nil {
		return err
	}
	if p.events, err = p.openLog(ctx); err != nil {
		return err
	}
	if err := p.openKey(); err != nil {
		return err
	}
	roles, err := p.openAuth()
	if err != nil {
		return err
	}
	if p.pools, err = pool.New(poolConfig(p.settings, p.log)); err != nil {
		return err
	}
	if p.handler, err = session.NewHandler(p.handlerConfig(secured, roles)); err != nil {
		return err
	}
	p.server = &listener.Server{
		Handle:         p.handler.ServeConn,
		Refuse:         p.handler.RefuseConn,
		TrustedProxies: p.settings.TrustedProxies,
		Log:            p.log,
	}
	p.watch()
	p.checkDescriptors()
	p.check(ctx, roles)
	return nil
}

// run serves until ctx ends, lets running sessions finish, and closes everything.
func (p *proxy) run(ctx context.Context) error {
	signals := make(chan os.Signal, 2) // beside those that end ctx: the second one is for drain
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	err := p.events.Append(ctx, p.started())
	if err != nil {
		return errors.Join(fmt.Errorf("record the start: %w", err), p.close(ctx))
	}
	p.log.Info("listening", "address", p.addresses(), "tls", p.settings.ProxyCert != "",
		"postgresql", p.upstream(), "event_log", p.settings.EventLog,
		"token_login", p.tokens != nil, "password_login", p.settings.PasswordLogin, "statements", p.settings.Audit.Statements)
	p.metrics.Started()
	keep, stopKeeping := context.WithCancel(ctx)
	defer stopKeeping()
	p.upkeep.Go(func() { p.keepRetention(keep) })
	p.upkeep.Go(func() { p.keepCheckpoints(keep) })
	p.upkeep.Go(func() { p.keepWatchdog(keep) })
	p.upkeep.Go(func() { p.keepMetrics(keep) })
	var serving sync.WaitGroup
	failed := make(chan error, len(p.sockets))
	for _, socket := range p.sockets {
		serving.Go(func() { failed <- p.server.Serve(ctx, socket) })
	}
	p.tellReady()
	reason := "signal"
	if err = p.untilEnd(ctx, failed); err != nil {
		reason = "listener failed"
	}
	stopKeeping()
	if p.drain(ctx, signals) {
		err = errors.Join(err, errCutOff)
	}
	serving.Wait()
	p.handler.Close()
	p.recordStop(ctx, reason)
	return errors.Join(err, p.close(ctx))
}

var errCutOff = errors.New("a second signal came: the sessions that were left were cut off")

// untilEnd returns when ctx ends, or with the listener's failure. SIGHUP makes the pools reconnect, with the
// passwords that their files hold.
func (p *proxy) untilEnd(ctx context.Context, failed <-chan error) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-hangup:
			p.tellReloading()
			p.secrets.Reread()
			p.pools.Reconnect()
			p.tellReady()
		}
	}
}

// drain stops accepting and gives sessions SHUTDOWN_TIMEOUT to finish what they are doing, or until a second signal comes. It
// tells whether one came. The end is recorded then, too; a third signal ends the process as it is.
func (p *proxy) drain(ctx context.Context, signals chan os.Signal) (again bool) {
	p.log.Info("shutting down: running queries may finish, a second signal ends at once",
		"connections", p.server.Open(), "timeout", p.settings.ShutdownTimeout)
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), p.settings.ShutdownTimeout)
	var watch sync.WaitGroup
	watch.Go(func() {
		for range 2 {
			select {
			case <-signals:
			case <-limit.Done():
				return
			}
		}
		signal.Stop(signals)
		again = true
		done()
	})
	p.tellStopping()
	p.metrics.Drain()
	p.handler.Drain()
	if err := p.events.Leave(limit); err != nil {
		p.log.Warn("the next gprxy can have the event log only when this one has ended", "error", err)
	}
	if err := p.server.Shutdown(limit, killGrace); err != nil {
		p.log.Warn("sessions were cut off, at the end of SHUTDOWN_TIMEOUT or by a second signal")
	}
	done()
	watch.Wait()
	return again
}

// close gives back whatever was opened, last first.
func (p *proxy) close(ctx context.Context) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	p.checks.Wait()
	p.upkeep.Wait()
	var problems []error
	for _, socket := range p.sockets {
		if err := socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			problems = append(problems, err)
		}
	}
	if p.pools != nil {
		problems = append(problems, p.pools.Close(ctx))
	}
	if p.tokens != nil {
		p.tokens.Close()
	}
	if p.events != nil {
		problems = append(problems, p.events.Close(ctx))
	}
	if p.metrics != nil {
		p.metrics.Close(ctx)
	}
	return errors.Join(problems...)
}

// serverTLS is nil when TLS is off.
func (p *proxy) serverTLS(home string) (*tls.Config, error) {
	certFile, keyFile := p.settings.ProxyCert, p.settings.ProxyKey
	switch certFile {
	case "":
		return nil, nil
	case settings.CertAuto:
		files, err := listener.EnsureLocalCA(filepath.Join(home, ".gprxy", "tls"), p.settings.CertificateHost())
		if err != nil {
			return nil, err
		}
		certFile, keyFile = files.CertFile, files.KeyFile
		p.log.Info("serving with a certificate made for development, not for production",
			"clients_use", "sslmode=verify-full sslrootcert="+files.RootFile)
	}
	certificate, err := listener.LoadCertificate(certFile, keyFile, p.log)
	if err != nil {
		return nil, err
	}
	p.certificate = certificate
	return certificate.ServerConfig(), nil
}

// openAuth makes the verifier, if there is an issuer, and the role mapping. An issuer that cannot
// be reached now is asked again with the first token.
func (p *proxy) openAuth() (*auth.Roles, error) {
	roles, err := auth.NewRoles(p.settings.Roles)
	if err != nil {
		return nil, err
	}
	if !p.settings.TokenLogin() {
		return roles, nil
	}
	p.tokens, err = auth.NewVerifier(auth.VerifierConfig{
		Issuer:        p.settings.OIDCIssuer,
		Audience:      p.settings.Audience,
		AudienceClaim: p.settings.SignOn.AudienceClaim,
		RolesClaim:    p.settings.RolesClaim,
		UserClaim:     p.settings.UserClaim,
		ExactUsers:    p.settings.SignOn.UserCase == settings.UserCaseExact,
		Required:      p.settings.SignOn.Required,
		ClockSkew:     p.settings.SignOn.ClockSkew,
		Mapped:        roles.Maps,
		Log:           p.log,
	})
	return roles, err
}

func (p *proxy) started() store.Event {
	started := store.ProxyStarted{
		Version:  thisBuild().Version,
		Listen:   p.addresses(),
		Upstream: p.upstream(),
		PID:      os.Getpid(),
	}
	if p.settings.Audit.Statements != settings.StatementsOff {
		started.Durability = p.settings.Audit.Durability
	}
	return store.Event{Time: time.Now(), Fact: started}
}

// addresses are what gprxy listens on, as the log has them.
func (p *proxy) addresses() string {
	var all []string
	for _, socket := range p.sockets {
		all = append(all, socket.Addr().String())
	}
	return strings.Join(all, ",")
}

func (p *proxy) upstream() string {
	return net.JoinHostPort(p.settings.DBHost, strconv.Itoa(int(p.settings.DBPort)))
}
