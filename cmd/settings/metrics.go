// METRICS_LISTEN and what belongs to it: where metrics and health are answered, and to whom.

package settings

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"gprxy/auth"
	"gprxy/listener"
)

// Metrics is where and to whom metrics and health are answered.
type Metrics struct {
	Listen string      // host:port; "": nowhere
	Cert   string      // PEM file or ""
	Key    string      // PEM file; set exactly when Cert is
	Token  auth.Secret // that scrapers must send; "": none
}

func metricsSettings() []Row {
	return []Row{
		{Name: "METRICS_LISTEN", None: "off",
			Meaning: "HOST:PORT to answer /metrics, /livez, /readyz and /startupz on; beyond loopback METRICS_TOKEN is needed",
			parse:   metricsListen},
		{Name: "METRICS_CERT", None: "no TLS", Meaning: "PEM certificate chain for METRICS_LISTEN, re-read when it changes",
			parse: filePath(func(s *Settings) *string { return &s.Metrics.Cert })},
		{Name: "METRICS_KEY", None: "none", Meaning: "PEM key of METRICS_CERT",
			parse: filePath(func(s *Settings) *string { return &s.Metrics.Key })},
		{Name: "METRICS_TOKEN", None: "nobody is asked", Secret: true,
			Meaning: "what a scraper of /metrics must send: Authorization: Bearer TOKEN",
			parse:   metricsToken},
	}
}

func metricsListen(s *Settings, _ *loader, t string) *badValue {
	const instead = "write HOST:PORT, such as 127.0.0.1:9187 or 0.0.0.0:9187"
	host, port, err := net.SplitHostPort(t)
	if err != nil || host == "" {
		return &badValue{fmt.Sprintf("is %q", shorten(t)), instead}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &badValue{fmt.Sprintf("has the port %q", shorten(port)), instead}
	}
	if bad := checkListenHost(host); bad != nil || IsUnixHost(host) {
		return &badValue{fmt.Sprintf("has the host %q", shorten(host)), instead}
	}
	s.Metrics.Listen = t
	return nil
}

// minMetricsToken is enough that nobody guesses it: 16 characters of a random token are 64 bits at the least.
const minMetricsToken = 16

func metricsToken(s *Settings, _ *loader, t string) *badValue {
	if len(t) < minMetricsToken {
		return &badValue{fmt.Sprintf("has fewer than %d characters, which can be guessed", minMetricsToken),
			"take a random one: openssl rand -hex 32"}
	}
	s.Metrics.Token = auth.Secret(t)
	return nil
}

func checkMetrics(s *Settings, l *loader) {
	m := s.Metrics
	if m.Listen == "" {
		if !l.bad("METRICS_LISTEN") && (m.Cert != "" || m.Key != "" || m.Token != "") {
			l.warn("METRICS_LISTEN is not set: METRICS_CERT, METRICS_KEY and METRICS_TOKEN have no effect")
		}
		return
	}
	if !l.bad("METRICS_CERT") && !l.bad("METRICS_KEY") {
		checkPair(l, "METRICS_CERT", "METRICS_KEY", m.Cert, m.Key)
	}
	if host, _, _ := net.SplitHostPort(m.Listen); IsLoopback(host) || l.bad("METRICS_TOKEN") || l.bad("METRICS_TOKEN_FILE") {
		return
	}
	switch {
	case m.Token == "":
		l.problem("METRICS_LISTEN", "is "+m.Listen+", which other machines can reach, and anybody could read the metrics",
			"set METRICS_TOKEN_FILE, which scrapers send then, or listen on 127.0.0.1")
	case m.Cert == "":
		l.warn("METRICS_CERT is not set: the token of METRICS_TOKEN crosses the network in the clear with each scrape")
	}
}

// checkPair tells what is wrong with a certificate and its key, of which none or both are set.
func checkPair(l *loader, cert, key, certFile, keyFile string) {
	switch {
	case certFile == "" && keyFile == "":
		return
	case certFile == "":
		l.problem(cert, "is not set, but "+key+" is", "set "+cert+" to the certificate that belongs to the key")
		return
	case keyFile == "":
		l.problem(key, "is not set, but "+cert+" is", "set "+key+" to the key that belongs to the certificate")
		return
	}
	_, err := listener.LoadPair(certFile, keyFile)
	if encrypted, ok := errors.AsType[*listener.EncryptedKeyError](err); ok {
		l.problem(key, "names "+encrypted.File+", which is encrypted with a password, and gprxy takes keys without one",
			encrypted.Remedy())
	} else if err != nil {
		l.problem(cert, "and "+key+" cannot be used: "+err.Error(), "name two readable PEM files that belong together")
	}
}
