// TLS towards gprxy as a target wants it, for what does not go through libpq.

package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsConfig is nil for sslmode disable. With prefer, the caller may go on without TLS if gprxy has none.
func (t target) tlsConfig() (*tls.Config, error) {
	if t.sslMode == sslDisable {
		return nil, nil
	}
	config := &tls.Config{ServerName: t.host, MinVersion: tls.VersionTLS12}
	if t.sslMode == sslPrefer || t.sslMode == sslRequire {
		config.InsecureSkipVerify = true // libpq's meaning of these modes: encrypted, not authenticated
		if t.known != nil {
			config.VerifyConnection = func(state tls.ConnectionState) error { return t.known.verify(t, state) }
		}
		return config, nil
	}
	roots, err := t.roots()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if t.sslMode == sslVerifyCA {
		config.InsecureSkipVerify = true // the chain is verified below, the name is not
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	}
	return config, nil
}

// orPlain reports whether a gprxy without TLS will do: not one that had a certificate when it was last met.
func (t target) orPlain() bool {
	if t.sslMode != sslPrefer || t.known == nil {
		return t.sslMode == sslPrefer
	}
	met, err := t.known.met(t.address())
	return err == nil && len(met) == 0
}

// roots is nil for the CAs of this machine.
func (t target) roots() (*x509.CertPool, error) {
	if t.rootCert == rootSystem {
		return nil, nil
	}
	pem, err := os.ReadFile(t.rootCert)
	if err != nil {
		return nil, fmt.Errorf("read the CAs that may sign gprxy's certificate (--sslrootcert): %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate: name a PEM file with --sslrootcert", t.rootCert)
	}
	return pool, nil
}

func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}
