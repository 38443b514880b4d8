// The certificates of gprxys on this machine that connect and tunnel have met, as ssh has known_hosts.

package cmd

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// On loopback a gprxy needs no TLS, and its certificate is seldom one that this machine trusts. But the port is anybody's: when gprxy
// is down, another user of the machine can listen there, and would be sent the token. So whoever has met a gprxy with a certificate
// there goes on only if it proves that it is the same, by its key, or by a certificate for the same names by the same CA.
//
// A line of the file is an address, a kind and a fingerprint:
//
//	localhost:7777 key SHA256:…   of the public key of its certificate
//	localhost:7777 ca SHA256:…    of the public key of a CA that it showed, and of the names in its certificate
type knownProxies struct {
	path string // "": nothing is remembered
	// tell says that a certificate was met for the first time.
	tell func(format string, args ...any)
}

const maxKnownFile = 1 << 20

func knownIn(home string) *knownProxies {
	if home == "" {
		return &knownProxies{}
	}
	return &knownProxies{path: filepath.Join(home, ".gprxy", "known_proxies")}
}

// met are the "kind fingerprint" of an address; none if it was not met.
func (k *knownProxies) met(address string) ([]string, error) {
	lines, err := k.lines()
	var met []string
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == address {
			met = append(met, fields[1]+" "+fields[2])
		}
	}
	return met, err
}

// lines is an error for a file that is there and cannot be read: what it says would be passed over.
func (k *knownProxies) lines() ([]string, error) {
	if k.path == "" {
		return nil, nil
	}
	f, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificates of gprxys that were met (remove the file to begin anew): %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKnownFile+1))
	if err != nil || len(text) > maxKnownFile {
		return nil, fmt.Errorf("%s cannot be read, or is longer than 1 MB: remove it to begin anew", k.path)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// forget makes the next meeting the first.
func (k *knownProxies) forget(address string) error {
	lines, err := k.lines()
	if err != nil || len(lines) == 0 {
		return err
	}
	kept := slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, address+" ") })
	fresh := k.path + ".new"
	if err := os.WriteFile(fresh, []byte(strings.Join(append(kept, ""), "\n")), 0o600); err != nil {
		return fmt.Errorf("forget a certificate: %w", err)
	}
	return os.Rename(fresh, k.path)
}

func (k *knownProxies) remember(address string, prints []string) error {
	if k.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, print := range prints {
		lines.WriteString(address + " " + print + "\n")
	}
	_, err = f.WriteString(lines.String())
	return errors.Join(err, f.Close())
}

// verify is for tls.Config.VerifyConnection: a certificate that was met before must be met again. Its errors are of the kind
// that a certificate of an unknown CA gives.
func (k *knownProxies) verify(t target, state tls.ConnectionState) error {
	refused := func(err error) error {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	shown := fingerprints(state.PeerCertificates)
	met, err := k.met(t.address())
	switch {
	case err != nil:
		return refused(err)
	case len(shown) == 0:
		return refused(errors.New("the server showed no certificate"))
	case slices.ContainsFunc(shown, func(print string) bool { return slices.Contains(met, print) }):
		return nil
	case len(met) > 0:
		return refused(&changedError{t, shown[0], met[0], k.path})
	}
	if err := k.remember(t.address(), shown); err != nil {
		k.say("gprxy at %s is met for the first time, and cannot be remembered: %s", t.address(), err)
	} else if k.path != "" {
		k.say("gprxy at %s is met for the first time; from now on it must have this certificate (%s)", t.address(), shown[0])
	}
	return nil
}

func (k *knownProxies) say(format string, args ...any) {
	if k.tell != nil {
		k.tell(format, args...)
	}
}

// fingerprints are what a chain can be known again by, its own key first. Of a CA the names count as well: others may have
// certificates of the same CA, for other names.
func fingerprints(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	leaf := chain[0]
	prints := []string{"key " + fingerprint(leaf.RawSubjectPublicKeyInfo, "")}
	for _, ca := range chain[1:] {
		if ca.IsCA && signedBy(chain, ca) {
			prints = append(prints, "ca "+fingerprint(ca.RawSubjectPublicKeyInfo, namesOf(leaf)))
		}
	}
	return prints
}

func fingerprint(key []byte, names string) string {
	sum := sha256.Sum256(append(slices.Clone(key), names...))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return strings.Join(append(names, c.Subject.CommonName), "\n")
}

func signedBy(chain []*x509.Certificate, ca *x509.Certificate) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// changedError is a gprxy that is not the one that was met.
type changedError struct {
	target     target
	shown, met string
	path       string
}

func (e *changedError) Error() string {
	return fmt.Sprintf("it is not the certificate that gprxy at %s had when it was last met (%s now, %s in %s): somebody else may listen "+
		"there, and would get your token; "+
		"if gprxy was given a new certificate, add --new-certificate once", e.target.address(), e.shown, e.met, e.path)
}
