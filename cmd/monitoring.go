// What monitoring may look at: METRICS_LISTEN, opened before all else that takes time, closed last.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"gprxy/cmd/metrics"
	"gprxy/listener"
)

// openMetrics listens and answers from now on: that gprxy lives, and that it has not started yet.
func (p *proxy) openMetrics(ctx context.Context) error {
	m := p.settings.Metrics
	if m.Listen == "" {
		return nil
	}
	build := thisBuild()
	s := &metrics.Server{
		Metrics: metrics.New(metrics.Build{Version: build.Version, Commit: build.Commit}, p.accounts()),
		Token:   m.Token,
		Log:     p.log,
	}
	if m.Cert != "" {
		certificate, err := listener.LoadCertificate(m.Cert, m.Key, p.log)
		if err != nil {
			return err
		}
		s.TLS = certificate.ServerConfig()
		s.TLS.NextProtos = []string{"http/1.1"} // instead of PostgreSQL's
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", m.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s for metrics: %w; choose another with METRICS_LISTEN", m.Listen, reasonOf(err))
	}
	s.Serve(l)
	p.metrics = s
	p.log.Info("metrics and health are answered", "metrics_address", l.Addr().String(), "tls", m.Cert != "", "token", m.Token != "")
	return nil
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
