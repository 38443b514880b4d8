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
			Meaning: "HOST:PORT to answer /metrics, /livez, /readyz and /startupz on; beyond loopback METRICS_CERT or METRICS_TOKEN is needed",
			parse:   metricsListen},
		{Name: "METRICS_CERT", None: "no TLS", Meaning: "PEM certificate chain for METRICS_LISTEN, re-read when it changes",
			parse: filePath(func(s *Settings) *string { return &s.Metrics.Cert })},
		{Name: "METRICS_KEY", None: "none", Meaning: "PEM key of METRICS_CERT",
			parse: filePath(func(s *Settings) *string { return &s.Metrics.Key })},
		{Name: "METRICS_TOKEN", None: "nobody is asked", Secret: true,
			Meaning: "what a scraper of /metrics must send: Authorization: Bearer TOKEN",
			parse:   secret(func(s *Settings) *auth.Secret { return &s.Metrics.Token })},
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

func checkMetrics(s *Settings, l *loader) {
	m := s.Metrics
	switch {
	case l.bad("METRICS_LISTEN") || l.bad("METRICS_CERT") || l.bad("METRICS_KEY"):
	case m.Listen == "":
		if m.Cert != "" || m.Key != "" || m.Token != "" {
			l.warn("METRICS_LISTEN is not set: METRICS_CERT, METRICS_KEY and METRICS_TOKEN have no effect")
		}
	case m.Cert == "" && m.Key != "":
		l.problem("METRICS_CERT", "is not set, but METRICS_KEY is", "set METRICS_CERT to the certificate that belongs to the key")
	case m.Cert != "" && m.Key == "":
		l.problem("METRICS_KEY", "is not set, but METRICS_CERT is", "set METRICS_KEY to the key that belongs to the certificate")
	case m.Cert != "":
		checkPair(l, "METRICS_CERT", "METRICS_KEY", m.Cert, m.Key)
	case m.Token == "" && !l.bad("METRICS_TOKEN") && !l.bad("METRICS_TOKEN_FILE"):
		if host, _, _ := net.SplitHostPort(m.Listen); !IsLoopback(host) {
			l.problem("METRICS_LISTEN", "is "+m.Listen+", which other machines can reach, and nothing protects the metrics",
				"set METRICS_CERT and METRICS_KEY, or METRICS_TOKEN_FILE, or listen on 127.0.0.1")
		}
	}
}

// checkPair tells what is wrong with a certificate and its key.
func checkPair(l *loader, cert, key, certFile, keyFile string) {
	_, err := listener.LoadPair(certFile, keyFile)
	if encrypted, ok := errors.AsType[*listener.EncryptedKeyError](err); ok {
		l.problem(key, "names "+encrypted.File+", which is encrypted with a password, and gprxy takes keys without one",
			encrypted.Remedy())
	} else if err != nil {
		l.problem(cert, "and "+key+" cannot be used: "+err.Error(), "name two readable PEM files that belong together")
	}
}
