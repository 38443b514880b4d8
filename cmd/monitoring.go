// What monitoring may look at: METRICS_LISTEN, opened before all else that takes time, closed last.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"gprxy/cmd/metrics"
	"gprxy/listener"
)

// openMetrics listens and answers from now on: that gprxy lives, and that it has not started yet. An address that another process
// has is asked for again by keepMetrics.
func (p *proxy) openMetrics(ctx context.Context) error {
	m := p.settings.Metrics
	if m.Listen == "" {
		return nil
	}
	build := thisBuild()
	s := &metrics.Server{
		Metrics: metrics.New(metrics.Build{Version: build.Version, Commit: build.Commit}, p.accounts()),
		Log:     p.log,
	}
	if m.Token != "" {
		s.Token = p.secrets.MetricsToken
	}
	if m.Cert != "" {
		certificate, err := listener.LoadCertificate(m.Cert, m.Key, p.log)
		if err != nil {
			return err
		}
		s.TLS = certificate.ServerConfig()
		s.TLS.NextProtos = []string{"http/1.1"} // instead of PostgreSQL's
	}
	p.metrics = s
	err := p.listenForMetrics(ctx)
	if p.metricsWait = errors.Is(err, syscall.EADDRINUSE); !p.metricsWait {
		return err
	}
	p.warnOfMetrics()
	return nil
}

func (p *proxy) listenForMetrics(ctx context.Context) error {
	m := p.settings.Metrics
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", m.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s for metrics: %w; choose another with METRICS_LISTEN", m.Listen, reasonOf(err))
	}
	p.metrics.Serve(l)
	p.log.Info("metrics and health are answered", "metrics_address", l.Addr().String(), "tls", m.Cert != "", "token", m.Token != "")
	return nil
}

func (p *proxy) warnOfMetrics() {
	p.log.Warn("metrics and health are not answered yet: another process listens there, perhaps the gprxy before this one until its last "+
		"session has ended; if it is none, choose another address with METRICS_LISTEN", "address", p.settings.Metrics.Listen)
}

const (
	metricsPoll = time.Second // how often is looked whether the address is free
	metricsWarn = time.Minute // how often is said that it is not
)

// keepMetrics listens for metrics as soon as the address is free, until ctx ends.
func (p *proxy) keepMetrics(ctx context.Context) {
	look := time.NewTicker(metricsPoll)
	defer look.Stop()
	for warned := time.Now(); p.metricsWait; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		err := p.listenForMetrics(ctx)
		p.metricsWait = errors.Is(err, syscall.EADDRINUSE)
		switch {
		case err != nil && !p.metricsWait:
			p.log.Error("metrics and health are not answered", "error", err)
		case p.metricsWait && time.Since(warned) >= metricsWarn:
			warned = time.Now()
			p.warnOfMetrics()
		}
	}
}

// reasonOf is the error of the system alone: the address stands beside it.
func reasonOf(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

// accounts are the service accounts that the settings name.
func (p *proxy) accounts() []string {
	all := []string{p.settings.ServiceUser}
	for _, login := range p.settings.Roles.Mapping {
		all = append(all, login.User)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == "" })
}

// loggedIn counts logins, if somebody may look.
func (p *proxy) loggedIn() func(session string) {
	if p.metrics == nil {
		return nil
	}
	return p.metrics.Metrics.LoggedIn
}

// watch lets monitoring look at what is open now.
func (p *proxy) watch() {
	if p.metrics == nil {
		return
	}
	sources := metrics.Sources{Pools: p.pools.Stats, Log: p.events.Stats, LogBytes: p.logBytes, Connections: p.server.Open}
	checks := []metrics.Check{
		{Name: "event log", Fault: p.events.Healthy},
		{Name: "postgresql", Fault: p.pools.Outage, Advisory: true},
	}
	if p.tokens != nil {
		sources.KeysFetched = p.tokens.KeysFetched
		checks = append(checks, metrics.Check{Name: "issuer keys", Fault: p.tokens.Ready, Advisory: p.settings.PasswordLogin})
	}
	if p.certificate != nil {
		sources.CertExpires = p.certificate.NotAfter
	}
	p.metrics.Metrics.Watch(sources)
	p.metrics.Watch(checks...)
}

// logBytes is what the event log takes on the disk.
func (p *proxy) logBytes() (sum int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(p.settings.EventLog + suffix); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
