// TLS to PostgreSQL: what each sslmode checks.
package pool

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// security is what one connection attempt does about TLS.
type security int

const (
	plainOnly security = iota
	preferTLS          // plain if the server cannot do TLS
	requireTLS
)

// firstTry is the security of a mode's first attempt; allow alone may try again, with TLS.
func firstTry(mode string) security {
	switch mode {
	case "disable", "allow":
		return plainOnly
	case "prefer":
		return preferTLS
	default:
		return requireTLS
	}
}

// tlsConfig returns what a handshake checks in the given mode; nil for disable. As in libpq, require with a root
// certificate means verify-ca, and the system's roots, which anyone can get a certificate from, need verify-full.
func tlsConfig(host, mode, rootCert string) (*tls.Config, error) {
	if mode == "disable" {
		return nil, nil
	}
	if mode == "require" && rootCert != "" {
		mode = "verify-ca"
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if net.ParseIP(host) == nil {
		config.ServerName = host // SNI carries names only, RFC 6066
	}
	if mode != "verify-ca" && mode != "verify-full" {
		return config, nil
	}
	roots, err := loadRoots(mode, rootCert)
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if mode == "verify-full" {
		config.ServerName = host
		config.InsecureSkipVerify = false
		return config, nil
	}
	config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	return config, nil
}

// loadRoots reads the certificates a server's certificate must lead to.
func loadRoots(mode, rootCert string) (*x509.CertPool, error) {
	switch {
	case rootCert == "":
		return nil, fmt.Errorf("sslmode %s needs a root certificate: give its PEM file, or \"system\" with verify-full", mode)
	case rootCert == "system" && mode != "verify-full":
		return nil, errors.New("the system's root certificates need sslmode verify-full")
	case rootCert == "system":
		return x509.SystemCertPool()
	}
	content, err := os.ReadFile(rootCert)
	if err != nil {
		return nil, fmt.Errorf("reading the root certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no PEM certificate", rootCert)
	}
	return roots, nil
}

// verifyChain is verify-ca: the chain counts, the host name does not.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("the server sent no certificate")}
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}
